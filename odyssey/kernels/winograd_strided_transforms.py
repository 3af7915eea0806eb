"""The transforms of the convolutions of stride 2, in one dimension and of whole tiles.

The matrices A, G and B of ``winograd_strided.py`` are those of F(4, 2) at the points
1/2, -1/2, 3/2, -3/2 and infinity for the even numbers, and ones for the odd.  As in
``winograd_transforms.py`` the functions of one dimension take vectors, a channel a
lane, and a tile goes column by column into a buffer ``t`` of 81 vectors, and from there
row by row.
"""

import numpy as np

from odyssey.kernels.jit import serial
from odyssey.kernels.simd import fill, fma, load, store, width
from odyssey.kernels.tiles import (
    GAP,
    STRIDED_PLACES,
    add_moments,
    load_pixel,
    note,
    store_pixel,
)
from odyssey.kernels.winograd_transforms import load_3, store_4, store_6

#: Rows that a tile has in each of the 36 products.
ROWS = np.outer([1, 1, 1, 1, 1, 4], [1, 1, 1, 1, 1, 4]).ravel()
#: Rows that it has in all products before.
BEFORE = np.cumsum(ROWS) - ROWS


def _places() -> tuple[np.ndarray, np.ndarray]:
    """Return the product of each of the 81 places, and the row of a tile in it.

    Places with the same row of G in both directions share a product.
    """
    products = np.empty((9, 9), np.int64)
    members = np.empty((9, 9), np.int64)
    for i in range(9):
        for j in range(9):
            products[i, j] = 6 * min(i, 5) + min(j, 5)
            across = 4 if j >= 5 else 1
            members[i, j] = max(i - 5, 0) * across + max(j - 5, 0)
    return products.ravel(), members.ravel()


PRODUCT, MEMBER = _places()


@serial
def find_rows(chunk, tile, row, table):
    """Write to ``table`` where the numbers of a tile begin at each of the 81 places.

    The matrices of the 36 products lie one after another, a gap between them; each has
    the rows of ``chunk`` tiles, and a row is ``row`` numbers.
    """
    for place in range(STRIDED_PLACES):
        product = PRODUCT[place]
        rows = BEFORE[product] * chunk + ROWS[product] * tile + MEMBER[place]
        table[place] = rows * row + GAP * product


@serial
def patch_1d(even, odd):
    """Return B^T d: five places of the even numbers of d, and the odd ones."""
    d0, d1, d2, d3, d4 = even
    same, same_2 = fma(-2.25, d1, d3), fma(-0.25, d1, d3)  # d3 - 2.25*d1, ...
    other, other_2 = fma(-2.25, d0, d2), fma(-0.25, d0, d2)
    return (
        fma(0.5, other, same),
        fma(-0.5, other, same),
        fma(1.5, other_2, same_2),
        fma(-1.5, other_2, same_2),
        fma(0.5625, d0, fma(-2.5, d2, d4)),
        odd[0],
        odd[1],
        odd[2],
        odd[3],
    )


@serial
def even_1d(d0, d1, d2, d3, d4):
    """Return A^T d of the places of the even numbers."""
    total, gap, total_2, gap_2 = d0 + d1, d0 - d1, d2 + d3, d2 - d3
    return (
        total + total_2,
        0.5 * fma(3, gap_2, gap),
        0.25 * fma(9, total_2, total),
        fma(0.125, fma(27, gap_2, gap), d4),
    )


@serial
def gradient_1d(d0, d1, d2, d3):
    """Return A d."""
    even, odd = fma(0.25, d2, d0), fma(0.25, d3, d1)
    even_2, odd_2 = fma(2.25, d2, d0), fma(2.25, d3, d1)
    return (
        fma(0.5, odd, even),
        fma(-0.5, odd, even),
        fma(1.5, odd_2, even_2),
        fma(-1.5, odd_2, even_2),
        d3,
        d0,
        d1,
        d2,
        d3,
    )


@serial
def kernel_1d(d0, d1, d2):
    """Return G d."""
    quarter = 0.25 * d2
    return (
        fma(-0.5, d0, -quarter),
        fma(0.5, d0, -quarter),
        fma(1 / 6, d0, quarter),
        fma(-1 / 6, d0, quarter),
        d2,
        d1,
    )


@serial
def total_1d(d0, d1, d2, d3, d4, d5):
    """Return G^T d."""
    return (
        fma(0.5, d1 - d0, (1 / 6) * (d2 - d3)),
        d5,
        fma(0.25, d2 + d3 - d0 - d1, d4),
    )


@serial
def store_at(matrices, table, first, c, vectors):
    """Write nine vectors to places ``first`` and on, from c on in their rows."""
    store(matrices, table[first] + c, vectors[0])
    store(matrices, table[first + 1] + c, vectors[1])
    store(matrices, table[first + 2] + c, vectors[2])
    store(matrices, table[first + 3] + c, vectors[3])
    store(matrices, table[first + 4] + c, vectors[4])
    store(matrices, table[first + 5] + c, vectors[5])
    store(matrices, table[first + 6] + c, vectors[6])
    store(matrices, table[first + 7] + c, vectors[7])
    store(matrices, table[first + 8] + c, vectors[8])


@serial
def store_9(array, at, step, vectors):
    """Write nine vectors, ``step`` elements apart."""
    store_6(array, at, step, vectors[:6])
    store(array, at + 6 * step, vectors[6])
    store(array, at + 7 * step, vectors[7])
    store(array, at + 8 * step, vectors[8])


