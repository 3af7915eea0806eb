"""Max pooling and its backward."""

from dataclasses import replace
from typing import Any

import numpy as np

from odyssey.learn.exercise import ByHand, Exercise, Function, spec_of
from odyssey.learn.exercises._pooling import drawing
from odyssey.op_specs import Case, distinct, window

SPEC = spec_of("maxpool2d")

#: Each has one thing more than the case by hand, and is small enough to look at.
FIRST = (
    Case("padding of 1", (distinct(1, 1, 2, 4),), window(2, stride=2, padding=1)),
    Case("no stride given: that of the window", (distinct(1, 1, 2, 4),), window(2)),
    Case("two images of two channels", (distinct(2, 2, 2, 2),), window(2)),
    Case("a column is left over", (distinct(1, 1, 2, 5),), window(2, stride=2)),
    Case("windows overlap", (distinct(1, 1, 3, 4),), window(3, stride=1)),
)

SHARED: dict[str, Any] = {
    "spec": replace(SPEC, cases=(*FIRST, *SPEC.cases)),
    "draw": drawing(distinct),
    "edges": (
        Case("one pixel", ((1, 1, 1, 1),), window(1)),
        Case("a window as large as the image", (distinct(1, 2, 3, 3),), window(3)),
        Case(
            "all pixels negative, with padding",
            (lambda rng: -rng.uniform(1.0, 2.0, (1, 1, 2, 3)),),
            window(2, padding=1),
        ),
        Case(
            "pixels of the same value",
            (lambda rng: np.ones((1, 1, 3, 3)),),
            window(2, stride=1),
        ),
        Case(
            "a NaN",
            (lambda rng: np.array([[[[1.0, np.nan, 3.0, 2.0]] * 2]]),),
            window(2),
        ),
        Case("no images", ((0, 2, 4, 4),), window(2)),
    ),
}

X = [[[[1.0, 5.0, 2.0], [4.0, 3.0, 5.0], [0.0, 7.0, 6.0]]]]

EXERCISE = Exercise(
    name="maxpool2d",
    title="Max pooling",
    task="""
    Max pooling takes the largest pixel of each window, channel by channel:

        out[n, c, p, q] = max over r, s of x[n, c, p * stride + r - padding,
                                                   q * stride + s - padding]

    r and s run from 0 to kernel_size - 1.  What would lie outside the image is left
    out: padding is not zeros here, and never the maximum.  Windows overlap if the
    stride is smaller than they are.  If a window does not fit any more, there is none:

        P = (H + 2 * padding - kernel_size) // stride + 1     and likewise Q from W

    In the backward, each window gives its element of grad_output to the pixel that was
    the maximum; if there are several, to the first, row by row.
    """,
    source="odyssey.reference.pooling",
    functions=(
        Function(
            "maxpool2d",
            results=("out",),
            says="""
            Return out (N, C, P, Q), the maximum of every window; NaN if there is one.

            x (N, C, H, W); kernel_size, stride, padding integers.  A stride of None
            means kernel_size.  Padding is at most half of kernel_size.

            out[n, c, p, q] = the maximum of the pixels of x in the rows from
                p * stride - padding on, and the columns from q * stride - padding on
            """,
            by_hand=ByHand(
                (X, 2, 1),
                [[[[5.0, 5.0], [7.0, 7.0]]]],
                """
out[0, 0]:  1 5    the largest is 5        out[0, 1]:  5 2    the largest is 5
            4 3                                        3 5
out[1, 0]:  4 3    the largest is 7        out[1, 1]:  3 5    the largest is 7
            0 7                                        7 6""",
            ),
            **SHARED,
        ),
        Function(
            "maxpool2d_backward",
            results=("grad_input",),
            says="""
            Return grad_input (N, C, H, W).

            grad_output (N, C, P, Q) is the gradient with respect to the result of
            maxpool2d with the same x, kernel_size, stride and padding.  Of several
            maxima in a window the first one counts, row by row.
            """,
            by_hand=ByHand(
                ([[[[1.0, 2.0], [3.0, 4.0]]]], X, 2, 1),
                [[[[0.0, 3.0, 0.0], [0.0, 0.0, 0.0], [0.0, 7.0, 0.0]]]],
                """
out[0, 0]:  1 5    the 5 is x[0, 1]:                             x[0, 1] gets 1
            4 3
out[0, 1]:  5 2    two are 5. The first, row by row, is x[0, 1]: x[0, 1] gets 2
            3 5
out[1, 0]:  4 3    the 7 is x[2, 1]:                             x[2, 1] gets 3
            0 7
out[1, 1]:  3 5    the 7 is x[2, 1]:                             x[2, 1] gets 4
            7 6
x[0, 1]:  1 + 2 = 3        x[2, 1]:  3 + 4 = 7        all others: 0""",
            ),
            **SHARED,
        ),
    ),
    hints=(
        """
        Write a helper that both functions use: from the size of the image and the
        options it makes the slices of rows and of columns, one for each window. Loop
        over the windows, p and q; n and c need no loop in the forward.
        """,
        """
        A window begins at p * stride - padding, which may be negative: cut it off at 0.
        It ends at that beginning plus kernel_size; a slice that goes past the end of
        the array is cut by itself. So no padding is needed, and it cannot be the
        maximum. In the backward, find where in the window the maximum is.
        """,
        """
        Backward: loop over n, c, p and q. argmax of the window is the index of its
        first maximum, counted row by row; np.unravel_index gives row and column. A
        slice of grad_input is a view, so you can add to its element directly, with +=,
        since windows may share their maximum.
        """,
    ),
    pages=("docs/derivations/pooling.md", "odyssey/reference/pooling.py"),
)
