"""Wrong tries of the gradient of a convolution's input."""

from tries import Try

from odyssey.learn.grading import CASES, HAND

ADD = """grad_input_pad[taps] += np.einsum(
            "nkpq,kc->ncpq", grad_output, kernel[:, :, r, s]
        )"""
CROP = "grad_input_pad[:, :, padding : padding + H, padding : padding + W]"

TRIES = [
    Try(
        "the last window only",
        "grad_input_pad[taps] +=",
        "grad_input_pad[taps] =",
        "conv2d_grad_input",
        HAND,
        "grad_input: overwritten instead of added",
    ),
    Try(
        "kernel turned where it must not be",
        "kernel[:, :, r, s]",
        "kernel[:, :, R - 1 - r, S - 1 - s]",
        "conv2d_grad_input",
        HAND,
        "grad_input: kernel not turned",
    ),
    Try(
        "stride left out",
        "r : r + P * stride : stride, s : s + Q * stride : stride",
        "r : r + P, s : s + Q",
        "conv2d_grad_input",
        CASES,
        "grad_input: stride left out",
    ),
    Try(
        "cut off at minus padding",
        CROP,
        "grad_input_pad[:, :, padding:-padding, padding:-padding]",
        "conv2d_grad_input",
        HAND,
        "grad_input must be an array of shape (1, 1, 3, 3) and dtype float64; yours "
        "is an array of shape (1, 1, 0, 0)",
    ),
    Try(
        "the border is kept in place of the image's end",
        CROP,
        "grad_input_pad[:, :, :H, :W]",
        "conv2d_grad_input",
        CASES,
        "grad_input: padding cut off wrongly",
    ),
    Try(
        "no border",
        f"return {CROP}",
        "return grad_input_pad",
        "conv2d_grad_input",
        CASES,
        "grad_input must be an array of shape",
    ),
    Try(
        "kernels mixed up with channels",
        '"nkpq,kc->ncpq", grad_output, kernel[:, :, r, s]',
        '"nkpq,ck->ncpq", grad_output, kernel[:, :, r, s]',
        "conv2d_grad_input",
        CASES,
    ),
]
