"""Wrong backwards of a residual block, and of a linear layer with relu."""

import numpy as np

from odyssey.op_specs import Case, OpSpec
from odyssey.reference import conv2d, conv2d_backward, linear, relu
from zoo.wrong import wrong


def residual_block(ops, x, kernel1, kernel2):
    """relu(x + conv2(relu(conv1(x)))), each kernel 3 x 3 with padding 1."""
    hidden = relu(conv2d(x, kernel1, padding=1))
    return (relu(x + conv2d(hidden, kernel2, padding=1)),)


def linear_relu(ops, x, weights):
    return (relu(linear(x, weights)),)


BLOCK = OpSpec(
    "residual_block",
    (Case("two convolutions", ((2, 3, 4, 5), (3, 3, 3, 3), (3, 3, 3, 3))),),
    bars=(0, 0, 0, 0),
    run_forward=residual_block,
)
LINEAR_RELU = OpSpec(
    "linear_relu",
    (Case("square", ((5, 4), (4, 4))),),
    bars=(0, 0, 0),
    run_forward=linear_relu,
)


def forward_again(x, kernel1, kernel2):
    before = conv2d(x, kernel1, padding=1)
    hidden = relu(before)
    return before, hidden, x + conv2d(hidden, kernel2, padding=1)


def backward(grad_sum, x, kernel1, kernel2, *, mask=True):
    """The main path's gradients, of the gradient of the sum."""
    before, hidden, _ = forward_again(x, kernel1, kernel2)
    grad_hidden, grad_kernel2, _ = conv2d_backward(grad_sum, hidden, kernel2, padding=1)
    grad_before = grad_hidden * (before > 0) if mask else grad_hidden
    grad_main, grad_kernel1, _ = conv2d_backward(grad_before, x, kernel1, padding=1)
    return grad_main, grad_kernel1, grad_kernel2


@wrong("residual_block", "shortcut forgotten", "shortcut left out", spec=BLOCK)
def block_without_shortcut(grad_output, x, kernel1, kernel2):
    total = forward_again(x, kernel1, kernel2)[2]
    return backward(grad_output * (total > 0), x, kernel1, kernel2)


@wrong("residual_block", "main path forgotten", "main path left out", spec=BLOCK)
def block_without_main(grad_output, x, kernel1, kernel2):
    total = forward_again(x, kernel1, kernel2)[2]
    grad_sum = grad_output * (total > 0)
    return grad_sum, *backward(grad_sum, x, kernel1, kernel2)[1:]


@wrong("residual_block", "last relu masked by x, not by the sum",
       "mask of the wrong array", spec=BLOCK)  # fmt: skip
def block_mask_of_x(grad_output, x, kernel1, kernel2):
    grad_sum = grad_output * (x > 0)
    grads = backward(grad_sum, x, kernel1, kernel2)
    return grads[0] + grad_sum, *grads[1:]


@wrong("residual_block", "last relu forgotten", "mask left out", spec=BLOCK)
def block_without_last_relu(grad_output, x, kernel1, kernel2):
    grads = backward(grad_output, x, kernel1, kernel2)
    return grads[0] + grad_output, *grads[1:]


@wrong("residual_block", "upstream gradient added before its relu",
       "mask left out", spec=BLOCK)  # fmt: skip
def block_shortcut_before_relu(grad_output, x, kernel1, kernel2):
    total = forward_again(x, kernel1, kernel2)[2]
    grads = backward(grad_output * (total > 0), x, kernel1, kernel2)
    return grads[0] + grad_output, *grads[1:]


@wrong("residual_block", "gradients of both kernels exchanged",
       "gradients in the wrong order", input=1, spec=BLOCK)  # fmt: skip
def block_kernels_exchanged(grad_output, x, kernel1, kernel2):
    total = forward_again(x, kernel1, kernel2)[2]
    grad_sum = grad_output * (total > 0)
    grads = backward(grad_sum, x, kernel1, kernel2)
    return grads[0] + grad_sum, grads[2], grads[1]


@wrong("linear_relu", "mask of the input, taken after the product",
       "mask of the wrong array", spec=LINEAR_RELU)  # fmt: skip
def linear_relu_mask_after(grad_output, x, weights):
    out = linear(x, weights)
    grad = grad_output * (out > 0)
    return (grad_output @ weights) * (x > 0), grad.T @ x


@wrong("linear_relu", "mask forgotten", "mask left out", input=1, spec=LINEAR_RELU)
def linear_relu_without_mask(grad_output, x, weights):
    out = linear(x, weights)
    return (grad_output * (out > 0)) @ weights, grad_output.T @ x


@wrong("linear_relu", "mask of the upstream gradient",
       "mask of the wrong array", spec=LINEAR_RELU)  # fmt: skip
def linear_relu_mask_of_upstream(grad_output, x, weights):
    grad = np.where(grad_output > 0, grad_output, 0)
    out = linear(x, weights)
    return grad @ weights, (grad_output * (out > 0)).T @ x
