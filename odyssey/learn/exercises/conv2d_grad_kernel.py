"""The gradients of a convolution's kernel and bias."""

from dataclasses import replace
from typing import Any

from odyssey import reference
from odyssey.learn.exercise import ByHand, Exercise, Function
from odyssey.learn.exercises._convolution import GRAD_OUTPUT, KERNEL, SHARED, X


def _backward(
    ops: Any, grad_output: Any, x: Any, kernel: Any, bias: Any = None, **options: Any
) -> tuple[Any, ...]:
    grads = ops.conv2d_grad_kernel(grad_output, x, kernel, **options)
    return (None, *grads)[: 2 if bias is None else 3]


def _right(
    grad_output: Any, x: Any, kernel: Any, stride: int = 1, padding: int = 0
) -> Any:
    return reference.conv2d_backward(grad_output, x, kernel, stride, padding)[1:]


EXERCISE = Exercise(
    name="conv2d_grad_kernel",
    title="Convolution: the gradients of kernel and bias",
    task="""
    The forward of conv2d is a sum of products of a pixel and a weight:

        out[n, k, p, q] = bias[k] + sum over c, r, s of
            x_pad[n, c, p * stride + r, q * stride + s] * kernel[k, c, r, s]

    A weight kernel[k, c, r, s] is used at all places p, q of all images n, each time
    with another pixel.  So its gradient is a sum over all of them.  The bias is used at
    all places, too.
    """,
    source="odyssey.learn.solutions.conv2d_grad_kernel",
    functions=(
        Function(
            "conv2d_grad_kernel",
            results=("grad_kernel", "grad_bias"),
            says="""
            Return grad_kernel (K, C, R, S) and grad_bias (K,).

            grad_output (N, K, P, Q) is the gradient with respect to the result of
            conv2d(x, kernel, bias, stride, padding); x (N, C, H, W), kernel
            (K, C, R, S).
            """,
            right=_right,
            backward=True,
            by_hand=ByHand(
                (GRAD_OUTPUT, X, KERNEL),
                ([[[[15.0, 26.0], [22.0, 39.0]]]], [5.0]),
                """
The window lies at four places (padding 1, stride 2). The pixels under it, and the
element of grad_output for each place:
    out[0, 0]: 0 0     out[0, 1]: 0 0     out[1, 0]: 0 4     out[1, 1]: 5 6
               0 1                2 3                0 7                8 9
    times 1            times -1           times 2            times 3
grad_kernel[0, 0]: the pixels at the upper left:   1*0 - 1*0 + 2*0 + 3*5 = 15
grad_kernel[0, 1]: the pixels at the upper right:  1*0 - 1*0 + 2*4 + 3*6 = 26
grad_kernel[1, 0]: the pixels at the lower left:   1*0 - 1*2 + 2*0 + 3*8 = 22
grad_kernel[1, 1]: the pixels at the lower right:  1*1 - 1*3 + 2*7 + 3*9 = 39
grad_bias:         the bias is added at each place:  1 - 1 + 2 + 3 = 5""",
                {"stride": 2, "padding": 1},
            ),
            **{**SHARED, "spec": replace(SHARED["spec"], run_backward=_backward)},
        ),
    ),
    hints=(
        """
        Take one weight, kernel[k, c, r, s]. In which elements of out does it stand, and
        with which pixel is it multiplied in each of them? Write this down for a kernel
        of 2 taps and an image of 3 pixels.
        """,
        """
        kernel[k, c, r, s] stands in out[n, k, p, q] for all n, p and q, and is
        multiplied with x_pad[n, c, p * stride + r, q * stride + s]. So its gradient is
        the sum over n, p and q of grad_output[n, k, p, q] times that pixel. x must be
        padded as in the forward.
        """,
        """
        Loop over the elements of grad_output. At each, add to the whole of
        grad_kernel[k] the block of x_pad that was under the window there (image n, all
        channels, R rows from p * stride on, S columns from q * stride on), times this
        element of grad_output. The bias sums grad_output over all axes but that of k.
        """,
    ),
    pages=("docs/derivations/convolution.md", "odyssey/reference/conv.py"),
)
