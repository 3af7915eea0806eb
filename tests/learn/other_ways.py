"""Right functions in other ways than the solutions: none of them may be refused."""

import math

import numpy as np


def relu(x):
    return np.maximum(x, 0)


def relu_backward(grad_output, x):
    return grad_output * (x > 0)


def linear(x, weights, bias=None):
    out = np.einsum("ni,ki->nk", x, weights)
    if bias is not None:
        out += bias
    return out


def linear_backward(grad_output, x, weights):
    return (
        np.dot(grad_output, weights),
        np.dot(x.T, grad_output).T,
        np.ones(len(x), x.dtype) @ grad_output,
    )


def softmax(logits):
    e = np.exp(logits - logits.max(1)[:, None])
    return e / e.sum(1)[:, None]


def softmax_backward(grad_output, logits):
    grad = np.zeros_like(logits)
    for n, prob in enumerate(softmax(logits)):
        jacobian = np.diag(prob) - np.outer(prob, prob)
        grad[n] = jacobian @ grad_output[n]
    return grad


def _targets(logits, labels, label_smoothing):
    target = labels
    if labels.ndim == 1:
        target = np.zeros_like(logits)
        target[np.arange(len(labels)), labels] = 1
    return target * (1 - label_smoothing) + label_smoothing / logits.shape[1]


def cross_entropy(logits, labels, label_smoothing=0.0):
    top = logits.max(1, keepdims=True)
    log_sum = top + np.log(np.exp(logits - top).sum(1, keepdims=True))
    target = _targets(logits, labels, label_smoothing)
    terms = np.where(target > 0, target * (log_sum - logits), 0)
    return terms.sum(1).mean()


def cross_entropy_backward(grad_output, logits, labels, label_smoothing=0.0):
    grad = softmax(logits)
    grad -= _targets(logits, labels, label_smoothing)
    grad *= float(grad_output) / len(logits)
    return grad


def numerical_gradient(f, x, grad_output, h=1e-5):
    moved, grad = x.copy(), np.empty(x.size)
    for i in range(x.size):
        old = moved.reshape(-1)[i]
        moved.reshape(-1)[i] = old + h
        high = (f(moved) * grad_output).sum()
        moved.reshape(-1)[i] = old - h
        low = (f(moved) * grad_output).sum()
        moved.reshape(-1)[i] = old
        grad[i] = (high - low) / 2 / h
    return grad.reshape(x.shape)


def relative_error(one, other):
    if not np.any(one) and not np.any(other):
        return 0
    sizes = [np.sqrt((a**2).sum()) for a in (one, other)]
    return np.sqrt(((one - other) ** 2).sum()) / np.max(sizes)


def gradient_check(forward, backward, x, rng):
    grad_output = rng.standard_normal(np.shape(forward(x)))
    numeric = numerical_gradient(forward, x, grad_output)
    return np.less(relative_error(backward(grad_output, x), numeric), 1e-6)


def _windows(x, R, S, stride):
    views = np.lib.stride_tricks.sliding_window_view(x, (R, S), axis=(2, 3))
    return views[:, :, ::stride, ::stride]


def _padded(x, padding, value=0.0):
    around = [(0, 0), (0, 0), (padding, padding), (padding, padding)]
    return np.pad(x, around, constant_values=value)


def conv2d(x, kernel, bias=None, stride=1, padding=0):
    R, S = kernel.shape[2:]
    views = _windows(_padded(x, padding), R, S, stride)
    out = np.einsum("ncpqrs,kcrs->nkpq", views, kernel)
    return out if bias is None else out + bias.reshape(1, -1, 1, 1)


def conv2d_grad_kernel(grad_output, x, kernel, stride=1, padding=0):
    R, S = kernel.shape[2:]
    P, Q = grad_output.shape[2:]
    views = _windows(_padded(x, padding), R, S, stride)[:, :, :P, :Q]
    grad_kernel = np.tensordot(grad_output, views, ([0, 2, 3], [0, 2, 3]))
    return grad_kernel, np.einsum("nkpq->k", grad_output)


