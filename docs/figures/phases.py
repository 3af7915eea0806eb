"""Phases of stride 2: rows of one phase are reached by the same taps."""

from itertools import product

from svg import Figure
from taps import Lattice, Term, terms

STRIDE, PADDING, R, H = 2, 1, 3, 7


def draw() -> Figure:
    """Draw the terms of one dimension, then the taps of the four phases of two."""
    every = terms(H, R, STRIDE, PADDING)
    by_phase = taps_of_phases(every)
    words = "; ".join(
        f"phase {phase} by {' and '.join(f'k{r}' for r in taps)}"
        for phase, taps in enumerate(by_phase)
    )
    counts = [len(a) * len(b) for a, b in product(by_phase, by_phase)]
    figure = Figure(
        392,
        "Phases of a convolution of stride 2",
        f"A row of {H} pixels with a zero at each end, above {max(every).p + 1} "
        f"outputs. Rows are reached by taps according to their phase: {words}. Below, "
        "for two dimensions, the 3 by 3 kernel once for each of the four phases, with "
        f"the taps filled that reach it: {', '.join(map(str, counts))} of 9.",
    )
    figure.text(16, 22, "One dimension: even rows need one tap, odd rows two", "bold")
    top, size, gap = 40.0, 31.0, 56.0
    lattice = Lattice(figure, every, H, STRIDE, PADDING, top, 92, size, gap, False)
    lattice.all_arrows()
    lattice.cells({})
    for h in range(H):
        taps = by_phase[h % STRIDE]
        for place, r in enumerate(taps):
            part = size / len(taps)
            x = lattice.x_of(h) + place * part
            figure.rect(x, top, part, size, f"t{r}")
    for name, row in (("grad_input", top), ("g", top + size + gap)):
        figure.text(82, row + size / 2 + 4, name, "end")

    y = top + 2 * size + gap + 34
    figure.text(16, y, "Two dimensions: pixels of a phase, taps that reach it", "bold")
    for place, (rows, columns) in enumerate(product(range(STRIDE), repeat=2)):
        x = 16 + 96 * place
        two_dimensions(figure, x, y + 16, (rows, columns), by_phase)
    return figure


def two_dimensions(
    figure: Figure,
    x: float,
    y: float,
    phase: tuple[int, int],
    by_phase: list[list[int]],
) -> None:
    """Draw the pixels of a phase, and below them the kernel with its taps."""
    small, size, image = 11.0, 20.0, 6
    for h, w in product(range(image), repeat=2):
        its = (h % STRIDE, w % STRIDE) == phase
        look = "cell h0" if its else "cell"
        figure.cell(x + 7 + w * small, y + h * small, small, "", look)
    middle, y = x + 40, y + image * small
    figure.arrow([(middle, y + 24), (middle, y + 6)], "s")
    taps = [by_phase[part] for part in phase]
    for r, s in product(range(R), repeat=2):
        look = "cell h0" if r in taps[0] and s in taps[1] else "cell"
        figure.cell(x + 10 + s * size, y + 28 + r * size, size, "", look)
    count = len(taps[0]) * len(taps[1])
    figure.text(middle, y + 28 + R * size + 16, f"{count} of {R * R}", "mid")


def taps_of_phases(every: list[Term]) -> list[list[int]]:
    """Return the taps that reach the rows of each phase, where no edge is near."""
    return [
        sorted({t.r for t in every if t.h % STRIDE == phase and 0 <= t.h < H})
        for phase in range(STRIDE)
    ]
