"""What the three exercises about convolution share: their cases."""

from dataclasses import replace
from typing import Any

import numpy as np

from odyssey.learn.exercise import spec_of
from odyssey.op_specs import Case


def _draw(rng: np.random.Generator) -> Case:
    N, C, K, R, S = (int(n) for n in rng.integers(1, 4, 5))
    stride, padding = int(rng.integers(1, 4)), int(rng.integers(0, 3))
    # Inputs from the smallest that the kernel fits into, with the padding, up.
    H, W = (int(max(1, n - 2 * padding) + rng.integers(0, 4)) for n in (R, S))
    return Case(
        f"random, {R}x{S} kernel, stride {stride}, padding {padding}",
        ((N, C, H, W), (K, C, R, S), (K,)),
        {"stride": stride, "padding": padding},
    )


SPEC = spec_of("conv2d")

#: Each has one thing more than the case by hand, and is small enough to look at.
FIRST = (
    Case("two kernels, a bias for each", ((1, 1, 2, 2), (2, 1, 1, 1), (2,))),
    Case("two images", ((2, 1, 2, 2), (1, 1, 2, 1), (1,))),
    Case("padding of 1", ((1, 1, 2, 3), (1, 1, 2, 2), (1,)), {"padding": 1}),
    Case("no bias", ((1, 1, 3, 3), (1, 1, 2, 2))),
    Case("stride of 2", ((1, 1, 3, 4), (1, 1, 2, 2), (1,)), {"stride": 2}),
    Case("two channels", ((1, 2, 2, 3), (1, 2, 2, 2), (1,))),
    Case("two channels, two kernels", ((1, 2, 2, 2), (2, 2, 1, 2), (2,))),
)

SHARED: dict[str, Any] = {
    "spec": replace(SPEC, cases=(*FIRST, *SPEC.cases)),
    "draw": _draw,
    "edges": (
        Case("one pixel, one tap", ((1, 1, 1, 1), (1, 1, 1, 1), (1,))),
        Case(
            "windows of nothing but padding",
            ((1, 1, 1, 2), (1, 1, 1, 1), (1,)),
            {"padding": 1},
        ),
        Case("the kernel fits once", ((1, 2, 2, 3), (2, 2, 2, 3), (2,))),
        Case(
            "stride 3 leaves two columns over",
            ((1, 1, 3, 7), (1, 1, 2, 2), (1,)),
            {"stride": 3},
        ),
        Case("no images", ((0, 2, 3, 3), (2, 2, 2, 2), (2,))),
    ),
}

#: What the cases by hand use.
X = [[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]]]
KERNEL = [[[[1.0, 2.0], [0.0, -1.0]]]]
GRAD_OUTPUT = [[[[1.0, -1.0], [2.0, 3.0]]]]
