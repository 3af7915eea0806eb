"""One-dimensional transforms of the convolutions of stride 1.

The matrices A, G and B of ``winograd.py`` are those of F(4, 3) at the points 0, 1, -1,
2, -2 and infinity (``docs/derivations/winograd.md``).  Each transform works on the
columns of a buffer of 36 places x `LANES` (`tiles.py`) and writes its result
transposed: called twice, it has done columns and rows.
"""

from odyssey.kernels.jit import serial
from odyssey.kernels.tiles import LANES


@serial
def transform_input(d, lanes, t):
    """Multiply the columns of ``d`` (6, 6) by B^T; ``t`` is the result, transposed."""
    two, four, five = d.dtype.type(2), d.dtype.type(4), d.dtype.type(5)
    for j in range(6):
        for lane in range(lanes):
            at, to = j * LANES + lane, j * 6 * LANES + lane
            d0, d1, d2 = d[at], d[at + 6 * LANES], d[at + 12 * LANES]
            d3, d4, d5 = d[at + 18 * LANES], d[at + 24 * LANES], d[at + 30 * LANES]
            even, odd = d4 - four * d2, d3 - four * d1
            even_2, odd_2 = d4 - d2, two * (d3 - d1)
            t[to] = four * d0 - five * d2 + d4
            t[to + LANES] = even + odd
            t[to + 2 * LANES] = even - odd
            t[to + 3 * LANES] = even_2 + odd_2
            t[to + 4 * LANES] = even_2 - odd_2
            t[to + 5 * LANES] = four * d1 - five * d3 + d5


@serial
def transform_output(d, columns, lanes, t):
    """Multiply the columns of ``d`` (6, columns) by A^T; ``t`` is transposed."""
    two, four, eight = d.dtype.type(2), d.dtype.type(4), d.dtype.type(8)
    row = columns * LANES
    for j in range(columns):
        for lane in range(lanes):
            at, to = j * LANES + lane, j * 4 * LANES + lane
            d0, d1, d2 = d[at], d[at + row], d[at + 2 * row]
            d3, d4, d5 = d[at + 3 * row], d[at + 4 * row], d[at + 5 * row]
            even, odd = d1 + d2, d1 - d2
            even_2, odd_2 = d3 + d4, d3 - d4
            t[to] = d0 + even + even_2
            t[to + LANES] = odd + two * odd_2
            t[to + 2 * LANES] = even + four * even_2
            t[to + 3 * LANES] = odd + eight * odd_2 + d5


@serial
def transform_gradient(d, columns, lanes, t):
    """Multiply the columns of ``d`` (4, columns) by A; ``t`` is transposed."""
    two, four = d.dtype.type(2), d.dtype.type(4)
    row = columns * LANES
    for j in range(columns):
        for lane in range(lanes):
            at, to = j * LANES + lane, j * 6 * LANES + lane
            d0, d1, d2, d3 = d[at], d[at + row], d[at + 2 * row], d[at + 3 * row]
            even, odd = d0 + d2, d1 + d3
            even_2, odd_2 = d0 + four * d2, two * (d1 + four * d3)
            t[to] = d0
            t[to + LANES] = even + odd
            t[to + 2 * LANES] = even - odd
            t[to + 3 * LANES] = even_2 + odd_2
            t[to + 4 * LANES] = even_2 - odd_2
            t[to + 5 * LANES] = d3


@serial
def transform_kernel(d, columns, lanes, t):
    """Multiply the columns of ``d`` (3, columns) by G; ``t`` is transposed."""
    one = d.dtype.type(1)
    sixth, twelfth, quarter = one / 6, one / 12, one / 4
    row = columns * LANES
    for j in range(columns):
        for lane in range(lanes):
            at, to = j * LANES + lane, j * 6 * LANES + lane
            d0, d1, d2 = d[at], d[at + row], d[at + 2 * row]
            even, odd = sixth * (d0 + d2), sixth * d1
            even_2, odd_2 = sixth * (quarter * d0 + d2), twelfth * d1
            t[to] = quarter * d0
            t[to + LANES] = -even - odd
            t[to + 2 * LANES] = odd - even
            t[to + 3 * LANES] = even_2 + odd_2
            t[to + 4 * LANES] = even_2 - odd_2
            t[to + 5 * LANES] = d2


@serial
def transform_total(d, columns, lanes, t):
    """Multiply the columns of ``d`` (6, columns) by G^T; ``t`` is transposed."""
    one = d.dtype.type(1)
    sixth, twelfth, quarter = one / 6, one / 12, one / 4
    row = columns * LANES
    for j in range(columns):
        for lane in range(lanes):
            at, to = j * LANES + lane, j * 3 * LANES + lane
            d0, d1, d2 = d[at], d[at + row], d[at + 2 * row]
            d3, d4, d5 = d[at + 3 * row], d[at + 4 * row], d[at + 5 * row]
            even, odd = d1 + d2, d2 - d1
            even_2, odd_2 = d3 + d4, d3 - d4
            t[to] = quarter * (d0 + sixth * even_2) - sixth * even
            t[to + LANES] = sixth * odd + twelfth * odd_2
            t[to + 2 * LANES] = sixth * (even_2 - even) + d5
