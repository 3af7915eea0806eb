"""Wrong tries of a residual block."""

from tries import Try

from odyssey.learn.grading import CASES, HAND

SUM = "grad_branch + grad_shortcut"

TRIES = [
    Try(
        "no shortcut",
        "return h1, n1, a1, h2, n2 + shortcut",
        "return h1, n1, a1, h2, n2",
        "residual_block",
        HAND,
        "the sum, with x",
    ),
    Try(
        "relu before the sum",
        "return h1, n1, a1, h2, n2 + shortcut",
        "return h1, n1, a1, h2, relu(n2) + shortcut",
        "residual_block",
        CASES,
        "the identity as shortcut, one channel",
    ),
    Try(
        "no relu between the convolutions",
        "a1 = relu(n1)",
        "a1 = n1",
        "residual_block",
        HAND,
        "xhat2",
    ),
    Try(
        "the stride in the second convolution too",
        "h2 = conv2d(a1, kernel2, padding=1)",
        "h2 = conv2d(a1, kernel2, stride=stride, padding=1)",
        "residual_block",
        CASES,
        "a projection: an odd size",
    ),
    Try(
        "a projection without the stride",
        "conv2d(x, kernel_proj, stride=stride)",
        "conv2d(x, kernel_proj)",
        "residual_block",
        CASES,
        "a projection: an odd size",
    ),
    Try(
        "x does not get its gradient by the shortcut",
        SUM,
        "grad_branch",
        "residual_block_backward",
        HAND,
        "grad_input: shortcut left out",
    ),
    Try(
        "x does not get its gradient by the branch",
        SUM,
        "grad_shortcut",
        "residual_block_backward",
        HAND,
        "grad_input: main path left out",
    ),
    Try(
        "the gradient is divided between both",
        "grad_sum = relu_backward(grad_output, total)",
        "grad_sum = relu_backward(grad_output, total) / 2",
        "residual_block_backward",
        HAND,
        "through the last relu: grad_sum",
    ),
    Try(
        "the last relu is forgotten",
        "grad_sum = relu_backward(grad_output, total)",
        "grad_sum = grad_output",
        "residual_block_backward",
        HAND,
        "grad_input: mask left out",
    ),
    Try(
        "the mask of the inner relu taken before batch norm",
        "grad_n1 = relu_backward(grad_a1, n1)",
        "grad_n1 = relu_backward(grad_a1, h1)",
        "residual_block_backward",
        CASES,
    ),
    Try(
        "kernel2 with the block's input",
        "conv2d_grad_kernel(grad_h2, a1, kernel2, padding=1)",
        "conv2d_grad_kernel(grad_h2, n1, kernel2, padding=1)",
        "residual_block_backward",
        HAND,
        "grad_kernel2 is wrong",
    ),
    Try(
        "the shortcut's gradient is not projected back",
        "grad_shortcut = conv2d_grad_input(grad_sum, x, kernel_proj, stride)",
        "pass",
        "residual_block_backward",
        CASES,
    ),
    Try(
        "gradients in the order of the backward",
        "        grad_kernel1,\n        grad_gamma1,\n        grad_beta1,\n"
        "        grad_kernel2,\n        grad_gamma2,\n        grad_beta2,\n",
        "        grad_kernel2,\n        grad_gamma2,\n        grad_beta2,\n"
        "        grad_kernel1,\n        grad_gamma1,\n        grad_beta1,\n",
        "residual_block_backward",
        HAND,
        "grad_kernel1: gradients in the wrong order",
    ),
]
