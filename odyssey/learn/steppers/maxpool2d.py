"""The stepper of maxpool2d: its first values, and what they give."""

import numpy as np

from odyssey.learn.steppers.stepper import Arrays, Options, Stepper
from odyssey.reference.pooling import _windows, maxpool2d, maxpool2d_backward


def results(values: Arrays, options: Options) -> dict[str, np.ndarray]:
    """Return out and grad_input."""
    size, where = options["size"], (options["window"], options["stride"])
    x, padding = values["x"][:, :, :size, :size], options["padding"]
    out = maxpool2d(x, *where, padding)
    grad_output = values["grad_output"][:, :, : out.shape[2], : out.shape[3]]
    grad_input = maxpool2d_backward(grad_output, x, *where, padding)
    return {"out": out, "grad_input": grad_input}


# With the options below, those of docs/derivations/pooling.md.
_X = [
    [1, 2, 0, 1, 0],
    [4, 3, 1, 0, 2],
    [0, 5, 2, 2, 0],
    [0, 0, 2, 1, 3],
    [1, 0, 0, 3, 1],
]
_GRAD = [
    [4, 8, 1, -2, 3],
    [12, 16, 2, 1, 0],
    [3, -1, 5, 2, 1],
    [1, 2, 0, 4, -3],
    [2, 1, 1, 0, 2],
]

STEPPER = Stepper(
    title="Max pooling",
    about="Of each window the greatest pixel is kept. In the backward, the first"
    " greatest pixel of a window gets all of the window's gradient, and the others get"
    " nothing. A pixel that wins in several windows adds up what it gets.",
    values={
        "x": np.array([[_X]], float),
        "grad_output": np.array([[_GRAD]], float),
    },
    options={"size": 3, "window": 2, "stride": 1, "padding": 0},
    results=results,
    functions=(maxpool2d, maxpool2d_backward, _windows),
    lines={
        "out": "out[:, :, p, q] = x[:, :, rows[p], cols[q]].max",
        "zeros": "grad_input = np.zeros_like(x)",
        "first": "first = np.unravel_index",
        "gets": "grad_input[n, c, rows[p], cols[q]][first] += grad_output",
    },
)
