"""A residual block of one width, made of the operations of `odyssey.reference`."""

import numpy as np

from odyssey.reference.activation import relu, relu_backward
from odyssey.reference.batch_norm import batch_norm2d, batch_norm2d_backward
from odyssey.reference.conv import conv2d, conv2d_backward

Array = np.ndarray
Arrays = dict[str, Array]


def residual_block(
    x: Array, kernel1: Array, gamma1: Array, beta1: Array,
    kernel2: Array, gamma2: Array, beta2: Array, eps: float = 1e-5,
) -> Arrays:  # fmt: skip
    """Return out = relu(bn2(conv2(relu(bn1(conv1(x))))) + x) and what is before it.

    x and out are (N, C, H, W), the kernels (C, C, 3, 3).
    """
    running = np.zeros_like(gamma1), np.ones_like(gamma1)  # not read in training
    conv1 = conv2d(x, kernel1, padding=1)
    bn1 = batch_norm2d(conv1, gamma1, beta1, *running, eps=eps)[0]
    relu1 = relu(bn1)
    conv2 = conv2d(relu1, kernel2, padding=1)
    branch = batch_norm2d(conv2, gamma2, beta2, *running, eps=eps)[0]
    sum_ = branch + x
    out = relu(sum_)
    values = (conv1, bn1, relu1, conv2, branch, sum_, out)
    names = ("conv1", "bn1", "relu1", "conv2", "branch", "sum", "out")
    return dict(zip(names, values, strict=True))


def residual_block_backward(
    grad_output: Array, cache: Arrays, x: Array, kernel1: Array, gamma1: Array,
    beta1: Array, kernel2: Array, gamma2: Array, beta2: Array, eps: float = 1e-5,
) -> Arrays:  # fmt: skip
    """Return all gradients by name: the forward's lines, from the last to the first."""
    running = np.zeros_like(gamma1), np.ones_like(gamma1)
    # out = relu(sum)
    grad_sum = relu_backward(grad_output, cache["sum"])
    # sum = branch + x: both get the same gradient
    grad_branch, grad_shortcut = grad_sum, grad_sum
    # branch = batch_norm2d(conv2, gamma2, beta2, ...)
    grad_conv2, grad_gamma2, grad_beta2 = batch_norm2d_backward(
        grad_branch, cache["conv2"], gamma2, beta2, *running, eps=eps
    )
    # conv2 = conv2d(relu1, kernel2, padding=1)
    grad_relu1, grad_kernel2, _ = conv2d_backward(
        grad_conv2, cache["relu1"], kernel2, padding=1
    )
    # relu1 = relu(bn1)
    grad_bn1 = relu_backward(grad_relu1, cache["bn1"])
    # bn1 = batch_norm2d(conv1, gamma1, beta1, ...)
    grad_conv1, grad_gamma1, grad_beta1 = batch_norm2d_backward(
        grad_bn1, cache["conv1"], gamma1, beta1, *running, eps=eps
    )
    # conv1 = conv2d(x, kernel1, padding=1)
    grad_by_branch, grad_kernel1, _ = conv2d_backward(grad_conv1, x, kernel1, padding=1)
    # x was used twice, by conv1 and by the addition: its gradients add up
    grad_input = grad_by_branch + grad_shortcut
    return {
        "grad_sum": grad_sum, "grad_branch": grad_branch,
        "grad_conv2": grad_conv2, "grad_gamma2": grad_gamma2, "grad_beta2": grad_beta2,
        "grad_relu1": grad_relu1, "grad_kernel2": grad_kernel2, "grad_bn1": grad_bn1,
        "grad_conv1": grad_conv1, "grad_gamma1": grad_gamma1, "grad_beta1": grad_beta1,
        "grad_by_branch": grad_by_branch, "grad_kernel1": grad_kernel1,
        "grad_shortcut": grad_shortcut, "grad_input": grad_input,
    }  # fmt: skip