def conv2d_grad_input(grad_output, x, kernel, stride=1, padding=0):
    """Spread grad_output by the stride, and convolve it with the turned kernel."""
    N, K, P, Q = grad_output.shape
    H, W = (n + 2 * padding for n in x.shape[2:])
    R, S = kernel.shape[2:]
    spread = np.zeros((N, K, H + R - 1, W + S - 1), grad_output.dtype)
    rows, cols = np.arange(P) * stride + R - 1, np.arange(Q) * stride + S - 1
    spread[:, :, rows[:, None], cols] = grad_output
    turned = kernel[:, :, ::-1, ::-1].swapaxes(0, 1)
    grad = conv2d(spread, turned)
    return grad[:, :, padding : H - padding, padding : W - padding]


def maxpool2d(x, kernel_size, stride=None, padding=0):
    stride = stride or kernel_size
    views = _windows(_padded(x, padding, -np.inf), kernel_size, kernel_size, stride)
    return views.max(axis=(4, 5))


def maxpool2d_backward(grad_output, x, kernel_size, stride=None, padding=0):
    stride, size = stride or kernel_size, kernel_size
    x_pad = _padded(x, padding, -np.inf)
    grad = np.zeros(x_pad.shape, x.dtype)
    for n, c, p, q in np.ndindex(grad_output.shape):
        top, left = p * stride, q * stride
        block = x_pad[n, c, top : top + size, left : left + size].reshape(-1)
        i = int(np.argmax(block))
        grad[n, c, top + i // size, left + i % size] += grad_output[n, c, p, q]
    H, W = x.shape[2:]
    return grad[:, :, padding : padding + H, padding : padding + W]


def avgpool2d(x, kernel_size, stride=None, padding=0):
    views = _windows(
        _padded(x, padding), kernel_size, kernel_size, stride or kernel_size
    )
    return views.mean(axis=(4, 5))


def avgpool2d_backward(grad_output, x, kernel_size, stride=None, padding=0):
    C = x.shape[1]
    kernel = np.full((C, C, kernel_size, kernel_size), kernel_size**-2.0, x.dtype)
    kernel *= np.eye(C, dtype=x.dtype)[:, :, None, None]
    return conv2d_grad_input(grad_output, x, kernel, stride or kernel_size, padding)


def global_avgpool2d(x):
    return x.sum(axis=(2, 3), keepdims=True) / x.dtype.type(x.shape[2] * x.shape[3])


def global_avgpool2d_backward(grad_output, x):
    return np.broadcast_to(grad_output / (x.shape[2] * x.shape[3]), x.shape)


def batch_norm2d(
    x, gamma, beta, running_mean, running_var, training=True, momentum=0.1, eps=1e-5
):
    rows = x.astype(float).swapaxes(0, 1).reshape(x.shape[1], -1)  # (C, M)
    mean, var = running_mean, running_var
    if training:
        mean, var = rows.mean(1), rows.var(1)
        running_mean = running_mean + momentum * (mean - running_mean)
        running_var = running_var + momentum * (rows.var(1, ddof=1) - running_var)
    shape = (1, -1, 1, 1)
    out = (x - mean.reshape(shape)) / np.sqrt(var + eps).reshape(shape)
    out = out * gamma.reshape(shape) + beta.reshape(shape)
    return [a.astype(x.dtype) for a in (out, running_mean, running_var)]


def batch_norm2d_backward(
    grad_output, x, gamma, beta, running_mean, running_var,
    training=True, momentum=0.1, eps=1e-5,
):  # fmt: skip
    """Go back through variance and mean, one line of the forward at a time."""
    rows = x.astype(float).swapaxes(0, 1).reshape(x.shape[1], -1)
    g = grad_output.astype(float).swapaxes(0, 1).reshape(x.shape[1], -1)
    mean, var = running_mean[:, None], running_var[:, None].astype(float)
    if training:
        mean, var = rows.mean(1, keepdims=True), rows.var(1, keepdims=True)
    M, centred = rows.shape[1], rows - mean
    std = np.sqrt(var + eps)
    grad_gamma, grad_beta = (g * centred / std).sum(1), g.sum(1)
    g = g * gamma[:, None]
    grad = g / std
    if training:
        grad_var = (g * centred).sum(1, keepdims=True) * -0.5 / std**3
        grad_mean = -(g / std).sum(1, keepdims=True)
        grad = grad + grad_var * 2 * centred / M + grad_mean / M
    shape = (x.shape[1], x.shape[0], *x.shape[2:])
    grads = grad.reshape(shape).swapaxes(0, 1), grad_gamma, grad_beta
    return tuple(a.astype(x.dtype) for a in grads)


def dropout(x, p, rng, training=True):
    if not training:
        return x.copy(), np.full(x.shape, 1, x.dtype)
    mask = np.where(rng.random(x.shape) < p, 0, 1 / (1 - p)).astype(x.dtype)
    return mask * x, mask


def dropout_backward(grad_output, mask):
    return np.multiply(mask, grad_output)


def he_normal(shape, rng):
    fan_in = np.prod(shape[1:])
    return rng.normal(0.0, (2 / fan_in) ** 0.5, shape).astype("f4")


def sgd_momentum_update_inplace(
    param, grad, velocity, lr, momentum=0.9, *, weight_decay=0.0, nesterov=False
):
    g = grad.copy() if not weight_decay else grad + weight_decay * param
    velocity *= momentum
    velocity += g
    if nesterov:
        g += momentum * velocity
        param[...] = param - lr * g
    else:
        param[...] = param - lr * velocity


def cosine_warmup(step, lr, total_steps, warmup_steps):
    if step < warmup_steps:
        return lr / 100 + (lr - lr / 100) * step / warmup_steps
    if step >= total_steps:
        return 0
    turn = math.pi * (step - warmup_steps) / (total_steps - warmup_steps)
    return 0.5 * lr + 0.5 * lr * np.cos(turn)


_G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
_A = np.array([[1, 1, 1, 0], [0, 1, -1, 1]])
_B = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]])


