"""The transforms of the convolutions of stride 1, in one dimension and of whole tiles.

The matrices A, G and B of ``winograd.py`` are those of F(4, 3) at the points 0, 1, -1,
2, -2 and infinity (``docs/derivations/winograd.md``).  The functions of one dimension
take the numbers of a column and return its transform; they are vectors, a channel a
lane.  A tile is transformed column by column into a buffer ``t`` of 36 vectors, and
from there row by row: then B^T d B is complete.
"""

from odyssey.kernels.jit import serial
from odyssey.kernels.simd import fill, fma, load, store, stream, width
from odyssey.kernels.tiles import add_moments, load_pixel, note, store_pixel


@serial
def input_1d(d0, d1, d2, d3, d4, d5):
    """Return B^T d."""
    even, odd = fma(-4, d2, d4), fma(-4, d1, d3)  # d4 - 4*d2, d3 - 4*d1
    even_2, odd_2 = d4 - d2, d3 - d1
    return (
        fma(4, d0, fma(-5, d2, d4)),
        even + odd,
        even - odd,
        fma(2, odd_2, even_2),
        fma(-2, odd_2, even_2),
        fma(4, d1, fma(-5, d3, d5)),
    )


@serial
def output_1d(d0, d1, d2, d3, d4, d5):
    """Return A^T d."""
    even, odd = d1 + d2, d1 - d2
    even_2, odd_2 = d3 + d4, d3 - d4
    return (
        d0 + even + even_2,
        fma(2, odd_2, odd),
        fma(4, even_2, even),
        fma(8, odd_2, odd) + d5,
    )


@serial
def gradient_1d(d0, d1, d2, d3):
    """Return A d."""
    even, odd = d0 + d2, d1 + d3
    even_2, odd_2 = fma(4, d2, d0), fma(4, d3, d1)
    return (
        d0,
        even + odd,
        even - odd,
        fma(2, odd_2, even_2),
        fma(-2, odd_2, even_2),
        d3,
    )


@serial
def kernel_1d(d0, d1, d2):
    """Return G d."""
    even, even_2 = (1 / 6) * (d0 + d2), (1 / 6) * fma(0.25, d0, d2)
    return (
        0.25 * d0,
        fma(-1 / 6, d1, -even),
        fma(1 / 6, d1, -even),
        fma(1 / 12, d1, even_2),
        fma(-1 / 12, d1, even_2),
        d2,
    )


@serial
def total_1d(d0, d1, d2, d3, d4, d5):
    """Return G^T d."""
    even, odd = d1 + d2, d2 - d1
    even_2, odd_2 = d3 + d4, d3 - d4
    return (
        fma(0.25, fma(1 / 6, even_2, d0), (-1 / 6) * even),
        fma(1 / 6, odd, (1 / 12) * odd_2),
        fma(1 / 6, even_2 - even, d5),
    )


@serial
def load_3(array, at, step):
    """Return three vectors, ``step`` elements apart."""
    return load(array, at), load(array, at + step), load(array, at + 2 * step)


@serial
def load_6(array, at, step):
    """Return six vectors, ``step`` elements apart."""
    return (
        load(array, at),
        load(array, at + step),
        load(array, at + 2 * step),
        load(array, at + 3 * step),
        load(array, at + 4 * step),
        load(array, at + 5 * step),
    )


@serial
def store_6(array, at, step, vectors):
    """Write six vectors, ``step`` elements apart."""
    store(array, at, vectors[0])
    store(array, at + step, vectors[1])
    store(array, at + 2 * step, vectors[2])
    store(array, at + 3 * step, vectors[3])
    store(array, at + 4 * step, vectors[4])
    store(array, at + 5 * step, vectors[5])


@serial
def stream_6(array, at, step, vectors):
    """Write six vectors, ``step`` elements apart, past the caches."""
    stream(array, at, vectors[0])
    stream(array, at + step, vectors[1])
    stream(array, at + 2 * step, vectors[2])
    stream(array, at + 3 * step, vectors[3])
    stream(array, at + 4 * step, vectors[4])
    stream(array, at + 5 * step, vectors[5])


@serial
def store_4(array, at, step, vectors):
    """Write four vectors, ``step`` elements apart."""
    store(array, at, vectors[0])
    store(array, at + step, vectors[1])
    store(array, at + 2 * step, vectors[2])
    store(array, at + 3 * step, vectors[3])


@serial
def patch_to_places(pixels, c, t, matrices, at, step):
    """Write B^T patch B to 36 places, from ``at`` on, ``step`` elements apart.

    The patch is a vector of channels, from ``c`` on, of 36 ``pixels``.
    """
    W = width(t)
    for j in range(6):
        column = input_1d(
            load_pixel(pixels, j, c),
            load_pixel(pixels, 6 + j, c),
            load_pixel(pixels, 12 + j, c),
            load_pixel(pixels, 18 + j, c),
            load_pixel(pixels, 24 + j, c),
            load_pixel(pixels, 30 + j, c),
        )
        store_6(t, j * W, 6 * W, column)
    for i in range(6):
        d0, d1, d2, d3, d4, d5 = load_6(t, i * 6 * W, W)
        row = input_1d(d0, d1, d2, d3, d4, d5)
        store_6(matrices, at + i * 6 * step, step, row)


@serial
def gradient_to_places(pixels, k, t, matrices, at, step):
    """Write A gradient A^T to 36 places, likewise from 16 ``pixels``."""
    W = width(t)
    for j in range(4):
        column = gradient_1d(
            load_pixel(pixels, j, k),
            load_pixel(pixels, 4 + j, k),
            load_pixel(pixels, 8 + j, k),
            load_pixel(pixels, 12 + j, k),
        )
        store_6(t, j * W, 4 * W, column)
    for i in range(6):
        start = i * 4 * W
        d0, d1, d2 = load_3(t, start, W)
        row = gradient_1d(d0, d1, d2, load(t, start + 3 * W))
        store_6(matrices, at + i * 6 * step, step, row)


@serial
def places_to_pixels(matrices, at, step, t, target, k, is_first):
    """Write A^T products A to the 16 pixels of ``target``, a vector of kernels.

    The products are at 36 places, from ``at`` on, ``step`` elements apart.  The results
    are added to the target's moments, to which they may be the first.
    """
    W = width(t)
    for j in range(6):
        d0, d1, d2, d3, d4, d5 = load_6(matrices, at + j * step, 6 * step)
        y0, y1, y2, y3 = output_1d(d0, d1, d2, d3, d4, d5)
        store(t, j * W, y0)
        store(t, (6 + j) * W, y1)
        store(t, (12 + j) * W, y2)
        store(t, (18 + j) * W, y3)
    total = fill(t, 0)
    for i in range(4):
        d0, d1, d2, d3, d4, d5 = load_6(t, i * 6 * W, W)
        y0, y1, y2, y3 = output_1d(d0, d1, d2, d3, d4, d5)
        store_pixel(target, 4 * i, k, y0)
        store_pixel(target, 4 * i + 1, k, y1)
        store_pixel(target, 4 * i + 2, k, y2)
        store_pixel(target, 4 * i + 3, k, y3)
        total = total + (y0 + y1) + (y2 + y3)
        if target.moments.row > 0:
            store_4(t, i * 6 * W, W, (y0, y1, y2, y3))
    note(target, total)
    if target.moments.row > 0:
        add_moments(target.moments, k, is_first, total, t, 6 * W)
