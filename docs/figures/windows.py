"""One pixel in the four windows of a convolution, with the numbers of the page."""

from itertools import product
from typing import NamedTuple

import numpy as np
from svg import Figure, shown

from odyssey import reference

#: The example of docs/derivations/convolution.md, stride 1 without padding.
X = np.arange(1.0, 10).reshape(1, 1, 3, 3)
KERNEL = np.array([[1.0, 2], [0, -1]]).reshape(1, 1, 2, 2)
G = np.array([[1.0, 2], [3, -1]]).reshape(1, 1, 2, 2)
PIXEL = (1, 1)


class Window(NamedTuple):
    """A window with the pixel in it: its output, its tap, and what it adds."""

    output: tuple[int, int]
    tap: tuple[int, int]
    gradient: float  # upstream, of the output
    weight: float
    term: float  # of the sum for the pixel's gradient


def windows() -> tuple[list[Window], float]:
    """Return the windows, and the pixel's whole gradient, as the twin has them."""
    found = []
    for output in np.ndindex(2, 2):
        alone = np.zeros(G.shape)
        alone[0, 0][output] = G[0, 0][output]
        term = reference.conv2d_backward(alone, X, KERNEL)[0][0, 0][PIXEL]
        tap = (PIXEL[0] - output[0], PIXEL[1] - output[1])
        upstream, weight = G[0, 0][output], KERNEL[0, 0][tap]
        found.append(Window(output, tap, float(upstream), float(weight), float(term)))
    return found, float(reference.conv2d_backward(G, X, KERNEL)[0][0, 0][PIXEL])


def draw() -> Figure:
    """Draw the four windows side by side, and the sum of what they add."""
    found, whole = windows()
    terms = [shown(window.term) for window in found]
    total = " + ".join(t if t[0].isdigit() else f"({t})" for t in terms)
    pixel = shown(X[0, 0][PIXEL])
    figure = Figure(
        330,
        f"The pixel {pixel} in four windows",
        "An input of 3 by 3 pixels four times, each with another window of 2 by 2 "
        f"around its centre {pixel}. The centre is under another tap of the kernel in "
        "each. Below, the upstream gradient with the element of that window. The "
        f"products of gradient and weight, {', '.join(terms)}, add up to {whole:.0f}.",
    )
    heading = f"The {pixel} is in four windows, each time under another tap"
    figure.text(16, 22, heading, "bold")
    for name, y in (("x", 84), ("g", 186)):
        figure.text(12, y, name)
    for place, window in enumerate(found):
        one_window(figure, 32 + 92 * place, window)
    figure.text(16, 312, f"gradient of the {pixel}:  {total} = {whole:.0f}", "bold")
    return figure


def one_window(figure: Figure, x: float, window: Window) -> None:
    """Draw the input with its window, the tap, the gradient, and their product."""
    size, (p, q), middle = 24.0, window.output, x + 36
    for h, w in product(range(3), repeat=2):
        inside = (h - p, w - q) in product(range(2), repeat=2)
        css = "cell h0" if (h, w) == PIXEL else "cell t0" if inside else "cell"
        words = shown(X[0, 0, h, w])
        figure.cell(x + w * size, 44 + h * size, size, words, css)
    figure.rect(x + q * size, 44 + p * size, 2 * size, 2 * size, "frame")
    r, s = window.tap
    figure.text(middle, 136, f"tap ({r}, {s})", "mid small")
    figure.text(middle, 151, f"weight {shown(window.weight)}", "mid small bold c0")
    for i, j in product(range(2), repeat=2):
        css = "cell h1" if (i, j) == window.output else "cell"
        words = shown(G[0, 0, i, j])
        figure.cell(x + 12 + j * size, 160 + i * size, size, words, css)
    figure.arrow([(middle, 214), (middle, 236)], "s")
    parts = [(shown(window.gradient), "c1"), (" * ", ""), (shown(window.weight), "c0")]
    figure.spans(middle, 254, parts, "mid bold")
    figure.text(middle, 274, f"= {shown(window.term)}", "mid")
