"""A residual block: its gradient splits at the sum and meets again at the input."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from svg import Figure, shown

from odyssey import reference

C, SIDE = 2, 3
#: The element whose numbers are shown: channel, row, column of the only image.
ELEMENT = (0, 0, 1, 1)
#: Middles of the two paths, and of the things along them.
BRANCH, SHORTCUT = 150.0, 316.0
PLACES = {
    "x": 46.0,
    **{"conv1": 98.0, "bn1": 138.0, "relu": 178.0, "conv2": 218.0, "bn2": 258.0},
    **{"+": 310.0, "relu of the sum": 354.0, "out": 406.0},
}
#: Half of a box, and from the middle of a path to its two arrows.
WIDE, HIGH, APART = 46.0, 12.0, 8.0


class Numbers(NamedTuple):
    """Arrays (1, C, SIDE, SIDE) of a block, and their gradients."""

    x: np.ndarray
    branch: np.ndarray
    out: np.ndarray
    grad_output: np.ndarray
    grad_sum: np.ndarray
    grad_branch: np.ndarray  # of x, by way of the branch
    grad_input: np.ndarray


def numbers_of_a_block() -> Numbers:
    """Return what the twins compute for a small block, forward and backward."""
    rng = np.random.default_rng(2)
    x, grad_output = rng.standard_normal((2, 1, C, SIDE, SIDE))
    kernels = rng.standard_normal((2, C, C, 3, 3)) * 0.5
    bn = np.ones(C), np.zeros(C), np.zeros(C), np.ones(C)

    conv1 = reference.conv2d(x, kernels[0], padding=1)
    bn1 = reference.batch_norm2d(conv1, *bn)[0]
    h = reference.relu(bn1)
    conv2 = reference.conv2d(h, kernels[1], padding=1)
    branch = reference.batch_norm2d(conv2, *bn)[0]
    out = reference.relu(branch + x)

    grad_sum = reference.relu_backward(grad_output, out)
    grad = reference.batch_norm2d_backward(grad_sum, conv2, *bn)[0]
    grad = reference.conv2d_backward(grad, h, kernels[1], padding=1)[0]
    grad = reference.relu_backward(grad, bn1)
    grad = reference.batch_norm2d_backward(grad, conv1, *bn)[0]
    grad = reference.conv2d_backward(grad, x, kernels[0], padding=1)[0]
    return Numbers(x, branch, out, grad_output, grad_sum, grad, grad + grad_sum)


def element(array: np.ndarray) -> str:
    """Return the element of an array that the figure shows."""
    return shown(array[ELEMENT], 2)


def draw() -> Figure:
    """Draw the block from above to below, and its gradients back up."""
    found = numbers_of_a_block()
    n = {name: element(array) for name, array in found._asdict().items()}
    figure = Figure(
        432,
        "The gradient of a residual block",
        "A block from above to below: x goes into a branch of conv1, bn1, relu, conv2, "
        "bn2, and along a shortcut; both are added, then relu. Beside each arrow of "
        "the forward is one of the backward, the other way. For one element: the "
        f"gradient at the sum, {n['grad_sum']}, goes unchanged into both. "
        f"At x the two meet: {n['grad_branch']} by the branch and {n['grad_sum']} by "
        f"the shortcut make {n['grad_input']}.",
    )
    x, middle = PLACES["x"], PLACES["+"]
    for (_, upper), (_, lower) in pairwise(PLACES.items()):
        top, bottom = upper + HIGH + 1, lower - HIGH - 1
        figure.arrow([(BRANCH - APART, top), (BRANCH - APART, bottom)], "0", head=6)
        figure.arrow([(BRANCH + APART, bottom), (BRANCH + APART, top)], "1", "dash", 6)
    for side, colour, css, up in ((-APART, "0", "", False), (APART, "1", "dash", True)):
        way = [
            (BRANCH + WIDE + 1, x - side / 1.5),
            (SHORTCUT + side, x - side / 1.5),
            (SHORTCUT + side, middle + side / 1.5),
            (BRANCH + HIGH + 1, middle + side / 1.5),
        ]
        figure.arrow(way[::-1] if up else way, colour, css)
    for name, y in PLACES.items():
        if name == "+":
            figure.circle(BRANCH, y, HIGH, "panel ls")
            figure.text(BRANCH, y + 5, name, "mid bold")
        else:
            figure.rect(BRANCH - WIDE, y - HIGH, 2 * WIDE, 2 * HIGH, "panel", 4)
            figure.text(BRANCH, y + 4, name.partition(" ")[0], "mid bold")

    def beside(y: float, forward: str, backward: str, at: float = BRANCH) -> None:
        figure.text(at - APART - 8, y, forward, "end c0")
        figure.text(at + APART + 8, y, backward, "c1")

    beside((x + PLACES["conv1"]) / 2 + 4, n["x"], n["grad_branch"])
    beside((PLACES["bn2"] + middle) / 2 + 4, n["branch"], n["grad_sum"])
    beside((middle + PLACES["relu of the sum"]) / 2 + 4, n["out"], n["grad_sum"])
    beside(PLACES["bn1"] + 24, n["x"], n["grad_sum"], SHORTCUT)
    meets = f"meets: {n['grad_branch']} + {n['grad_sum']} = {n['grad_input']}"
    figure.text(206, 22, meets, "bold c1")
    figure.text(206, middle + 28, "splits: the same for both", "bold c1")
    figure.text(96, x - 2, f"x = {n['x']}", "end c0")
    figure.text(96, x + 14, f"gradient {n['grad_input']}", "end c1")
    figure.text(96, PLACES["out"] - 2, f"out = {n['out']}", "end c0")
    figure.text(96, PLACES["out"] + 14, f"g = {n['grad_output']}", "end c1")
    for y, words in ((200, "the numbers are"), (214, "of one element")):
        figure.text(204, y, words, "soft small")
    figure.arrow([(230, 392), (254, 392)], "0")
    figure.text(262, 396, "forward")
    figure.arrow([(254, 412), (230, 412)], "1", "dash")
    figure.text(262, 416, "backward")
    return figure
