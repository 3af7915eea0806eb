"""Wrong tries of the gradients of a convolution's kernel and bias."""

from tries import Try

from odyssey.learn.grading import CASES, HAND

SUM = 'np.einsum("nkpq,ncpq->kc", grad_output, x_pad[taps])'

TRIES = [
    Try(
        "mean over the images",
        SUM,
        f"{SUM} / len(x)",
        "conv2d_grad_kernel",
        CASES,
        "grad_kernel: wrong factor",
    ),
    Try(
        "kernel turned",
        "grad_kernel[:, :, r, s] =",
        "grad_kernel[:, :, R - 1 - r, S - 1 - s] =",
        "conv2d_grad_kernel",
        HAND,
        "grad_kernel: axes flipped",
    ),
    Try(
        "stride left out",
        "r : r + P * stride : stride, s : s + Q * stride : stride",
        "r : r + P, s : s + Q",
        "conv2d_grad_kernel",
        HAND,
        "grad_kernel: stride left out",
    ),
    Try(
        "padding left out",
        "r : r + P * stride : stride, s : s + Q * stride : stride]",
        "padding + r : padding + r + P * stride : stride,"
        " padding + s : padding + s + Q * stride : stride]",
        "conv2d_grad_kernel",
        HAND,
    ),
    Try(
        "channels of input and output mixed up",
        '"nkpq,ncpq->kc"',
        '"nkpq,ncpq->ck"',
        "conv2d_grad_kernel",
        CASES,
    ),
    Try(
        "bias of all kernels the same",
        "grad_output.sum(axis=(0, 2, 3))",
        "np.full(len(kernel), grad_output.sum())",
        "conv2d_grad_kernel",
        CASES,
        "grad_bias",
    ),
    Try(
        "bias of the first image",
        "grad_output.sum(axis=(0, 2, 3))",
        "grad_output[0].sum(axis=(1, 2))",
        "conv2d_grad_kernel",
        CASES,
        "grad_bias: only a part of the batch",
    ),
    Try(
        "the bias is forgotten",
        "return grad_kernel, grad_output.sum(axis=(0, 2, 3))",
        "return grad_kernel",
        "conv2d_grad_kernel",
        HAND,
        "it must return 2 results, grad_kernel, grad_bias; yours returns one result",
    ),
]
