"""What the exercises about pooling share: how their cases are drawn."""

from collections.abc import Callable

import numpy as np

from odyssey.op_specs import Case, Draw, window


def drawing(draw_pixels: Callable[..., Draw]) -> Callable[[np.random.Generator], Case]:
    """Return a function that makes a small random case of pooling."""

    def draw(rng: np.random.Generator) -> Case:
        N, C, size, stride = (int(n) for n in rng.integers(1, 4, 4))
        padding = int(rng.integers(0, size // 2 + 1))
        smallest = max(1, size - 2 * padding)
        H, W = (int(smallest + n) for n in rng.integers(0, 4, 2))
        return Case(
            f"random, window {size}, stride {stride}, padding {padding}",
            (draw_pixels(N, C, H, W),),
            window(size, stride=stride, padding=padding),
        )

    return draw
