"""Winograd's tiles: patches that overlap, and the way of one patch to its tile."""

from inspect import signature
from itertools import product

from svg import Figure

from odyssey.kernels import winograd_transforms

#: Taps, then pixels and results in one dimension; the function takes a patch's pixels.
R = 3
SIZE = len(signature(winograd_transforms.input_1d).parameters)
M = SIZE - R + 1


def draw() -> Figure:
    """Draw two patches and their tiles, then the transforms of one of them."""
    products, direct = SIZE**2, (M * R) ** 2
    side, overlap = 2 * M, SIZE - M
    figure = Figure(
        432,
        f"Winograd's tiles of {M} by {M} results",
        f"Left, an image of {side} by {side} pixels in its padding, with two patches "
        f"of {SIZE} by {SIZE} pixels, which overlap in {overlap} columns. Right, the "
        f"{side} by {side} results, with their two tiles of {M} by {M}, which do not "
        f"overlap. Below, one tile: the patch becomes D, {SIZE} by {SIZE}; the kernel, "
        f"{R} by {R}, becomes U, {SIZE} by {SIZE}; {products} products, element by "
        f"element, become the tile. Direct sums take {direct} products.",
    )
    figure.text(16, 22, "Patches of x overlap, tiles of out do not", "bold")
    cell, top, left, right = 15.0, 48.0, 16.0, 256.0
    edge = (SIZE - M) // 2  # rows of zeros above the image, with padding 1
    for h, w in product(range(side + 2 * edge), repeat=2):
        inside = edge <= h < side + edge and edge <= w < side + edge
        figure.rect(
            left + w * cell, top + h * cell, cell, cell, "cell" if inside else "pad"
        )
    for p, q in product(range(side), repeat=2):
        x, y = right + q * cell, top + (p + edge) * cell
        figure.rect(x, y, cell, cell, "cell")
    for number in range(2):
        x = left + number * M * cell
        figure.rect(x, top, SIZE * cell, SIZE * cell, f"t{number}")
        figure.rect(x, top, SIZE * cell, SIZE * cell, f"l{number}")
        x, y = right + number * M * cell, top + edge * cell
        figure.rect(x, y, M * cell, M * cell, f"h{number}")
        figure.rect(x, y, M * cell, M * cell, f"l{number}")
    middle = left + (side + 2 * edge) * cell
    y = top + (SIZE / 2) * cell
    figure.arrow([(middle + 14, y), (right - 14, y)], "s")
    figure.text((middle + right) / 2, y - 8, f"{R}x{R} kernel", "mid small")
    bottom = top + (side + 2 * edge) * cell + 16
    figure.text(left, bottom, f"patches of {SIZE}x{SIZE}, dashed: zeros", "soft")
    figure.text(right, bottom, f"tiles of {M}x{M}", "soft")

    top = bottom + 34
    figure.text(16, top, f"One tile: {products} products instead of {direct}", "bold")
    one_tile(figure, top + 28)
    return figure


def one_tile(figure: Figure, y: float) -> None:
    """Draw patch, kernel, both transformed, their product, and the tile."""
    cell = 8.0

    def grid(x: float, y: float, n: int, css: str, under: str) -> None:
        for i, j in product(range(n), repeat=2):
            figure.cell(x + j * cell, y + i * cell, cell, "", css)
        figure.text(x + n * cell / 2, y + n * cell + 14, under, "mid small")

    big, small, gap = SIZE * cell, R * cell, 40.0
    lower, middle = y + big + gap, y + big + gap / 2
    grid(16, y, SIZE, "cell t0", "patch")
    grid(16 + (big - small) / 2, lower + (big - small) / 2, R, "cell t2", "kernel")
    for top, name, css, words in (
        (y, "D", "cell t0", "B^{T} patch B"),
        (lower, "U", "cell t2", "G kernel G^{T}"),
    ):
        across = top + big / 2
        figure.arrow([(70, across), (144, across)], "s")
        figure.text(107, across - 8, words, "mid small")
        grid(150, top, SIZE, css, name)
        figure.line([(150 + big, across), (222, middle)], "ls")
    figure.circle(222, middle, 9, "panel ls")
    figure.circle(222, middle, 2, "ink")  # the sign of a product element by element
    grid(242, middle - big / 2, SIZE, "cell t0 t2", f"{SIZE**2} products")
    figure.arrow([(296, middle), (342, middle)], "s")
    figure.text(319, middle - 8, "A^{T} [ ] A", "mid small")
    grid(350, middle - M * cell / 2, M, "cell h0", "tile")
