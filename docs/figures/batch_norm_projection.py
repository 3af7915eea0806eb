"""The backward of batch norm: what is left of g beside the ones and xhat."""

import numpy as np
from svg import Figure, numbers, shown

from odyssey import reference

#: A channel of three values, so that it can be drawn, and an upstream gradient.
X, G = (1.0, 2.0, 3.0), (1.0, 0.0, 5.0)
#: Where a unit of length along the ones, xhat and the third direction goes.
ALONG = np.array([[56.0, 8.0], [20.0, -28.0], [0.0, -40.0]])
ORIGIN = np.array([52.0, 196.0])
Point = tuple[float, float, float]


def parts() -> dict[str, np.ndarray]:
    """Return the parts of g by name, from the twin's own gradients."""
    x, g = (np.array(values).reshape(1, 1, 1, 3) for values in (X, G))
    one, zero = np.ones(1), np.zeros(1)
    M, statistics = x.size, (zero, one, True, 0.1, 0.0)  # with eps 0
    xhat = reference.batch_norm2d(x, one, zero, *statistics)[0]
    grad_input, grad_gamma, grad_beta = reference.batch_norm2d_backward(
        g, x, one, zero, *statistics
    )
    std = x.std()  # 1 / rstd
    found = {
        "g": g,
        "mean": grad_beta / M * np.ones(x.shape),
        "xhat": grad_gamma / M * xhat,
        "rest": grad_input * std,
    }
    return {"one": np.ones(3), "direction": xhat.ravel()} | {
        name: value.ravel() for name, value in found.items()
    }


def place(*lengths: float) -> tuple[float, float]:
    """Return where a point is, given by its lengths in the three directions."""
    x, y = ORIGIN + np.array(lengths) @ ALONG
    return float(x), float(y)


def draw() -> Figure:
    """Draw g as a sum of three vectors at right angles, then their numbers."""
    found = parts()
    a, b, c = (float(np.linalg.norm(found[name])) for name in ("mean", "xhat", "rest"))
    one = float(np.linalg.norm(found["one"]))
    words = {
        name: ", ".join(whole(v) for v in found[name])
        for name in ("g", "mean", "xhat", "rest")
    }
    figure = Figure(
        406,
        "The backward of batch norm is a projection",
        "Three arrows at right angles lead from the origin to the tip of g, which is "
        f"({words['g']}): along the vector of ones ({words['mean']}), along xhat "
        f"({words['xhat']}), and upright from the plane of these two "
        f"({words['rest']}). Only the upright arrow is left in the gradient: "
        "grad_input is gamma times rstd times it.",
    )
    figure.text(16, 22, "g loses its parts along the ones and along xhat", "bold")
    plane = [
        place(u, v, 0) for u, v in ((-0.4, -0.9), (4.4, -0.9), (4.4, 3.4), (-0.4, 3.4))
    ]
    d = "M" + "L".join(numbers(*corner) for corner in plane) + "Z"
    figure.path(d, "panel")
    figure.path(d, "le")
    start, first, foot, tip = (
        place(*at) for at in ((0, 0, 0), (a, 0, 0), (a, b, 0), (a, b, c))
    )
    right_angle(figure, (a, 0, 0), (-1, 0, 0), (0, 1, 0))
    right_angle(figure, (a, b, 0), (0, -1, 0), (0, 0, 1))
    figure.arrow([start, place(0, one, 0)], "s")
    figure.arrow([start, first], "0")
    figure.arrow([start, place(one, 0, 0)], "s")
    figure.arrow([first, foot], "2")
    figure.arrow([start, tip], "s")
    figure.arrow([foot, tip], "1")
    figure.text(96, 152, "xhat", "soft")
    figure.text(104, 222, "ones", "soft")
    figure.text(190, 98, "g", "bold")
    figure.text(190, 238, "along the ones", "bold c0")
    figure.text(306, 200, "along xhat", "bold c2")
    figure.text(tip[0] + 8, (foot[1] + tip[1]) / 2, "what is left", "bold c1")
    table(figure, found, 284)
    return figure


def right_angle(figure: Figure, corner: Point, one: Point, other: Point) -> None:
    """Draw the mark of a right angle at a corner, between two directions."""
    at, u, v = np.array(corner), 0.25 * np.array(one), 0.25 * np.array(other)
    figure.line([place(*(at + step)) for step in (u, u + v, v)], "le")


def table(figure: Figure, found: dict[str, np.ndarray], y: float) -> None:
    """Write g and its three parts as columns of numbers."""
    size = 26.0
    for middle, name, tint, heading, sign, after in (
        (40, "g", "", "g", "=", 82),
        (122, "mean", "t0", "grad_beta/M", "+", 176),
        (240, "xhat", "t2", "xhat grad_gamma/M", "+", 298),
        (354, "rest", "t1", "what is left", "", 0),
    ):
        x = middle - size / 2
        figure.text(middle, y, heading, "mid")
        for row, value in enumerate(found[name]):
            figure.cell(x, y + 10 + row * size, size, whole(value), f"cell {tint}")
        if sign:
            figure.text(after, y + 10 + 1.5 * size + 5, sign, "mid bold")
    below = y + 10 + 3 * size + 24
    figure.text(16, below, "grad_input = gamma · rstd · (what is left)")


def whole(value: float) -> str:
    """Return a number that is whole but for rounding."""
    if abs(value - round(value)) > 1e-9:
        raise ValueError(f"the figure is for whole numbers, got {value}")
    return shown(round(value))
