"""What the exercises about batch norm share: their cases."""

from dataclasses import replace
from typing import Any

import numpy as np

from odyssey.learn.exercise import spec_of
from odyssey.op_specs import Case, positive


def _statistics(channels: int) -> tuple[Any, ...]:
    return (channels,), (channels,), (channels,), positive(channels)


def _draw(rng: np.random.Generator) -> Case:
    N, C, H = (int(n) for n in rng.integers(1, 4, 3))
    W = int(rng.integers(2, 4))
    training = bool(rng.random() < 0.7)
    return Case(
        f"random, {N} images, {C} channels, {'training' if training else 'inference'}",
        ((N, C, H, W), *_statistics(C)),
        {"training": training},
    )


SPEC = spec_of("batch_norm2d")

#: Each has one thing more than the case by hand, and is small enough to look at.
FIRST = (
    Case("training, the usual momentum and eps", ((2, 1, 1, 2), *_statistics(1))),
    Case("two channels", ((1, 2, 2, 2), *_statistics(2))),
    Case("inference", ((1, 2, 1, 2), *_statistics(2)), {"training": False}),
    Case("two images of two channels", ((2, 2, 2, 1), *_statistics(2))),
)


def _far(rng: np.random.Generator) -> Any:
    return 1e5 + rng.standard_normal((2, 1, 2, 2))


SHARED: dict[str, Any] = {
    "spec": replace(SPEC, cases=(*FIRST, *SPEC.cases)),
    "draw": _draw,
    "edges": (
        # A large eps: with a small one hardly anything of the gradient of two numbers
        # is left, and that is lost in the rounding of float32.
        Case("two numbers", ((2, 1, 1, 1), *_statistics(1)), {"eps": 1.0}),
        Case("a mean of 100,000", (_far, *_statistics(1))),
        Case(
            "a channel whose numbers are all the same",
            (lambda rng: np.full((1, 1, 2, 2), 3.0), *_statistics(1)),
        ),
        Case(
            "inference of one number",
            ((1, 1, 1, 1), *_statistics(1)),
            {"training": False},
        ),
    ),
}

#: What the cases by hand use: gamma, beta, running mean, running variance.
X = [[[[1.0, 3.0]]], [[[5.0, 3.0]]]]
PARAMETERS = ([10.0], [1.0], [7.0], [4.0])
OPTIONS = {"momentum": 0.25, "eps": 2.0}
