"""Wrong backwards that were written when the diagnosis was done, to see what it misses.

Half of them are of functions that the library does not have.
"""

import numpy as np

from odyssey.op_specs import Case, OpSpec, distinct, nonzero, window
from odyssey.reference import (
    batch_norm2d_backward,
    conv2d,
    conv2d_backward,
    relu,
    softmax,
)
from zoo.wrong import wrong

PADDED = Case("3x3", ((3, 2, 6, 5), (4, 2, 3, 3), (4,)), {"padding": 1})
STRIDED = Case("stride 2", ((3, 2, 6, 6), (4, 2, 3, 3)), {"stride": 2, "padding": 1})
NEGATIVE = Case("about 0", (lambda rng: distinct(2, 3, 4, 6)(rng) - 5,), window(2))
OVERLAPPING = "3 stride 2 padded"


def function(name, forward, *shapes):
    case = Case(name, tuple(shapes))
    return OpSpec(
        name,
        (case,),
        bars=(0,) * (len(shapes) + 1),
        run_forward=lambda ops, *inputs: (forward(*inputs),),
    )


def layer_norm(x):
    centred = x - x.mean(axis=1, keepdims=True)
    return centred / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)


def log_softmax(x):
    return np.log(softmax(x))


SIGMOID = function("sigmoid", lambda x: 1 / (1 + np.exp(-x)), (3, 5))
TANH = function("tanh", np.tanh, (3, 5))
LEAKY = function("leaky_relu", lambda x: np.where(x > 0, x, 0.1 * x), nonzero(4, 5))
LAYER_NORM = function("layer_norm", layer_norm, (4, 7))
LOG_SOFTMAX = function("log_softmax", log_softmax, (4, 5))
MSE = function("mse", lambda x, y: float(((x - y) ** 2).mean()), (5, 3), (5, 3))
NORM = function("norm", lambda x: float(np.sqrt((x**2).sum())), (3, 4))
MATMUL = function("matmul", lambda a, b: a @ b, (3, 4), (4, 4))


@wrong("sigmoid", "x in the place of the sigmoid", "unknown", spec=SIGMOID)
def sigmoid_of_x(grad_output, x):
    return grad_output * x * (1 - x)


@wrong("tanh", "square forgotten", "unknown", spec=TANH)
def tanh_without_square(grad_output, x):
    return grad_output * (1 - np.tanh(x))


@wrong("leaky_relu", "slope on the other side", "mask turned round", spec=LEAKY)
def leaky_relu_other_side(grad_output, x):
    return np.where(x < 0, grad_output, 0.1 * grad_output)


@wrong("leaky_relu", "zero where the slope is small", "mask too many", spec=LEAKY)
def leaky_relu_as_relu(grad_output, x):
    return grad_output * (x > 0)


@wrong("layer_norm", "term of the mean forgotten",
       "path through the mean left out", spec=LAYER_NORM)  # fmt: skip
def layer_norm_without_mean(grad_output, x):
    rstd = 1 / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
    xhat = layer_norm(x)
    return rstd * (grad_output - xhat * (grad_output * xhat).mean(1, keepdims=True))


@wrong("layer_norm", "mean and variance taken for constants",
       "path through the mean and the variance left out",
       spec=LAYER_NORM)  # fmt: skip
def layer_norm_constants(grad_output, x):
    return grad_output / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)


@wrong("log_softmax", "sum of the upstream gradient forgotten",
       "term without the upstream gradient",
       spec=LOG_SOFTMAX)  # fmt: skip
def log_softmax_without_sum(grad_output, x):
    return grad_output - softmax(x)


@wrong("mse", "2 of the square forgotten", "wrong factor", spec=MSE)
def mse_without_two(grad_output, x, y):
    return (x - y) * grad_output / x.size, -2 * (x - y) * grad_output / x.size


@wrong("mse", "divided by the rows only", "wrong factor", spec=MSE)
def mse_by_rows(grad_output, x, y):
    grad = 2 * (x - y) * grad_output / len(x)
    return grad, -2 * (x - y) * grad_output / x.size


@wrong("mse", "sign of the second gradient forgotten", "wrong sign", input=1, spec=MSE)
def mse_same_sign(grad_output, x, y):
    grad = 2 * (x - y) * grad_output / x.size
    return grad, grad.copy()


@wrong("norm", "division by the norm forgotten", "wrong factor", spec=NORM)
def norm_without_division(grad_output, x):
    return grad_output * x


@wrong("matmul", "second matrix not transposed, as it is square",
       "argument transposed", spec=MATMUL)  # fmt: skip
def matmul_not_transposed(grad_output, a, b):
    return grad_output @ b, a.T @ grad_output


@wrong("conv2d", "bias summed over batch and rows, not over columns",
       "summed over too few axes", input=2, case=PADDED)  # fmt: skip
