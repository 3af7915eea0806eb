"""The gradient of a convolution's input."""

from dataclasses import replace
from typing import Any

from odyssey import reference
from odyssey.learn.exercise import ByHand, Exercise, Function
from odyssey.learn.exercises._convolution import GRAD_OUTPUT, KERNEL, SHARED, X


def _backward(
    ops: Any, grad_output: Any, x: Any, kernel: Any, bias: Any = None, **options: Any
) -> tuple[Any, ...]:
    return (ops.conv2d_grad_input(grad_output, x, kernel, **options),)


def _right(
    grad_output: Any, x: Any, kernel: Any, stride: int = 1, padding: int = 0
) -> Any:
    return reference.conv2d_backward(grad_output, x, kernel, stride, padding)[0]


EXERCISE = Exercise(
    name="conv2d_grad_input",
    title="Convolution: the gradient of the input, with stride and padding",
    task="""
    The forward of conv2d is a sum of products of a pixel and a weight:

        out[n, k, p, q] = bias[k] + sum over c, r, s of
            x_pad[n, c, p * stride + r, q * stride + s] * kernel[k, c, r, s]

    Windows overlap, so a pixel is used at several places, under another tap each time,
    and by all K kernels.  With a stride above 1 some pixels are under fewer taps than
    others, and some under none.  x_pad has a gradient too; what is in its border
    belongs to zeros that were not in x.
    """,
    source="odyssey.learn.solutions.conv2d_grad_input",
    functions=(
        Function(
            "conv2d_grad_input",
            results=("grad_input",),
            says="""
            Return grad_input (N, C, H, W).

            grad_output (N, K, P, Q) is the gradient with respect to the result of
            conv2d(x, kernel, bias, stride, padding); x (N, C, H, W), kernel
            (K, C, R, S).
            """,
            right=_right,
            backward=True,
            by_hand=ByHand(
                (GRAD_OUTPUT, X, KERNEL),
                [[[[1.0, 1.0, -2.0], [2.0, 6.0, 7.0], [0.0, -2.0, -3.0]]]],
                """
The window lies at four places. At each, the pixels under it receive the weights
    1  2
    0 -1    times the element of grad_output, which is 1, -1, 2 and 3:
    out[0, 0]:  1  2  .   out[0, 1]:  . -1 -2
                0 -1  .               .  0  1
                .  .  .               .  .  .
    out[1, 0]:  .  .  .   out[1, 1]:  .  .  .
                2  4  .               .  3  6
                0 -2  .               .  0 -3
The pixel in the middle is in all four:  -1 + 0 + 4 + 3 = 6""",
            ),
            **{**SHARED, "spec": replace(SHARED["spec"], run_backward=_backward)},
        ),
    ),
    hints=(
        """
        Think of the forward: the element [n, k, p, q] of out reads a block of R x S
        pixels. In the backward it gives something back to each pixel of the same block.
        Which factor stands at the pixel (r, s) of the block?
        """,
        """
        The factor is kernel[k, c, r, s], the same that the pixel was multiplied with.
        Blocks overlap, so what arrives must be added up (+=, not =). Let the gradients
        arrive in an array of the size of x_pad first, so that no index can leave it.
        """,
        """
        Make zeros of the shape of x_pad. For each n, k, p and q add kernel[k] times the
        element of grad_output to the block of image n that begins at row p * stride and
        column q * stride. In the end cut the border of width padding off; with padding
        0 the slice padding : -padding would be empty, so use padding : padding + H.
        """,
    ),
    pages=("docs/derivations/convolution.md", "odyssey/reference/conv.py"),
)
