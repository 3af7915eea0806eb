"""Taps of a convolution: what an output reads, and which outputs a pixel reaches."""

from typing import NamedTuple

import numpy as np
from svg import Figure

from odyssey import reference


class Term(NamedTuple):
    """A product in the sum of a convolution in one dimension."""

    h: int  # row of the input; outside of 0 <= h < H it is a zero of the padding
    r: int  # tap
    p: int  # row of the output


def terms(H: int, R: int, stride: int, padding: int) -> list[Term]:
    """Return all terms, as the twin has them: from one pixel and one tap at a time."""
    found = []
    for row, r in np.ndindex(H + 2 * padding, R):
        x, kernel = np.zeros((1, 1, H + 2 * padding, 1)), np.zeros((1, 1, R, 1))
        x[..., row, 0] = kernel[..., r, 0] = 1
        # the zeros are in x, so that a term can be seen with one of them as well
        out = reference.conv2d(x, kernel, None, stride)[0, 0, :, 0]
        found += [Term(row - padding, r, int(p)) for p in np.flatnonzero(out)]
    return found


class Lattice:
    """Two rows of cells, the input above the output, and a line for each term.

    Parameters
    ----------
    figure : to draw on
    terms : of the convolution
    H : rows of the input
    stride, padding : of the convolution
    y : upper edge of the upper row
    left : left edge of the first zero of the padding
    size : width of a cell
    gap : height between the rows
    zero : whether to show the zeros of the padding; they have no gradient
    """

    def __init__(
        self,
        figure: Figure,
        terms: list[Term],
        H: int,
        stride: int,
        padding: int,
        y: float,
        left: float,
        size: float,
        gap: float,
        zero: bool,
    ) -> None:
        self.figure, self.terms, self.size = figure, terms, size
        self._stride, self._padding, self._left = stride, padding, left
        self._upper, self._lower = y, y + size + gap
        self._rows = range(-padding, H + padding), range(max(t.p for t in terms) + 1)
        self._inside, self._zero = range(H), zero

    def x_of(self, h: int) -> float:
        """Return the left edge of pixel h."""
        return self._left + (h + self._padding) * self.size

    def p_of(self, p: int) -> float:
        """Return the left edge of output p, below the middle of what it reads."""
        middle = max(t.r for t in self.terms) / 2 - self._padding
        return self.x_of(0) + (p * self._stride + middle) * self.size

    def lines(self, css: str) -> None:
        """Draw a line for every term, but for those with a zero of a gradient."""
        for term in self.terms:
            if self._zero or term.h in self._inside:
                self.figure.line([self._top(term), self._bottom(term)], css)

    def arrows(self, chosen: list[Term], up: bool) -> None:
        """Draw arrows to one cell in the colours of their taps, each with its name."""
        places = []
        for place, term in enumerate(sorted(chosen, key=lambda t: t.p + t.h)):
            start, (x, y) = self._top(term), self._bottom(term)
            if up:
                start, (x, y) = (x, y), start
            x += (place - (len(chosen) - 1) / 2) * 0.25 * self.size
            places.append((term.r, start, (x, y)))
            self.figure.arrow([start, (x, y)], str(term.r))
        for r, (x0, y0), (x1, y1) in places:
            x, y = x0 + 0.38 * (x1 - x0), y0 + 0.38 * (y1 - y0)
            self._name(x, y, r)

    def all_arrows(self) -> None:
        """Draw an arrow up to every pixel, and the name of its tap beside it."""
        middle = max(t.r for t in self.terms) / 2
        for term in self.terms:
            if term.h in self._inside:
                (x0, y0), (x1, y1) = self._bottom(term), self._top(term)
                x0 += (term.r - middle) * 0.25 * self.size
                x1 -= (term.r - middle) * 0.25 * self.size
                self.figure.arrow([(x0, y0), (x1, y1)], str(term.r), head=6)
                part = 0.36 if term.r == middle else 0.54
                x, y = x0 + part * (x1 - x0), y0 + part * (y1 - y0)
                self._name(x, y, term.r)

    def _name(self, x: float, y: float, r: int) -> None:
        self.figure.rect(x - 8.5, y - 8, 17, 15, "paper", 3)
        self.figure.text(x, y + 4, f"k_{{{r}}}", f"mid bold small c{r}")

    def cells(
        self, css: dict[tuple[str, int], str], frame: tuple[str, int] | None = None
    ) -> None:
        """Draw the cells; ``css`` is for ("x" or "out", index), as is ``frame``."""
        figure, size = self.figure, self.size
        for h in self._rows[0]:
            if h in self._inside:
                look = css.get(("x", h), "cell")
                figure.cell(self.x_of(h), self._upper, size, str(h), look)
            else:
                figure.rect(self.x_of(h), self._upper, size, size, "pad")
                middle = self.x_of(h) + size / 2
                if self._zero:
                    figure.text(middle, self._upper + size / 2 + 4, "0", "mid soft")
        for p in self._rows[1]:
            look = css.get(("out", p), "cell")
            figure.cell(self.p_of(p), self._lower, size, str(p), look)
        if frame is not None:
            row, index = frame
            x = self.x_of(index) if row == "x" else self.p_of(index)
            y = self._upper if row == "x" else self._lower
            figure.rect(x, y, size, size, "frame")

    def _top(self, term: Term) -> tuple[float, float]:
        return self.x_of(term.h) + self.size / 2, self._upper + self.size + 1

    def _bottom(self, term: Term) -> tuple[float, float]:
        return self.p_of(term.p) + self.size / 2, self._lower - 1