@serial
def patch_to_places(pixels, c, turned, t, matrices, rows, lane):
    """Write B^T patch B to the 81 places, whose rows begin at ``rows``, from ``lane``.

    The patch is a vector of channels, from ``c`` on, of 9x9 ``pixels``; ``turned``, of
    5x5 pixels, which stand for the even numbers and for the odd ones.
    """
    W = width(t)
    size, step, shift = (5, 5, 0) if turned else (9, 18, 9)
    for j in range(size):
        even = (
            load_pixel(pixels, j, c),
            load_pixel(pixels, j + step, c),
            load_pixel(pixels, j + 2 * step, c),
            load_pixel(pixels, j + 3 * step, c),
            load_pixel(pixels, j + 4 * step, c),
        )
        odd = (
            load_pixel(pixels, j + shift, c),
            load_pixel(pixels, j + shift + step, c),
            load_pixel(pixels, j + shift + 2 * step, c),
            load_pixel(pixels, j + shift + 3 * step, c),
        )
        store_9(t, j * W, 9 * W, patch_1d(even, odd))
    step, shift = (W, 0) if turned else (2 * W, W)
    for i in range(9):
        at = i * 9 * W
        even = (
            load(t, at),
            load(t, at + step),
            load(t, at + 2 * step),
            load(t, at + 3 * step),
            load(t, at + 4 * step),
        )
        odd = (
            load(t, at + shift),
            load(t, at + shift + step),
            load(t, at + shift + 2 * step),
            load(t, at + shift + 3 * step),
        )
        store_at(matrices, rows, 9 * i, lane, patch_1d(even, odd))


@serial
def gradient_to_places(pixels, k, t, matrices, rows, lane):
    """Write A gradient A^T to the 81 places, from 16 ``pixels``."""
    W = width(t)
    for j in range(4):
        column = gradient_1d(
            load_pixel(pixels, j, k),
            load_pixel(pixels, 4 + j, k),
            load_pixel(pixels, 8 + j, k),
            load_pixel(pixels, 12 + j, k),
        )
        store_9(t, j * W, 4 * W, column)
    for i in range(9):
        at = i * 4 * W
        d0, d1, d2 = load_3(t, at, W)
        row = gradient_1d(d0, d1, d2, load(t, at + 3 * W))
        store_at(matrices, rows, 9 * i, lane, row)


@serial
def places_to_pixels(matrices, rows, lane, turned, t, target, k, is_first):
    """Write A^T products A to the pixels of ``target``, a vector of kernels.

    There are 4x4 of them, where even and odd numbers meet in a sum; ``turned``, 8x8:
    those that the odd numbers reach, and between them those of the even ones.  The
    results are added to the target's moments, to which they may be the first, unless
    ``turned``.
    """
    W = width(t)
    size = 8 if turned else 4
    for j in range(9):
        e0, e1, e2, e3 = even_1d(
            load(matrices, rows[j] + lane),
            load(matrices, rows[9 + j] + lane),
            load(matrices, rows[18 + j] + lane),
            load(matrices, rows[27 + j] + lane),
            load(matrices, rows[36 + j] + lane),
        )
        o0 = load(matrices, rows[45 + j] + lane)
        o1 = load(matrices, rows[54 + j] + lane)
        o2 = load(matrices, rows[63 + j] + lane)
        o3 = load(matrices, rows[72 + j] + lane)
        at = j * W
        if turned:
            store_6(t, at, 9 * W, (o0, e0, o1, e1, o2, e2))
            store(t, at + 54 * W, o3)
            store(t, at + 63 * W, e3)
        else:
            store(t, at, e0 + o0)
            store(t, at + 9 * W, e1 + o1)
            store(t, at + 18 * W, e2 + o2)
            store(t, at + 27 * W, e3 + o3)
    total = fill(t, 0)
    for i in range(size):
        at, pixel = i * 9 * W, i * size
        e0, e1, e2, e3 = even_1d(
            load(t, at),
            load(t, at + W),
            load(t, at + 2 * W),
            load(t, at + 3 * W),
            load(t, at + 4 * W),
        )
        o0, o1, o2 = load_3(t, at + 5 * W, W)
        o3 = load(t, at + 8 * W)
        if turned:
            store_pixel(target, pixel, k, o0)
            store_pixel(target, pixel + 1, k, e0)
            store_pixel(target, pixel + 2, k, o1)
            store_pixel(target, pixel + 3, k, e1)
            store_pixel(target, pixel + 4, k, o2)
            store_pixel(target, pixel + 5, k, e2)
            store_pixel(target, pixel + 6, k, o3)
            store_pixel(target, pixel + 7, k, e3)
        else:
            y0, y1, y2, y3 = e0 + o0, e1 + o1, e2 + o2, e3 + o3
            store_pixel(target, pixel, k, y0)
            store_pixel(target, pixel + 1, k, y1)
            store_pixel(target, pixel + 2, k, y2)
            store_pixel(target, pixel + 3, k, y3)
            if target.moments.row > 0:
                store_4(t, at, W, (y0, y1, y2, y3))
        total = total + (e0 + e1) + (e2 + e3) + (o0 + o1) + (o2 + o3)
    note(target, total)
    if target.moments.row > 0 and not turned:
        add_moments(target.moments, k, is_first, total, t, 9 * W)
