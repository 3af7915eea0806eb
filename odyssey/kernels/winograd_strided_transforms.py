"""One-dimensional transforms of the convolutions of stride 2, and their places.

The matrices A, G and B of ``winograd_strided.py`` are those of F(4, 2) at the points
1/2, -1/2, 3/2, -3/2 and infinity for the even numbers, and ones for the odd.  Each
transform works on the columns of a buffer of 81 places x `LANES` (`tiles.py`) and
writes its result transposed: called twice, it has done columns and rows.
"""

import numpy as np

from odyssey.kernels.jit import serial
from odyssey.kernels.tiles import GAP, LANES

#: Rows that a tile has in each of the 36 products.
ROWS = np.outer([1, 1, 1, 1, 1, 4], [1, 1, 1, 1, 1, 4]).ravel()
#: Rows that it has in all products before.
BEFORE = np.cumsum(ROWS) - ROWS


@serial
def transform_patch(d, turned, columns, lanes, t):
    """Multiply the columns of ``d`` by B^T; ``t`` (columns, 9) is transposed.

    The even and the odd of 9 rows are transformed apart.  If ``turned``, there are 5
    rows, and they are used as both.
    """
    half, three_halves = d.dtype.type(0.5), d.dtype.type(1.5)
    quarter, nine_quarters = d.dtype.type(0.25), d.dtype.type(2.25)
    middle, last = d.dtype.type(2.5), d.dtype.type(0.5625)
    row, shift = (
        (columns * LANES, 0) if turned else (2 * columns * LANES, columns * LANES)
    )
    for j in range(columns):
        for lane in range(lanes):
            at, to = j * LANES + lane, j * 9 * LANES + lane
            d0, d1, d2 = d[at], d[at + row], d[at + 2 * row]
            d3, d4 = d[at + 3 * row], d[at + 4 * row]
            at += shift
            d5, d6, d7, d8 = d[at], d[at + row], d[at + 2 * row], d[at + 3 * row]
            same, same_2 = d3 - nine_quarters * d1, d3 - quarter * d1
            other = half * (d2 - nine_quarters * d0)
            other_2 = three_halves * (d2 - quarter * d0)
            t[to] = same + other
            t[to + LANES] = same - other
            t[to + 2 * LANES] = same_2 + other_2
            t[to + 3 * LANES] = same_2 - other_2
            t[to + 4 * LANES] = d4 - middle * d2 + last * d0
            t[to + 5 * LANES], t[to + 6 * LANES] = d5, d6
            t[to + 7 * LANES], t[to + 8 * LANES] = d7, d8


@serial
def transform_product(d, turned, columns, lanes, t):
    """Multiply the columns of ``d`` (9, columns) by A^T; ``t`` is transposed.

    The forward has 4 results, sums of those of even and of odd places.  If ``turned``
    there are 8, in turn one of the odd and one of the even places.
    """
    one, three, nine = d.dtype.type(1), d.dtype.type(3), d.dtype.type(9)
    half, quarter, eighth, cube = one / 2, one / 4, one / 8, nine * three
    row = columns * LANES
    for j in range(columns):
        for lane in range(lanes):
            at = j * LANES + lane
            d0, d1, d2 = d[at], d[at + row], d[at + 2 * row]
            d3, d4, d5 = d[at + 3 * row], d[at + 4 * row], d[at + 5 * row]
            d6, d7, d8 = d[at + 6 * row], d[at + 7 * row], d[at + 8 * row]
            total, gap, total_2, gap_2 = d0 + d1, d0 - d1, d2 + d3, d2 - d3
            y0, y1 = total + total_2, half * (gap + three * gap_2)
            y2 = quarter * (total + nine * total_2)
            y3 = eighth * (gap + cube * gap_2) + d4
            if turned:
                to = j * 8 * LANES + lane
                t[to], t[to + LANES], t[to + 2 * LANES], t[to + 3 * LANES] = (
                    d5,
                    y0,
                    d6,
                    y1,
                )
                (
                    t[to + 4 * LANES],
                    t[to + 5 * LANES],
                    t[to + 6 * LANES],
                    t[to + 7 * LANES],
                ) = d7, y2, d8, y3
            else:
                to = j * 4 * LANES + lane
                t[to], t[to + LANES] = y0 + d5, y1 + d6
                t[to + 2 * LANES], t[to + 3 * LANES] = y2 + d7, y3 + d8


