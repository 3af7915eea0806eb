"""A residual block, made of the functions of earlier exercises."""

import numpy as np

from odyssey.learn.solutions.conv2d_grad_input import conv2d_grad_input
from odyssey.learn.solutions.conv2d_grad_kernel import conv2d_grad_kernel
from odyssey.reference.activation import relu, relu_backward
from odyssey.reference.batch_norm import batch_norm2d, batch_norm2d_backward
from odyssey.reference.conv import conv2d


def residual_block(
    x, kernel1, gamma1, beta1, kernel2, gamma2, beta2, kernel_proj=None, stride=1
):
    """Return out = relu(branch + shortcut)."""
    values = _forward(
        x, kernel1, gamma1, beta1, kernel2, gamma2, beta2, kernel_proj, stride
    )
    return relu(values[-1])


def residual_block_backward(
    grad_output,
    x,
    kernel1,
    gamma1,
    beta1,
    kernel2,
    gamma2,
    beta2,
    kernel_proj=None,
    stride=1,
):
    """Return grad_input and the gradients of the parameters, in their order."""
    h1, n1, a1, h2, total = _forward(
        x, kernel1, gamma1, beta1, kernel2, gamma2, beta2, kernel_proj, stride
    )
    # out = relu(branch + shortcut): the sum hands the same gradient to both.
    grad_sum = relu_backward(grad_output, total)

    # branch = bn2(conv2(relu(bn1(conv1(x))))), from the end to the beginning
    grad_h2, grad_gamma2, grad_beta2 = batch_norm2d_backward(
        grad_sum, h2, gamma2, beta2, *_statistics(gamma2)
    )
    grad_kernel2, _ = conv2d_grad_kernel(grad_h2, a1, kernel2, padding=1)
    grad_a1 = conv2d_grad_input(grad_h2, a1, kernel2, padding=1)
    grad_n1 = relu_backward(grad_a1, n1)
    grad_h1, grad_gamma1, grad_beta1 = batch_norm2d_backward(
        grad_n1, h1, gamma1, beta1, *_statistics(gamma1)
    )
    grad_kernel1, _ = conv2d_grad_kernel(grad_h1, x, kernel1, stride, padding=1)
    grad_branch = conv2d_grad_input(grad_h1, x, kernel1, stride, padding=1)

    # shortcut = x, or a 1x1 convolution of x
    grad_shortcut, grad_proj = grad_sum, None
    if kernel_proj is not None:
        grad_proj, _ = conv2d_grad_kernel(grad_sum, x, kernel_proj, stride)
        grad_shortcut = conv2d_grad_input(grad_sum, x, kernel_proj, stride)

    # x was used twice: its gradients add up.
    return (
        grad_branch + grad_shortcut,
        grad_kernel1,
        grad_gamma1,
        grad_beta1,
        grad_kernel2,
        grad_gamma2,
        grad_beta2,
        grad_proj,
    )


def _forward(x, kernel1, gamma1, beta1, kernel2, gamma2, beta2, kernel_proj, stride):
    """Return what the backward needs: h1, n1, a1, h2, and the sum."""
    h1 = conv2d(x, kernel1, stride=stride, padding=1)
    n1, _, _ = batch_norm2d(h1, gamma1, beta1, *_statistics(gamma1))
    a1 = relu(n1)
    h2 = conv2d(a1, kernel2, padding=1)
    n2, _, _ = batch_norm2d(h2, gamma2, beta2, *_statistics(gamma2))
    shortcut = x if kernel_proj is None else conv2d(x, kernel_proj, stride=stride)
    return h1, n1, a1, h2, n2 + shortcut


def _statistics(gamma):
    """Return a running mean and variance, which training does not use."""
    return np.zeros_like(gamma), np.ones_like(gamma)
