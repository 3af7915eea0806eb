"""Average pooling, of windows and of whole images, and the backward of both."""

from dataclasses import replace
from typing import Any

import numpy as np

from odyssey.learn.exercise import ByHand, Exercise, Function, spec_of
from odyssey.learn.exercises._pooling import drawing
from odyssey.op_specs import Case, window


def _pixels(*shape: int) -> Any:
    return lambda rng: rng.standard_normal(shape)


def _draw_whole(rng: np.random.Generator) -> Case:
    shape = tuple(int(n) for n in rng.integers(1, 4, 4))
    return Case(f"random, shape {shape}", (shape,))


SPEC = spec_of("avgpool2d")

#: Each has one thing more than the case by hand, and is small enough to look at.
FIRST = (
    Case("padding of 1", ((1, 1, 2, 4),), window(2, stride=2, padding=1)),
    Case("no stride given: that of the window", ((1, 1, 2, 4),), window(2)),
    Case("two images of two channels", ((2, 2, 2, 2),), window(2)),
    Case("a column is left over", ((1, 1, 2, 5),), window(2, stride=2)),
    Case("windows overlap", ((1, 1, 3, 4),), window(3, stride=1)),
)

WINDOWS: dict[str, Any] = {
    "spec": replace(SPEC, cases=(*FIRST, *SPEC.cases)),
    "draw": drawing(_pixels),
    "edges": (
        Case("one pixel", ((1, 1, 1, 1),), window(1)),
        Case("a window as large as the image", ((1, 2, 3, 3),), window(3)),
        Case("pixels between the windows", ((1, 1, 5, 5),), window(1, stride=2)),
        Case("no images", ((0, 2, 4, 4),), window(2)),
    ),
}
WHOLE: dict[str, Any] = {
    "spec": spec_of("global_avgpool2d"),
    "draw": _draw_whole,
    "edges": (
        Case("one pixel", ((2, 1, 1, 1),)),
        Case("one row", ((1, 2, 1, 4),)),
        Case("no images", ((0, 2, 3, 3),)),
    ),
}

X = [[[[1.0, 5.0, 2.0], [4.0, 3.0, 5.0], [0.0, 7.0, 6.0]]]]
CHANNELS = [[[[1.0, 2.0], [3.0, 6.0]], [[0.0, 4.0], [-2.0, 2.0]]]]

EXERCISE = Exercise(
    name="avgpool2d",
    title="Average pooling",
    task="""
    Average pooling takes the mean of each window, channel by channel.  Windows lie as
    in max pooling, but here the padding counts as zeros, so each mean divides by the
    same number:

        out[n, c, p, q] = (sum over the window's pixels) / kernel_size ** 2

    Global average pooling has one window: the whole image, whatever its size.

        out[n, c, 0, 0] = (sum over h and w of x[n, c, h, w]) / (H * W)

    In the backward, think of the factor that each pixel is multiplied with.
    """,
    source="odyssey.reference.pooling",
    functions=(
        Function(
            "avgpool2d",
            results=("out",),
            says="""
            Return out (N, C, P, Q), the mean of every window.

            x (N, C, H, W); kernel_size, stride, padding integers.  A stride of None
            means kernel_size.  Padding counts as zeros.

            out[n, c, p, q] = sum / kernel_size ** 2, of the pixels of x in the rows
                from p * stride - padding on, and the columns from q * stride - padding
                on.  P = (H + 2 * padding - kernel_size) // stride + 1, likewise Q.
            """,
            by_hand=ByHand(
                (X, 2, 1),
                [[[[3.25, 3.75], [3.5, 5.25]]]],
                """
out[0, 0]:  (1 + 5 + 4 + 3) / 4 = 3.25     out[0, 1]:  (5 + 2 + 3 + 5) / 4 = 3.75
out[1, 0]:  (4 + 3 + 0 + 7) / 4 = 3.5      out[1, 1]:  (3 + 5 + 7 + 6) / 4 = 5.25""",
            ),
            **WINDOWS,
        ),
        Function(
            "avgpool2d_backward",
            results=("grad_input",),
            says="""
            Return grad_input (N, C, H, W).

            grad_output (N, C, P, Q) is the gradient with respect to the result of
            avgpool2d with the same x, kernel_size, stride and padding.
            """,
            by_hand=ByHand(
                ([[[[4.0, 8.0], [12.0, 16.0]]]], X, 2, 1),
                [[[[1.0, 3.0, 2.0], [4.0, 10.0, 6.0], [3.0, 7.0, 4.0]]]],
                """
Each window holds 4 pixels, each of which counts 1/4: the shares are 1, 2, 3 and 4.
    out[0, 0]:  1 1 .    out[0, 1]:  . 2 2    out[1, 0]:  . . .    out[1, 1]:  . . .
                1 1 .                . 2 2                3 3 .                . 4 4
                . . .                . . .                3 3 .                . 4 4
The pixel in the middle is in all four:  1 + 2 + 3 + 4 = 10""",
            ),
            **WINDOWS,
        ),
        Function(
            "global_avgpool2d",
            results=("out",),
            says="""
            Return out (N, C, 1, 1), the mean of each channel of each image.

            x (N, C, H, W).
            """,
            by_hand=ByHand(
                (CHANNELS,),
                [[[[3.0]], [[1.0]]]],
                """
channel 0:  (1 + 2 + 3 + 6) / 4 = 3
channel 1:  (0 + 4 - 2 + 2) / 4 = 1""",
            ),
            **WHOLE,
        ),
        Function(
            "global_avgpool2d_backward",
            results=("grad_input",),
            says="""
            Return grad_input (N, C, H, W).

            grad_output (N, C, 1, 1) is the gradient with respect to the result of
            global_avgpool2d(x).
            """,
            by_hand=ByHand(
                ([[[[4.0]], [[-8.0]]]], CHANNELS),
                [[[[1.0, 1.0], [1.0, 1.0]], [[-2.0, -2.0], [-2.0, -2.0]]]],
                """
Each pixel counts 1/4 in the mean of its channel.
channel 0:  4 / 4 = 1 for each pixel         channel 1:  -8 / 4 = -2 for each pixel""",
            ),
            **WHOLE,
        ),
    ),
    hints=(
        """
        Take your max pooling, and change what it does with a window. In the forward a
        window at the border has fewer pixels inside the image: by what is its sum
        divided?
        """,
        """
        By kernel_size ** 2 always, since the padding counts as zeros; so mean() of a
        part would be wrong at the border. In the backward each pixel of a window gets
        an equal share of the window's element of grad_output, whatever its value.
        """,
        """
        Backward: loop over p and q, and add to the whole window of grad_input, for all
        images and channels at once, grad_output[:, :, p, q] / kernel_size ** 2 with two
        axes of size 1 put at its end. += because windows overlap. The backward of the
        global mean is an array like x that holds grad_output / (H * W) everywhere.
        """,
    ),
    pages=("docs/derivations/pooling.md", "odyssey/reference/pooling.py"),
)
