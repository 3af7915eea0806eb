"""Every operation in plain NumPy: read this file first.

Each function has the name, arguments and results of its fast twin in ``odyssey``, and
the twin is tested against it.  Nothing is tuned: loops run over the taps of a kernel or
the pixels of an image.  Types, and checks of arguments, are the twins' business.

A backward stands below its forward.  It takes ``grad_output``, the gradient of the loss
with respect to the forward's result, and returns the gradient with respect to each
argument: ``grad_<name>``, shaped like ``<name>``, in the order of the arguments.  The
comments in it quote the line of the forward that the next line differentiates.

Sizes: N images of C channels and H x W pixels; K kernels of R x S taps; P x Q outputs.
"""

import numpy as np


# --- Convolution ----------------------------------------------------------------------
def conv2d(x, kernel, bias=None, stride=1, padding=0):
    """Slide kernel (K, C, R, S) over x (N, C, H, W) and return out (N, K, P, Q).

    out[n, k, p, q] = bias[k] + sum over c, r, s of
                      x_pad[n, c, p * stride + r, q * stride + s] * kernel[k, c, r, s]
    """
    (N, _, H, W), (K, _, R, S) = x.shape, kernel.shape
    P = (H + 2 * padding - R) // stride + 1
    Q = (W + 2 * padding - S) // stride + 1
    x_pad = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    out = np.zeros((N, K, P, Q), x.dtype)
    for r, s in np.ndindex(R, S):
        # The pixels under tap (r, s), one for each place of the kernel: (N, C, P, Q).
        taps = np.s_[:, :, r : r + P * stride : stride, s : s + Q * stride : stride]
        out += np.einsum("ncpq,kc->nkpq", x_pad[taps], kernel[:, :, r, s])
    return out if bias is None else out + bias[:, None, None]


def conv2d_backward(grad_output, x, kernel, stride=1, padding=0):
    """Return grad_input, grad_kernel and grad_bias of :func:`conv2d`.

    The forward sums products of a pixel and a weight.  Each product is visited again:
    the weight receives grad_output * pixel, the pixel grad_output * weight.
    """
    (_, _, H, W), (_, _, R, S), (_, _, P, Q) = x.shape, kernel.shape, grad_output.shape
    x_pad = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    grad_x_pad, grad_kernel = np.zeros_like(x_pad), np.zeros_like(kernel)
    for r, s in np.ndindex(R, S):
        taps = np.s_[:, :, r : r + P * stride : stride, s : s + Q * stride : stride]
        # out += np.einsum("ncpq,kc->nkpq", x_pad[taps], kernel[:, :, r, s])
        grad_kernel[:, :, r, s] = np.einsum("nkpq,ncpq->kc", grad_output, x_pad[taps])
        grad_x_pad[taps] += np.einsum("nkpq,kc->ncpq", grad_output, kernel[:, :, r, s])
    # x_pad = np.pad(x, ...): what reached the padding is dropped
    grad_input = grad_x_pad[:, :, padding : padding + H, padding : padding + W]
    # out + bias[:, None, None]
    return grad_input, grad_kernel, grad_output.sum(axis=(0, 2, 3))


# --- Batch normalisation --------------------------------------------------------------
def batch_norm2d(
    x, gamma, beta, running_mean, running_var, training=True, momentum=0.1, eps=1e-5
):
    """Normalise each channel of x; return out and the new running mean and variance.

    xhat = (x - mean) / sqrt(var + eps),  out = gamma * xhat + beta

    Training takes mean and (biased) variance over N, H, W, and moves the running
    statistics a step towards them, the variance unbiased; evaluation uses the running
    ones.  Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167
    """
    xhat, _, mean, var = _normalize(x, running_mean, running_var, training, eps)
    out = gamma[:, None, None] * xhat + beta[:, None, None]
    if training:
        M = x.size // x.shape[1]  # values in a channel
        running_mean = (1 - momentum) * running_mean + momentum * mean
        running_var = (1 - momentum) * running_var + momentum * var * M / (M - 1)
    return tuple(result.astype(x.dtype) for result in (out, running_mean, running_var))


def batch_norm2d_backward(
    grad_output, x, gamma, beta, running_mean, running_var,
    training=True, momentum=0.1, eps=1e-5,
):  # fmt: skip
    """Return grad_input, grad_gamma and grad_beta of :func:`batch_norm2d`."""
    xhat, rstd, _, _ = _normalize(x, running_mean, running_var, training, eps)
    # out = gamma * xhat + beta
    grad_beta = grad_output.sum(axis=(0, 2, 3), dtype=np.float64)
    grad_gamma = (grad_output * xhat).sum(axis=(0, 2, 3))
    grad_xhat = grad_output * gamma[:, None, None]
    # xhat = (x - mean) * rstd
    if training:
        # Mean and rstd depend on every x of the channel.  They undo whatever shifts all
        # of xhat or stretches it, so these two components of the gradient vanish.
        shift = grad_xhat.mean(axis=(0, 2, 3), keepdims=True)
        stretch = (grad_xhat * xhat).mean(axis=(0, 2, 3), keepdims=True)
        grad_xhat = grad_xhat - shift - stretch * xhat
    grad_input = grad_xhat * rstd[:, None, None]
    return tuple(g.astype(x.dtype) for g in (grad_input, grad_gamma, grad_beta))