@serial
def transform_gradient(d, columns, lanes, t):
    """Multiply the columns of ``d`` (4, columns) by A; ``t`` is transposed."""
    half, three_halves = d.dtype.type(0.5), d.dtype.type(1.5)
    quarter, nine_quarters = d.dtype.type(0.25), d.dtype.type(2.25)
    row = columns * LANES
    for j in range(columns):
        for lane in range(lanes):
            at, to = j * LANES + lane, j * 9 * LANES + lane
            d0, d1, d2, d3 = d[at], d[at + row], d[at + 2 * row], d[at + 3 * row]
            even, odd = d0 + quarter * d2, half * (d1 + quarter * d3)
            even_2 = d0 + nine_quarters * d2
            odd_2 = three_halves * (d1 + nine_quarters * d3)
            t[to] = even + odd
            t[to + LANES] = even - odd
            t[to + 2 * LANES] = even_2 + odd_2
            t[to + 3 * LANES] = even_2 - odd_2
            t[to + 4 * LANES] = d3
            (
                t[to + 5 * LANES],
                t[to + 6 * LANES],
                t[to + 7 * LANES],
                t[to + 8 * LANES],
            ) = d0, d1, d2, d3


@serial
def transform_kernel(d, columns, lanes, t):
    """Multiply the columns of ``d`` (3, columns) by G; ``t`` is transposed."""
    one = d.dtype.type(1)
    half, quarter, sixth = one / 2, one / 4, one / 6
    row = columns * LANES
    for j in range(columns):
        for lane in range(lanes):
            at, to = j * LANES + lane, j * 6 * LANES + lane
            d0, d1, d2 = d[at], d[at + row], d[at + 2 * row]
            t[to] = -half * d0 - quarter * d2
            t[to + LANES] = half * d0 - quarter * d2
            t[to + 2 * LANES] = quarter * d2 + sixth * d0
            t[to + 3 * LANES] = quarter * d2 - sixth * d0
            t[to + 4 * LANES] = d2
            t[to + 5 * LANES] = d1


@serial
def transform_total(d, columns, lanes, t):
    """Multiply the columns of ``d`` (6, columns) by G^T; ``t`` is transposed."""
    one = d.dtype.type(1)
    half, quarter, sixth = one / 2, one / 4, one / 6
    row = columns * LANES
    for j in range(columns):
        for lane in range(lanes):
            at, to = j * LANES + lane, j * 3 * LANES + lane
            d0, d1, d2 = d[at], d[at + row], d[at + 2 * row]
            d3, d4, d5 = d[at + 3 * row], d[at + 4 * row], d[at + 5 * row]
            t[to] = half * (d1 - d0) + sixth * (d2 - d3)
            t[to + LANES] = d5
            t[to + 2 * LANES] = quarter * (d2 + d3 - d0 - d1) + d4


@serial
def store_places(d, lanes, C, chunk, tile, first, matrices):
    """Copy the 81 places of ``d`` to the tile's rows of the 36 ``matrices``.

    for product: for member of it: matrices[product][tile, member, first:] = d[place]

    The matrices lie one after another, each with ``chunk`` tiles and C columns; their
    members are the places with the same row of G in both directions, 1, 4 or 16.
    """
    for i in range(6):
        for j in range(6):
            product, down, across = 6 * i + j, 4 if i == 5 else 1, 4 if j == 5 else 1
            at = (BEFORE[product] * chunk + ROWS[product] * tile) * C + GAP * product
            for u in range(down):
                for v in range(across):
                    place = ((i + u) * 9 + j + v) * LANES
                    start = at + (u * across + v) * C + first
                    values = matrices[start : start + lanes]
                    for lane in range(lanes):
                        values[lane] = d[place + lane]


@serial
def load_places(matrices, C, chunk, tile, lanes, d):
    """Copy the tile's rows of the 36 ``matrices`` to the 81 places of ``d``."""
    for i in range(6):
        for j in range(6):
            product, down, across = 6 * i + j, 4 if i == 5 else 1, 4 if j == 5 else 1
            at = (BEFORE[product] * chunk + ROWS[product] * tile) * C + GAP * product
            for u in range(down):
                for v in range(across):
                    place = ((i + u) * 9 + j + v) * LANES
                    start = at + (u * across + v) * C
                    values = matrices[start : start + lanes]
                    for lane in range(lanes):
                        d[place + lane] = values[lane]