def conv2d_bias_over_rows(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    return *grads[:2], grad_output.sum(axis=(0, 2))


@wrong("conv2d", "return within the loop over output channels",
       "overwritten instead of added", case=PADDED)  # fmt: skip
def conv2d_first_channel(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    first = conv2d_backward(grad_output[:, :1], x, kernel[:1], stride, padding)
    return first[0], *grads[1:]


@wrong("conv2d", "result in the place of the upstream gradient",
       "upstream gradient left out", input=1, case=PADDED)  # fmt: skip
def conv2d_of_the_result(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    out = conv2d(x, kernel, None, stride, padding)
    return grads[0], conv2d_backward(out, x, kernel, stride, padding)[1], grads[2]


@wrong("conv2d", "kernel turned upside down only", "argument flipped", case=PADDED)
def conv2d_upside_down(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    turned = kernel[:, :, ::-1]
    return conv2d_backward(grad_output, x, turned, stride, padding)[0], *grads[1:]


@wrong("conv2d", "gradient spread by the stride, one pixel too late",
       "padding cut off wrongly", case=STRIDED)  # fmt: skip
def conv2d_one_late(grad_output, x, kernel, stride=1, padding=0):
    (N, K, P, Q), (H, W) = grad_output.shape, x.shape[2:]
    wide = np.zeros((N, K, H + 2, W + 2))
    wide[:, :, 1 : 1 + 2 * P : 2, 1 : 1 + 2 * Q : 2] = grad_output
    wide = wide[:, :, :H, :W]
    turned = kernel.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
    grad_input = conv2d(wide, turned, padding=1)
    return grad_input, *conv2d_backward(grad_output, x, kernel, stride, padding)[1:]


@wrong("batch_norm2d", "gradient of gamma averaged over the batch",
       "mean instead of sum", input=1)  # fmt: skip
def batch_norm_gamma_averaged(
    grad_output, x, gamma, beta, running_mean, running_var, eps=1e-5
):
    grads = batch_norm2d_backward(
        grad_output, x, gamma, beta, running_mean, running_var, eps=eps
    )
    return grads[0], grads[1] / len(x), grads[2]


@wrong("batch_norm2d", "means over the images only, not over the batch",
       "statistics of the wrong values")  # fmt: skip
def batch_norm_means_of_images(
    grad_output, x, gamma, beta, running_mean, running_var, eps=1e-5
):
    grads = batch_norm2d_backward(
        grad_output, x, gamma, beta, running_mean, running_var, eps=eps
    )
    rstd = 1 / np.sqrt(x.var(axis=(0, 2, 3), keepdims=True) + eps)
    xhat = (x - x.mean(axis=(0, 2, 3), keepdims=True)) * rstd
    g = grad_output * gamma[:, None, None]
    mean = g.mean(axis=(2, 3), keepdims=True)
    stretch = (g * xhat).mean(axis=(2, 3), keepdims=True)
    return (g - mean - xhat * stretch) * rstd, *grads[1:]


@wrong("maxpool2d", "place of the largest absolute value",
       "wrong element of the window", case=NEGATIVE)  # fmt: skip
def maxpool2d_absolute(grad_output, x, kernel_size, stride=None, padding=0):
    k = kernel_size
    grad_input = np.zeros_like(x)
    for n, c, p, q in np.ndindex(grad_output.shape):
        pixels = x[n, c, p * k : p * k + k, q * k : q * k + k]
        row, column = divmod(np.abs(pixels).argmax(), k)
        grad_input[n, c, p * k + row, q * k + column] += grad_output[n, c, p, q]
    return grad_input


@wrong("maxpool2d", "all elements equal to the maximum of the channel",
       "unknown", case="2")  # fmt: skip
def maxpool2d_of_the_channel(grad_output, x, kernel_size, stride=None, padding=0):
    mask = x == x.max(axis=(2, 3), keepdims=True)
    wide = grad_output.repeat(kernel_size, 2).repeat(kernel_size, 3)
    return mask * wide


@wrong("avgpool2d", "windows begin at the pixel, not at the padding",
       "padding cut off wrongly", case=OVERLAPPING)  # fmt: skip
def avgpool2d_without_padding(grad_output, x, kernel_size, stride=None, padding=0):
    stride = stride or kernel_size
    (N, C, H, W), (P, Q) = x.shape, grad_output.shape[2:]
    grad_input = np.zeros((N, C, H + 9, W + 9))
    for p, q in np.ndindex(P, Q):
        i, j = p * stride, q * stride
        share = grad_output[:, :, p, q, None, None] / kernel_size**2
        grad_input[:, :, i : i + kernel_size, j : j + kernel_size] += share
    return grad_input[:, :, :H, :W]


@wrong("global_avgpool2d", "divided by the channels as well", "wrong factor")
def global_avgpool2d_channels(grad_output, x):
    return np.ones_like(x) * grad_output / x[0].size


@wrong("dropout", "scaled by 1 / p in the place of 1 / (1 - p)", "wrong factor")
def dropout_scaled_by_p(grad_output, mask):
    return grad_output * (mask > 0) / 0.4


@wrong("relu", "brackets forgotten: (g * x) > 0", "upstream gradient misused")
def relu_brackets(grad_output, x):
    return (grad_output * x > 0).astype(float)


@wrong("add", "summed over rows, not columns, of a square",
       "summed over the wrong axes", input=1,
       case=Case("square", ((4, 4), (4,))))  # fmt: skip
def add_over_the_wrong_axis(grad_output, a, b):
    return grad_output.copy(), grad_output.sum(axis=1)


@wrong("cross_entropy", "labels counted from 1", "unknown")
def cross_entropy_labels_from_one(grad_output, logits, labels):
    target = np.eye(logits.shape[1])[labels - 1]
    return (softmax(logits) - target) * grad_output / len(logits)


def block(x, kernel):
    return relu(x + conv2d(x, kernel, padding=1))


BLOCK = function("small_block", block, (2, 3, 4, 5), (3, 3, 3, 3))


@wrong("small_block", "shortcut added twice", "shortcut added twice", spec=BLOCK)
def block_shortcut_twice(grad_output, x, kernel):
    grad = grad_output * (block(x, kernel) > 0)
    grads = conv2d_backward(grad, x, kernel, padding=1)
    return grads[0] + 2 * grad, grads[1]


@wrong("small_block", "shortcut multiplied, not added",
       "upstream gradient misused", spec=BLOCK)  # fmt: skip
def block_shortcut_multiplied(grad_output, x, kernel):
    grad = grad_output * (block(x, kernel) > 0)
    grads = conv2d_backward(grad, x, kernel, padding=1)
    return grads[0] * grad, grads[1]