def _normalize(x, running_mean, running_var, training, eps):
    """Return xhat (N, C, H, W), and rstd, mean and var (C,), all in float64."""
    x = x.astype(np.float64)  # float32 rounds a mean of 1e4 by up to 5e-4
    mean, var = running_mean.astype(np.float64), running_var.astype(np.float64)
    if training:
        mean = x.mean(axis=(0, 2, 3))
        var = ((x - mean[:, None, None]) ** 2).mean(axis=(0, 2, 3))
    rstd = 1 / np.sqrt(var + eps)
    return (x - mean[:, None, None]) * rstd[:, None, None], rstd, mean, var


# --- Activation and addition ----------------------------------------------------------
def relu(x):
    """Return x with 0 in place of what is negative; NaN stays NaN."""
    return np.where(x <= 0, x.dtype.type(0), x)


def relu_backward(grad_output, x):
    """Return grad_input: grad_output, with 0 where x was negative, and at 0 too."""
    return np.where(x <= 0, x.dtype.type(0), grad_output)


def add(a, b):
    """Return a + b, broadcast as NumPy does."""
    return np.asarray(a + b)


def add_backward(grad_output, a, b):
    """Return grad_a and grad_b: an element used in many places sums their gradients."""
    return _sum_to(a.shape, grad_output), _sum_to(b.shape, grad_output)


def _sum_to(shape, grad):
    """Undo broadcasting from shape to grad.shape; the result is always a new array."""
    grad = grad.sum(axis=tuple(range(grad.ndim - len(shape))))
    stretched = tuple(axis for axis, size in enumerate(shape) if size == 1)
    return np.array(grad.sum(axis=stretched, keepdims=True))


# --- Pooling --------------------------------------------------------------------------
def avgpool2d(x, kernel_size, stride=None, padding=0):
    """Return the mean of every window of x; the zeros of the padding count in it."""
    rows, cols = _windows(x, kernel_size, stride, padding)
    out = np.zeros((*x.shape[:2], len(rows), len(cols)), x.dtype)
    for p, q in np.ndindex(len(rows), len(cols)):
        out[:, :, p, q] = x[:, :, rows[p], cols[q]].sum(axis=(2, 3)) / kernel_size**2
    return out


def avgpool2d_backward(grad_output, x, kernel_size, stride=None, padding=0):
    """Return grad_input: an output hands an equal share to each pixel of its window."""
    rows, cols = _windows(x, kernel_size, stride, padding)
    grad_input = np.zeros_like(x)
    for p, q in np.ndindex(len(rows), len(cols)):
        # out[:, :, p, q] = x[:, :, rows[p], cols[q]].sum(axis=(2, 3)) / kernel_size**2
        share = grad_output[:, :, p, q] / kernel_size**2
        grad_input[:, :, rows[p], cols[q]] += share[:, :, None, None]
    return grad_input


def maxpool2d(x, kernel_size, stride=None, padding=0):
    """Return the maximum of every window of x; padding never wins, NaN always does."""
    rows, cols = _windows(x, kernel_size, stride, padding)
    out = np.zeros((*x.shape[:2], len(rows), len(cols)), x.dtype)
    for p, q in np.ndindex(len(rows), len(cols)):
        out[:, :, p, q] = x[:, :, rows[p], cols[q]].max(axis=(2, 3))
    return out


def maxpool2d_backward(grad_output, x, kernel_size, stride=None, padding=0):
    """Return grad_input: the first maximum of a window, row by row, takes it all."""
    rows, cols = _windows(x, kernel_size, stride, padding)
    grad_input = np.zeros_like(x)
    for n, c, p, q in np.ndindex(grad_output.shape):
        # out[:, :, p, q] = x[:, :, rows[p], cols[q]].max(axis=(2, 3))
        window = x[n, c, rows[p], cols[q]]
        first = np.unravel_index(window.argmax(), window.shape)
        grad_input[n, c, rows[p], cols[q]][first] += grad_output[n, c, p, q]
    return grad_input


def _windows(x, size, stride, padding):
    """Return the rows and the columns of x that each window spans, padding left out."""
    spans, stride = [], size if stride is None else stride
    for length in x.shape[2:]:
        starts = range(-padding, length + padding - size + 1, stride)
        spans.append([slice(max(start, 0), start + size) for start in starts])
    return spans


