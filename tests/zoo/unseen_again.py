"""More wrong backwards, written when the diagnosis had learnt from the first ones."""

import numpy as np

from odyssey.op_specs import Case, positive
from odyssey.reference import (
    batch_norm2d_backward,
    conv2d,
    conv2d_backward,
    gelu,
    linear,
    relu,
    softmax,
)
from odyssey.reference.gelu import erfc
from zoo.unseen import function
from zoo.wrong import wrong

AXES = (0, 2, 3)
PADDED = Case("3x3", ((3, 2, 6, 5), (4, 2, 3, 3), (4,)), {"padding": 1})
STRIDED = Case("stride 2", ((3, 2, 7, 7), (4, 2, 3, 3)), {"stride": 2})
SQUARE = Case("as many channels", ((3, 4, 5, 6), (4, 4, 3, 3), (4,)), {"padding": 1})
SMALL = Case("training", ((4, 3, 5, 2), (3,), (3,), (3,), positive(3)))
OVERLAPPING = "3 stride 2 padded"


@wrong("conv2d", "channels of the gradient of the kernel exchanged",
       "axes transposed", input=1, case=SQUARE)  # fmt: skip
def conv2d_grad_channels_exchanged(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    return grads[0], grads[1].transpose(1, 0, 2, 3).copy(), grads[2]


@wrong("conv2d", "gradient of the kernel of the first image only",
       "only a part of the batch", input=1, case=PADDED)  # fmt: skip
def conv2d_first_image_only(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    first = conv2d_backward(grad_output[:1], x[:1], kernel, stride, padding)
    return grads[0], first[1], grads[2]


@wrong("conv2d", "bias summed over the channels, not the columns",
       "summed over the wrong axes", input=2, case=PADDED)  # fmt: skip
def conv2d_bias_over_channels(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    return *grads[:2], grad_output.sum(axis=(0, 1, 2))


@wrong("conv2d", "one too few rows and columns of the spread gradient",
       "wrong in the last window", case=STRIDED)  # fmt: skip
def conv2d_spread_too_short(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    (N, K, P, Q), (H, W) = grad_output.shape, x.shape[2:]
    wide = np.zeros((N, K, H + 2, W + 2))
    for p, q in np.ndindex(P - 1, Q - 1):
        wide[:, :, 2 + p * stride, 2 + q * stride] = grad_output[:, :, p, q]
    turned = kernel.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
    return conv2d(wide, turned), *grads[1:]


@wrong("batch_norm2d", "sum in the place of the mean, in the term of the mean",
       "sum instead of mean", case=SMALL)  # fmt: skip
def batch_norm_mean_summed(
    grad_output, x, gamma, beta, running_mean, running_var, eps=1e-5
):
    grads, xhat, rstd = parts(grad_output, x, gamma, beta, eps)
    g = grad_output * gamma[:, None, None]
    total = g.sum(axis=AXES, keepdims=True)
    stretch = (g * xhat).mean(axis=AXES, keepdims=True)
    return (g - total - xhat * stretch) * rstd, *grads[1:]


def parts(grad_output, x, gamma, beta, eps):
    grads = batch_norm2d_backward(grad_output, x, gamma, beta, beta, beta, eps=eps)
    rstd = 1 / np.sqrt(x.var(axis=AXES, keepdims=True) + eps)
    return grads, (x - x.mean(axis=AXES, keepdims=True)) * rstd, rstd


@wrong("batch_norm2d", "plus before the term of the mean", "wrong sign", case=SMALL)
def batch_norm_plus_mean(
    grad_output, x, gamma, beta, running_mean, running_var, eps=1e-5
):
    grads, xhat, rstd = parts(grad_output, x, gamma, beta, eps)
    g = grad_output * gamma[:, None, None]
    mean = g.mean(axis=AXES, keepdims=True)
    stretch = (g * xhat).mean(axis=AXES, keepdims=True)
    return (g + mean - xhat * stretch) * rstd, *grads[1:]


@wrong("batch_norm2d", "rstd forgotten within the term of the variance",
       "factor left out", case=SMALL)  # fmt: skip
def batch_norm_inner_rstd(
    grad_output, x, gamma, beta, running_mean, running_var, eps=1e-5
):
    grads, xhat, rstd = parts(grad_output, x, gamma, beta, eps)
    g = grad_output * gamma[:, None, None]
    mean = g.mean(axis=AXES, keepdims=True)
    stretch = (g * xhat / rstd).mean(axis=AXES, keepdims=True)
    return (g - mean - xhat * stretch) * rstd, *grads[1:]


@wrong("batch_norm2d", "division by M - 1 in the term of the variance",
       "biased or unbiased variance", case=SMALL)  # fmt: skip
def batch_norm_term_by_m_minus_one(
    grad_output, x, gamma, beta, running_mean, running_var, eps=1e-5
):
    grads, xhat, rstd = parts(grad_output, x, gamma, beta, eps)
    g = grad_output * gamma[:, None, None]
    M = x.size // x.shape[1]
    mean = g.mean(axis=AXES, keepdims=True)
    stretch = (g * xhat).sum(axis=AXES, keepdims=True) / (M - 1)
    return (g - mean - xhat * stretch) * rstd, *grads[1:]


@wrong("gelu", "x not divided by sqrt(2) within erfc", "factor left out")
def gelu_without_root_of_two(grad_output, x):
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    return grad_output * (erfc(-x) / 2 + x * density)


@wrong("gelu", "result divided by x for the share, its derivative forgotten",
       "path of the product left out")  # fmt: skip
def gelu_share_of_result(grad_output, x):
    return grad_output * gelu(x) / x


@wrong("softmax", "one factor prob too many", "unknown")
def softmax_squared(grad_output, logits):
    prob = softmax(logits)
    return prob**2 * (grad_output - (grad_output * prob).sum(1, keepdims=True))


@wrong("cross_entropy", "e shared by the other classes only",
       "other form of the function", case="smoothed")  # fmt: skip
def cross_entropy_other_smoothing(grad_output, logits, labels, label_smoothing=0.0):
    K, e = logits.shape[1], label_smoothing
    one_hot = np.eye(K)[labels]
    target = (1 - e) * one_hot + e / (K - 1) * (1 - one_hot)
    return (softmax(logits) - target) * grad_output / len(logits)


@wrong("cross_entropy", "only the logit of the label gets a gradient",
       "only the diagonal")  # fmt: skip
def cross_entropy_label_only(grad_output, logits, labels):
    grad, rows = np.zeros_like(logits), np.arange(len(logits))
    grad[rows, labels] = softmax(logits)[rows, labels] - 1
    return grad * grad_output / len(logits)


@wrong("maxpool2d", "the maximum of each row of a window gets the gradient",
       "every element of the window", case="2")  # fmt: skip
def maxpool2d_rows(grad_output, x, kernel_size, stride=None, padding=0):
    k, grad_input = kernel_size, np.zeros_like(x)
    for n, c, p, q in np.ndindex(grad_output.shape):
        for row in range(p * k, p * k + k):
            column = q * k + x[n, c, row, q * k : q * k + k].argmax()
            grad_input[n, c, row, column] += grad_output[n, c, p, q]
    return grad_input


@wrong("maxpool2d", "windows begin at the pixel, not at the padding",
       "padding cut off wrongly", case=OVERLAPPING)  # fmt: skip
def maxpool2d_without_padding(grad_output, x, kernel_size, stride=None, padding=0):
    stride = stride or kernel_size
    k, grad_input = kernel_size, np.zeros_like(x)
    for n, c, p, q in np.ndindex(grad_output.shape):
        i, j = p * stride, q * stride
        window = x[n, c, i : i + k, j : j + k]
        if window.size:
            row, column = np.unravel_index(window.argmax(), window.shape)
            grad_input[n, c, i + row, j + column] += grad_output[n, c, p, q]
    return grad_input


@wrong("avgpool2d", "windows that hang over the border skipped",
       "wrong at the border", case=OVERLAPPING)  # fmt: skip
def avgpool2d_skips_the_border(grad_output, x, kernel_size, stride=None, padding=0):
    stride = stride or kernel_size
    (H, W), grad_input = x.shape[2:], np.zeros_like(x)
    for p, q in np.ndindex(grad_output.shape[2:]):
        i, j = p * stride - padding, q * stride - padding
        if min(i, j) < 0 or i + kernel_size > H or j + kernel_size > W:
            continue
        share = grad_output[:, :, p, q, None, None] / kernel_size**2
        grad_input[:, :, i : i + kernel_size, j : j + kernel_size] += share
    return grad_input


@wrong("global_avgpool2d", "divided by the batch as well", "mean instead of sum",
       case=Case("three images", ((3, 2, 4, 5),)))  # fmt: skip
def global_avgpool2d_batch(grad_output, x):
    return np.ones_like(x) * grad_output / (x[0, 0].size * len(x))


@wrong("linear", "bias of the first row only", "only a part of the batch", input=2)
def linear_bias_of_first_row(grad_output, x, weights):
    return grad_output @ weights, grad_output.T @ x, grad_output[0].copy()


@wrong("linear", "weight decay added", "term without the upstream gradient", input=1)
def linear_with_decay(grad_output, x, weights):
    grad_weights = grad_output.T @ x + 0.1 * weights
    return grad_output @ weights, grad_weights, grad_output.sum(axis=0)


@wrong("linear", "rows of the batch in the opposite order",
       "argument flipped", input=1)  # fmt: skip
def linear_rows_reversed(grad_output, x, weights):
    return grad_output @ weights, grad_output[::-1].T @ x, grad_output.sum(axis=0)


@wrong("add", "sign of a subtraction", "wrong sign", input=1)
def add_as_subtraction(grad_output, a, b):
    return grad_output.copy(), -grad_output


@wrong("dropout", "multiplied by 1 - p, not divided by it", "wrong factor")
def dropout_multiplied(grad_output, mask):
    return grad_output * (mask > 0) * 0.6


@wrong("relu", "another threshold", "mask of the wrong array")
def relu_other_threshold(grad_output, x):
    return grad_output * (x > 0.7)


@wrong("relu", "absolute value of the upstream gradient", "upstream gradient misused")
def relu_absolute(grad_output, x):
    return np.abs(grad_output) * (x > 0)


def unit_rows(x):
    return x / np.sqrt((x**2).sum(axis=1, keepdims=True))


SQUARES = function("square", lambda x: x**2, (3, 5))
UNIT_ROWS = function("unit_rows", unit_rows, (4, 5))
PROJECTION = function(
    "projection_block",
    lambda x, kernel, shortcut: (
        conv2d(x, kernel, None, 2, 1) + conv2d(x, shortcut, None, 2)
    ),
    (2, 3, 6, 6), (4, 3, 3, 3), (4, 3, 1, 1),
)  # fmt: skip
NETWORK = function(
    "network", lambda x, w1, w2: linear(relu(linear(x, w1)), w2), (4, 5), (6, 5), (3, 6)
)
TWICE = function("twice", lambda x, w: x @ w @ w, (4, 3), (3, 3))


@wrong("square", "2 forgotten", "wrong factor", spec=SQUARES)
def square_without_two(grad_output, x):
    return grad_output * x


@wrong("unit_rows", "norm taken for a constant",
       "wrong path through the norm", spec=UNIT_ROWS)  # fmt: skip
def unit_rows_constant_norm(grad_output, x):
    return grad_output / np.sqrt((x**2).sum(axis=1, keepdims=True))


@wrong("projection_block", "shortcut's convolution forgotten",
       "path through an input left out", spec=PROJECTION)  # fmt: skip
def projection_forgotten(grad_output, x, kernel, shortcut):
    main = conv2d_backward(grad_output, x, kernel, 2, 1)
    return main[0], main[1], conv2d_backward(grad_output, x, shortcut, 2)[1]


@wrong("network", "mask of the hidden relu forgotten",
       "unknown", spec=NETWORK)  # fmt: skip
def network_without_mask(grad_output, x, w1, w2):
    hidden = relu(linear(x, w1))
    grad_hidden = grad_output @ w2
    masked = grad_hidden * (hidden > 0)
    return grad_hidden @ w1, masked.T @ x, grad_output.T @ hidden


@wrong("twice", "the second use of the weights forgotten",
       "unknown", input=1, spec=TWICE)  # fmt: skip
def twice_first_use_only(grad_output, x, w):
    return grad_output @ w.T @ w.T, x.T @ (grad_output @ w.T)