def draw() -> Figure:
    """Draw one output with what it reads, and one pixel with what it reaches."""
    H, R, padding = 6, 3, 1
    every = terms(H, R, 1, padding)
    p = h = 3
    reads = [t for t in every if t.p == p]
    reached = [t for t in every if t.h == h]
    rows = ", ".join(f"x[{t.h}] by k{t.r}" for t in reads)
    outs = ", ".join(f"g[{t.p}] by k{t.r}" for t in reached)
    figure = Figure(
        404,
        "Taps of a convolution of stride 1",
        "A row of 6 pixels x with a zero at each end, above a row of 6 outputs. "
        f"Forward: out[{p}] multiplies {rows}, and adds them up. Backward: the "
        f"gradient of x[{h}] multiplies {outs}, and adds them up: the taps come in "
        "reverse order.",
    )
    size, left, gap = 36.0, 92.0, 60.0
    for y, heading, upper, lower, chosen, up in (
        (14, f"Forward: out[{p}] reads three pixels", "x", "out", reads, False),
        (
            212,
            f"Backward: x[{h}] is in three outputs",
            "grad_input",
            "g",
            reached,
            True,
        ),
    ):
        figure.text(16, y + 8, heading, "bold")
        top = y + 24
        lattice = Lattice(figure, every, H, 1, padding, top, left, size, gap, not up)
        lattice.lines("le")
        lattice.arrows(chosen, up)
        css = {
            ("out" if up else "x", t.p if up else t.h): f"cell t{t.r}" for t in chosen
        }
        lattice.cells(css, ("x", h) if up else ("out", p))
        for name, row in ((upper, top), (lower, top + size + gap)):
            figure.text(82, row + size / 2 + 4, name, "end")
        whole, source = (f"{upper}[{h}]", "g") if up else (f"{lower}[{p}]", "x")
        figure.spans(92, top + 2 * size + gap + 22, equation(whole, source, chosen, up))
    return figure


def equation(
    whole: str, source: str, chosen: list[Term], up: bool
) -> list[tuple[str, str]]:
    """Return the sum of some terms as pieces of text in the colours of the taps."""
    pieces = [(f"{whole} = ", "")]
    for term in sorted(chosen):
        index = term.p if up else term.h
        pieces.append((f"{source}[{index}] k_{{{term.r}}}", f"c{term.r}"))
        pieces.append((" + ", ""))
    return pieces[:-1]
