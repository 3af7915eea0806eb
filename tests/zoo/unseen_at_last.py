"""A third round of wrong backwards, many of functions that Odyssey does not have."""

import numpy as np

from odyssey.op_specs import Case, positive, window
from odyssey.reference import (
    batch_norm2d,
    batch_norm2d_backward,
    conv2d_backward,
    cross_entropy_backward,
    gelu_backward,
    linear_backward,
    maxpool2d_backward,
    softmax,
)
from zoo.unseen import function
from zoo.wrong import wrong

AXES = (0, 2, 3)
PADDED = Case("3x3", ((3, 2, 6, 5), (4, 2, 3, 3), (4,)), {"padding": 1})
STRIDED = Case("stride 2", ((3, 2, 7, 7), (4, 2, 3, 3)), {"stride": 2})
SMALL = Case("training", ((4, 3, 5, 2), (3,), (3,), (3,), positive(3)))
OVERLAPPING = "3 stride 2 padded"


@wrong("conv2d", "each bias gets the sum over all channels",
       "upstream gradient misused", input=2, case=PADDED)  # fmt: skip
def conv2d_bias_of_all_channels(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    return *grads[:2], np.full(len(kernel), grad_output.sum())


@wrong("conv2d", "stride left out in the columns only",
       "stride left out", input=1, case=STRIDED)  # fmt: skip
def conv2d_without_stride_in_columns(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    P, Q = grad_output.shape[2:]
    grad_kernel = np.zeros_like(kernel)
    for r, s in np.ndindex(kernel.shape[2:]):
        taps = x[:, :, r : r + P * stride : stride, s : s + Q]
        grad_kernel[:, :, r, s] = np.einsum("nkpq,ncpq->kc", grad_output, taps)
    return grads[0], grad_kernel, grads[2]


@wrong("conv2d", "gradient of the input averaged over the batch",
       "mean instead of sum", case=PADDED)  # fmt: skip
def conv2d_grad_input_mean(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    return grads[0] / len(x), *grads[1:]


@wrong("batch_norm2d", "divided by gamma, not multiplied", "unknown", case=SMALL)
def batch_norm_divided_by_gamma(grad_output, x, gamma, beta, running_mean, running_var):
    grads = batch_norm2d_backward(grad_output, x, gamma, beta, beta, beta)
    return grads[0] / gamma[:, None, None] ** 2, *grads[1:]


@wrong("batch_norm2d", "gradient of gamma with the result, not the normalised x",
       "not normalised", input=1, case=SMALL)  # fmt: skip
def batch_norm_gamma_of_result(grad_output, x, gamma, beta, running_mean, running_var):
    grads = batch_norm2d_backward(grad_output, x, gamma, beta, beta, beta)
    out = batch_norm2d(x, gamma, beta, running_mean, running_var)[0]
    return grads[0], (grad_output * out).sum(AXES), grads[2]


@wrong("batch_norm2d", "rstd forgotten in evaluation", "factor left out",
       case="evaluation")  # fmt: skip
def batch_norm_evaluation_without_rstd(
    grad_output, x, gamma, beta, running_mean, running_var, training=True
):
    grads = batch_norm2d_backward(
        grad_output, x, gamma, beta, running_mean, running_var, training
    )
    return grad_output * gamma[:, None, None], *grads[1:]


@wrong("gelu", "1 / cosh, without its square", "factor left out", case="a matrix")
def gelu_sech(grad_output, x, approximate="none"):
    inner = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
    slope = np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x**2) / np.cosh(inner)
    return grad_output * ((1 + np.tanh(inner)) / 2 + x * slope / 2)


@wrong("gelu", "gradient of gelu squared", "upstream gradient misused")
def gelu_of_squares(grad_output, x):
    return gelu_backward(grad_output**2, x)


@wrong("softmax", "sum not multiplied by prob", "factor left out")
def softmax_sum_alone(grad_output, logits):
    prob = softmax(logits)
    return prob * grad_output - (grad_output * prob).sum(1, keepdims=True)


@wrong("softmax", "sums along the wrong axis by broadcasting, of a square",
       "statistics of the wrong values", case=Case("square", ((4, 4),)))  # fmt: skip
def softmax_broadcast(grad_output, logits):
    prob = softmax(logits)
    return prob * (grad_output - (grad_output * prob).sum(axis=1))


@wrong("cross_entropy", "divided by one less than the batch", "wrong factor")
def cross_entropy_by_n_minus_one(grad_output, logits, labels):
    grad = cross_entropy_backward(grad_output, logits, labels)
    return grad * len(logits) / (len(logits) - 1)


@wrong("cross_entropy", "most likely class in the place of a distribution",
       "unknown", case="distributions")  # fmt: skip
def cross_entropy_of_argmax(grad_output, logits, labels):
    return cross_entropy_backward(grad_output, logits, labels.argmax(axis=1))


@wrong("maxpool2d", "windows assign, from the last to the first",
       "overwritten instead of added", case=OVERLAPPING)  # fmt: skip
def maxpool2d_assigns_backwards(grad_output, x, kernel_size, stride=None, padding=0):
    stride = stride or kernel_size
    k, grad_input = kernel_size, np.zeros_like(x)
    for n, c, p, q in reversed(list(np.ndindex(grad_output.shape))):
        top, left = p * stride - padding, q * stride - padding
        rows, cols = slice(max(top, 0), top + k), slice(max(left, 0), left + k)
        pixels = x[n, c, rows, cols]
        at = np.unravel_index(pixels.argmax(), pixels.shape)
        grad_input[n, c, rows, cols][at] = grad_output[n, c, p, q]
    return grad_input


@wrong("maxpool2d", "gradient divided by the size of the window", "wrong factor",
       case="3 stride 1")  # fmt: skip
def maxpool2d_divided(grad_output, x, kernel_size, stride=None, padding=0):
    grad = maxpool2d_backward(grad_output, x, kernel_size, stride, padding)
    return grad / kernel_size**2


@wrong("avgpool2d", "last window of rows and columns left out of the loops",
       "wrong in the last window",
       case=Case("4x6", ((2, 3, 4, 6),), window(2)))  # fmt: skip
def avgpool2d_without_last_windows(grad_output, x, kernel_size, stride=None, padding=0):
    k, grad_input = kernel_size, np.zeros_like(x)
    for i in range(0, x.shape[2] - k, k):
        for j in range(0, x.shape[3] - k, k):
            share = grad_output[:, :, i // k, j // k, None, None] / k**2
            grad_input[:, :, i : i + k, j : j + k] += share
    return grad_input


@wrong("global_avgpool2d", "summed over the channels", "upstream gradient misused")
def global_avgpool2d_of_all_channels(grad_output, x):
    total = grad_output.sum(axis=1, keepdims=True)
    return np.ones_like(x) * total / x[0, 0].size


@wrong("linear", "mask of a relu that is not there", "mask too many")
def linear_with_mask(grad_output, x, weights):
    grads = linear_backward(grad_output, x, weights)
    return grads[0] * (x > 0), *grads[1:]


@wrong("linear", "batch summed before the product", "upstream gradient misused",
       input=1)  # fmt: skip
def linear_summed_before(grad_output, x, weights):
    grad_weights = np.outer(grad_output.sum(axis=0), x.sum(axis=0))
    return grad_output @ weights, grad_weights, grad_output.sum(axis=0)


@wrong("add", "one of two repeated axes summed", "summed over too few axes",
       case="both stretched")  # fmt: skip
def add_one_axis_of_two(grad_output, a, b):
    return grad_output.copy(), grad_output.sum(0).sum(1, keepdims=True)


@wrong("dropout", "gradient handed on as it is", "mask left out")
def dropout_identity(grad_output, mask):
    return grad_output.copy()


RELU6 = function("relu6", lambda x: np.clip(9 * x, 0, 6), (4, 6))
HALF_SQUARE = function("half_square", lambda x: float((x**2).sum() / 2), (3, 4))
LOG = function("log", np.log, positive(3, 4))
EXP = function("exp", np.exp, (3, 4))
DIVIDE = function("divide", np.divide, (3, 4), positive(3, 4))
MEAN = function("mean", lambda x: x.mean(axis=0), (5, 4))
TURN = function("transpose", lambda x: np.ascontiguousarray(x.T), (4, 4))
JOIN = function("concatenate", lambda a, b: np.concatenate([a, b]), (3, 4), (3, 4))
ROWS = np.array([0, 2, 2, 1, 0, 2])
LOOK_UP = function("look_up", lambda table: table[ROWS], (4, 3))
CUMULATE = function("cumsum", lambda x: np.cumsum(x, axis=1), (3, 5))


@wrong("relu6", "upper bound forgotten", "mask of the wrong array", spec=RELU6)
def relu6_without_bound(grad_output, x):
    return 9 * grad_output * (x > 0)


@wrong("half_square", "1/2 forgotten", "wrong factor", spec=HALF_SQUARE)
def half_square_doubled(grad_output, x):
    return 2 * x * grad_output


@wrong("log", "x in the place of 1 / x", "unknown", spec=LOG)
def log_times_x(grad_output, x):
    return grad_output * x


@wrong("exp", "rule of powers", "unknown", spec=EXP)
def exp_as_power(grad_output, x):
    return grad_output * x * np.exp(x - 1)


@wrong("divide", "minus forgotten", "wrong sign", input=1, spec=DIVIDE)
def divide_without_minus(grad_output, a, b):
    return grad_output / b, grad_output * a / b**2


@wrong("divide", "numerator forgotten", "unknown", input=1, spec=DIVIDE)
def divide_without_numerator(grad_output, a, b):
    return grad_output / b, -grad_output / b**2


@wrong("mean", "not divided by the count", "sum instead of mean", spec=MEAN)
def mean_not_divided(grad_output, x):
    return np.broadcast_to(grad_output, x.shape).copy()


@wrong("transpose", "not turned back, of a square", "axes transposed", spec=TURN)
def transpose_kept(grad_output, x):
    return grad_output.copy()


@wrong("concatenate", "halves exchanged", "gradients in the wrong order", spec=JOIN)
def concatenate_exchanged(grad_output, a, b):
    return grad_output[len(a) :].copy(), grad_output[: len(a)].copy()


@wrong("look_up", "rows assigned, not added", "overwritten instead of added",
       spec=LOOK_UP)  # fmt: skip
def look_up_assigns(grad_output, table):
    grad = np.zeros_like(table)
    grad[ROWS] = grad_output
    return grad


@wrong("cumsum", "summed forwards, not backwards", "unknown", spec=CUMULATE)
def cumsum_forwards(grad_output, x):
    return np.cumsum(grad_output, axis=1)