def transform_kernel(f):
    return np.tensordot(_G.astype(f.dtype), f, 1)


def transform_output(m):
    return np.tensordot(_A.astype(m.dtype), m, 1)


def transform_input(d):
    return np.tensordot(_B.astype(d.dtype), d, 1)


def winograd_1d(d, f):
    return transform_output(transform_input(d) * transform_kernel(f))


def winograd_tile(patch, kernel):
    A, B, G = (matrix.astype(patch.dtype) for matrix in (_A, _B, _G))
    products = (G @ kernel @ G.T) * (B @ patch @ B.T)
    return A @ products.sum(1) @ A.T


def winograd_2d(x, kernel, padding=0):
    x = _padded(x, padding)
    P, Q = x.shape[2] - 2, x.shape[3] - 2
    x = np.pad(x, [(0, 0), (0, 0), (0, 2), (0, 2)])
    out = np.zeros((len(x), len(kernel), P, Q), x.dtype)
    for n in range(len(x)):
        for p in range(0, P, 2):
            for q in range(0, Q, 2):
                tile = winograd_tile(x[n, :, p : p + 4, q : q + 4], kernel)
                part = out[n, :, p : p + 2, q : q + 2]
                part[...] = tile[:, : part.shape[1], : part.shape[2]]
    return out


def bfloat16_rounding(x):
    bits = x.view(np.uint32).astype(np.uint64)
    below, rest = bits >> np.uint64(16), bits & np.uint64(0xFFFF)
    up = (rest > 0x8000) | ((rest == 0x8000) & (below % 2 == 1))
    rounded = ((below + up) << np.uint64(16)).astype(np.uint32).view(np.float32)
    rounded[np.isnan(x)] = np.nan
    return rounded
