"""A fourth round of wrong backwards, of the library's operations alone."""

import numpy as np

from odyssey.op_specs import Case, positive
from odyssey.reference import (
    avgpool2d_backward,
    batch_norm2d_backward,
    conv2d_backward,
    cross_entropy_backward,
    gelu_backward,
    global_avgpool2d_backward,
    linear_backward,
    maxpool2d_backward,
    relu_backward,
    softmax,
    softmax_backward,
)
from zoo.wrong import wrong

AXES = (0, 2, 3)
PADDED = Case("3x3", ((3, 2, 6, 5), (4, 2, 3, 3), (4,)), {"padding": 1})
STRIDED = Case("stride 2", ((3, 2, 7, 8), (4, 2, 3, 3)), {"stride": 2, "padding": 1})
SMALL = Case("training", ((4, 3, 5, 2), (3,), (3,), (3,), positive(3)))


@wrong("conv2d", "the kernel turned in the gradient of the kernel's x",
       "argument flipped", input=1, case=PADDED)  # fmt: skip
def conv2d_image_turned(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    turned = conv2d_backward(grad_output, x[:, :, ::-1, ::-1], kernel, stride, padding)
    return grads[0], turned[1], grads[2]


@wrong("conv2d", "gradient of the input of the middle tap only",
       "unknown", case=PADDED)  # fmt: skip
def conv2d_middle_tap_only(grad_output, x, kernel, stride=1, padding=0):
    middle = np.zeros_like(kernel)
    middle[:, :, 1, 1] = kernel[:, :, 1, 1]
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    return conv2d_backward(grad_output, x, middle, stride, padding)[0], *grads[1:]


@wrong("conv2d", "gradients divided by the pixels of the result",
       "mean instead of sum", input=1, case=PADDED)  # fmt: skip
def conv2d_per_pixel(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    return grads[0], grads[1] / grad_output[0, 0].size, grads[2]


@wrong("conv2d", "even rows only, as if the stride applied to the input",
       "wrong at a phase of the stride", case=STRIDED)  # fmt: skip
def conv2d_even_rows(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    grads[0][:, :, 1::2] = 0
    return grads


@wrong("conv2d", "sign of the bias's gradient", "wrong sign", input=2, case=PADDED)
def conv2d_bias_sign(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    return *grads[:2], -grads[2]


@wrong("batch_norm2d", "the path through the mean counted twice",
       "wrong factor", case=SMALL)  # fmt: skip
def batch_norm_mean_twice(grad_output, x, gamma, beta, running_mean, running_var):
    rstd = 1 / np.sqrt(x.var(axis=AXES, keepdims=True) + 1e-5)
    xhat = (x - x.mean(axis=AXES, keepdims=True)) * rstd
    g = grad_output * gamma[:, None, None]
    shift = 2 * g.mean(axis=AXES, keepdims=True)
    stretch = (g * xhat).mean(axis=AXES, keepdims=True)
    grads = batch_norm2d_backward(grad_output, x, gamma, beta, beta, beta)
    return (g - shift - xhat * stretch) * rstd, *grads[1:]


@wrong("batch_norm2d", "gradients of gamma and beta exchanged",
       "gradients in the wrong order", input=1, case=SMALL)  # fmt: skip
def batch_norm_exchanged(grad_output, x, gamma, beta, running_mean, running_var):
    grads = batch_norm2d_backward(grad_output, x, gamma, beta, beta, beta)
    return grads[0], grads[2], grads[1]


@wrong("batch_norm2d", "gamma multiplied in twice", "unknown", case=SMALL)
def batch_norm_gamma_twice(grad_output, x, gamma, beta, running_mean, running_var):
    grads = batch_norm2d_backward(grad_output, x, gamma, beta, beta, beta)
    return grads[0] * gamma[:, None, None], *grads[1:]


@wrong("relu", "sign and mask both wrong", "unknown")
def relu_two_faults(grad_output, x):
    return -grad_output * (x < 0)


@wrong("relu", "upstream gradient turned upside down", "axes flipped")
def relu_flipped(grad_output, x):
    return relu_backward(grad_output[:, :, ::-1], x)


@wrong("gelu", "derivative as if it were relu", "unknown")
def gelu_as_relu(grad_output, x):
    return grad_output * (x > 0)


@wrong("gelu", "factor 1/2 too many", "wrong factor")
def gelu_halved(grad_output, x):
    return gelu_backward(grad_output, x) / 2


@wrong("softmax", "logits already softmaxed", "gradient at the updated value")
def softmax_twice(grad_output, logits):
    return softmax_backward(grad_output, softmax(logits))


@wrong("softmax", "upstream gradient inside the sum only",
       "term without the upstream gradient")  # fmt: skip
def softmax_only_sum(grad_output, logits):
    prob = softmax(logits)
    return prob * (1 - (grad_output * prob).sum(axis=1, keepdims=True))


@wrong("cross_entropy", "divided by all elements", "wrong factor")
def cross_entropy_by_all(grad_output, logits, labels):
    return cross_entropy_backward(grad_output, logits, labels) / logits.shape[1]


@wrong("cross_entropy", "last row of the batch forgotten", "unknown")
def cross_entropy_last_row(grad_output, logits, labels):
    grad = cross_entropy_backward(grad_output, logits, labels)
    grad[-1] = 0
    return grad


@wrong("maxpool2d", "result and gradient multiplied by the number of windows",
       "unknown", case="3 stride 1")  # fmt: skip
def maxpool2d_counted(grad_output, x, kernel_size, stride=None, padding=0):
    grad = maxpool2d_backward(grad_output, x, kernel_size, stride, padding)
    ones = np.ones_like(grad_output)
    return grad * maxpool2d_backward(ones, x, kernel_size, stride, padding)


@wrong("avgpool2d", "rows and columns of the gradient exchanged", "axes transposed",
       case=Case("square", ((2, 2, 4, 4),), {"kernel_size": 2}))  # fmt: skip
def avgpool2d_transposed(grad_output, x, kernel_size, stride=None, padding=0):
    turned = grad_output.transpose(0, 1, 3, 2)
    return avgpool2d_backward(turned, x, kernel_size, stride, padding)


@wrong("global_avgpool2d", "all of it to the first pixel", "unknown")
def global_avgpool2d_first_pixel(grad_output, x):
    grad = np.zeros_like(x)
    grad[:, :, 0, 0] = grad_output[:, :, 0, 0]
    return grad


@wrong("global_avgpool2d", "sign turned and not divided",
       "wrong sign", "sum instead of mean")  # fmt: skip
def global_avgpool2d_two_faults(grad_output, x):
    return -global_avgpool2d_backward(grad_output, x) * x[0, 0].size


@wrong("linear", "weights' gradient of the sign of x", "unknown", input=1)
def linear_sign_of_x(grad_output, x, weights):
    grads = linear_backward(grad_output, x, weights)
    return grads[0], grad_output.T @ np.sign(x), grads[2]


@wrong("add", "gradient of b of the first image only",
       "only a part of the batch", input=1, case="a number a channel")  # fmt: skip
def add_first_image(grad_output, a, b):
    return grad_output.copy(), grad_output[0].sum(axis=(1, 2))[:, None, None]


@wrong("dropout", "mask and its complement mixed up, unscaled", "mask turned round")
def dropout_complement(grad_output, mask):
    return grad_output * (1 - (mask > 0))