def global_avgpool2d(x):
    """Return the mean of each channel's image, (N, C, 1, 1)."""
    return x.mean(axis=(2, 3), keepdims=True)


def global_avgpool2d_backward(grad_output, x):
    """Return grad_input: each of the H * W pixels receives an equal share."""
    return np.ones_like(x) * grad_output / (x.shape[2] * x.shape[3])


# --- Linear layer and dropout ---------------------------------------------------------
def linear(x, weights, bias=None):
    """Return x (N, in) @ weights (out, in).T + bias (out,), of shape (N, out)."""
    return x @ weights.T if bias is None else x @ weights.T + bias


def linear_backward(grad_output, x, weights):
    """Return grad_input, grad_weights, grad_bias: each product's factors swap roles."""
    return grad_output @ weights, grad_output.T @ x, grad_output.sum(axis=0)


def dropout(x, p, rng, training=True):
    """Zero each element with probability p; return out and mask, 0 or 1 / (1 - p)."""
    mask = np.ones_like(x)
    if training:
        mask = ((rng.random(x.shape) >= p) / (1 - p)).astype(x.dtype)
    return x * mask, mask


def dropout_backward(grad_output, mask):
    """Return grad_input; the scaled mask, whose mean is 1, weighs it as it did x."""
    return grad_output * mask


# --- Loss -----------------------------------------------------------------------------
def softmax(logits):
    """Return exp(logits) / sum(exp(logits)) of each row of logits (N, K)."""
    return np.exp(_log_softmax(logits))


def softmax_backward(grad_output, logits):
    """Return grad_logits: what raises one probability lowers all the others."""
    p = softmax(logits)  # its derivative: dp[j] / dlogits[k] = p[j] * ((j == k) - p[k])
    return p * (grad_output - (grad_output * p).sum(axis=1, keepdims=True))


def cross_entropy(logits, labels, label_smoothing=0.0):
    """Return the mean over the batch of -sum over k of target[k] * log(softmax[k]).

    Integer labels (N,) mean a target of 1 for that class, floating ones (N, K) are the
    target; smoothing s makes it (1 - s) * target + s / K.
    """
    target = _targets(logits, labels, label_smoothing)
    hit = target > 0  # the rest counts as 0, even where its log(softmax) is -Inf
    return -float((target[hit] * _log_softmax(logits)[hit]).sum()) / len(logits)


def cross_entropy_backward(grad_output, logits, labels, label_smoothing=0.0):
    """Return grad_logits; grad_output is a number.

    log(softmax[k]) = logits[k] - log(sum(exp(logits))), where the derivative of the
    last term is softmax; as a target sums to 1, all comes to softmax - target.
    """
    target = _targets(logits, labels, label_smoothing)
    return (softmax(logits) - target) * (float(grad_output) / len(logits))


def _log_softmax(logits):
    """Return logits - log(sum(exp(logits))); less their maximum, no exp exceeds 1."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _targets(logits, labels, label_smoothing):
    """Return the distribution (N, K) that softmax is to match."""
    K = logits.shape[1]
    target = np.eye(K, dtype=logits.dtype)[labels] if labels.ndim == 1 else labels
    return (1 - label_smoothing) * target + label_smoothing / K


# --- Optimiser ------------------------------------------------------------------------
def sgd_momentum_update_inplace(
    param, grad, velocity, lr, momentum=0.9, *, weight_decay=0.0, nesterov=False
):
    """Take one step of stochastic gradient descent, in param and in velocity."""
    # The velocity sums gradients alone: a change of lr acts on the whole step at once.
    g = grad + weight_decay * param
    velocity[...] = momentum * velocity + g
    param -= lr * (g + momentum * velocity if nesterov else velocity)


def clip_grad_norm_inplace(grads, max_norm):
    """Scale a list or dict of grads down to max_norm; return their 2-norm before it."""
    arrays = list(grads.values() if isinstance(grads, dict) else grads)
    norm = sum(float((g.astype(np.float64) ** 2).sum()) for g in arrays) ** 0.5
    if max_norm < norm < np.inf:
        for g in arrays:
            g *= max_norm / (norm + 1e-6)  # a little less, to allow for rounding
    return norm


# --- Batches --------------------------------------------------------------------------
def extract_batch_pair(data, labels, start_idx, batch_size):
    """Return views of data and labels from start_idx on; the last may be short."""
    batch = slice(start_idx, start_idx + batch_size)
    return data[batch], labels[batch]


def compute_num_batches(num_samples, batch_size):
    """Return how many batches hold all samples, the last perhaps short."""
    return -(-num_samples // batch_size)
