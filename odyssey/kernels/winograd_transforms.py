"""One-dimensional transforms of the convolutions of stride 1.

The matrices A, G and B of ``winograd.py`` are those of F(4, 3) at the points 0, 1, -1,
2, -2 and infinity (``docs/derivations/winograd.md``).  Each transform works on the
columns of a buffer of 36 places x 64 lanes (`tiles.py`) and writes its result
transposed: called twice, it has done columns and rows.
"""

from odyssey.kernels.jit import serial


@serial
def transform_input(d, lanes, t):
    """Multiply the columns of ``d`` (6, 6) by B^T; ``t`` is the result, transposed."""
    two, four, five = d.dtype.type(2), d.dtype.type(4), d.dtype.type(5)
    for j in range(6):
        for lane in range(lanes):
            at, to = j * 64 + lane, j * 384 + lane
            d0, d1, d2 = d[at], d[at + 384], d[at + 768]
            d3, d4, d5 = d[at + 1152], d[at + 1536], d[at + 1920]
            even, odd = d4 - four * d2, d3 - four * d1
            even_2, odd_2 = d4 - d2, two * (d3 - d1)
            t[to] = four * d0 - five * d2 + d4
            t[to + 64] = even + odd
            t[to + 128] = even - odd
            t[to + 192] = even_2 + odd_2
            t[to + 256] = even_2 - odd_2
            t[to + 320] = four * d1 - five * d3 + d5


@serial
def transform_output(d, columns, lanes, t):
    """Multiply the columns of ``d`` (6, columns) by A^T; ``t`` is transposed."""
    two, four, eight = d.dtype.type(2), d.dtype.type(4), d.dtype.type(8)
    row = columns * 64
    for j in range(columns):
        for lane in range(lanes):
            at, to = j * 64 + lane, j * 256 + lane
            d0, d1, d2 = d[at], d[at + row], d[at + 2 * row]
            d3, d4, d5 = d[at + 3 * row], d[at + 4 * row], d[at + 5 * row]
            even, odd = d1 + d2, d1 - d2
            even_2, odd_2 = d3 + d4, d3 - d4
            t[to] = d0 + even + even_2
            t[to + 64] = odd + two * odd_2
            t[to + 128] = even + four * even_2
            t[to + 192] = odd + eight * odd_2 + d5


@serial
def transform_gradient(d, columns, lanes, t):
    """Multiply the columns of ``d`` (4, columns) by A; ``t`` is transposed."""
    two, four = d.dtype.type(2), d.dtype.type(4)
    row = columns * 64
    for j in range(columns):
        for lane in range(lanes):
            at, to = j * 64 + lane, j * 384 + lane
            d0, d1, d2, d3 = d[at], d[at + row], d[at + 2 * row], d[at + 3 * row]
            even, odd = d0 + d2, d1 + d3
            even_2, odd_2 = d0 + four * d2, two * (d1 + four * d3)
            t[to] = d0
            t[to + 64] = even + odd
            t[to + 128] = even - odd
            t[to + 192] = even_2 + odd_2
            t[to + 256] = even_2 - odd_2
            t[to + 320] = d3


@serial
def transform_kernel(d, columns, lanes, t):
    """Multiply the columns of ``d`` (3, columns) by G; ``t`` is transposed."""
    one = d.dtype.type(1)
    sixth, twelfth, quarter = one / 6, one / 12, one / 4
    row = columns * 64
    for j in range(columns):
        for lane in range(lanes):
            at, to = j * 64 + lane, j * 384 + lane
            d0, d1, d2 = d[at], d[at + row], d[at + 2 * row]
            even, odd = sixth * (d0 + d2), sixth * d1
            even_2, odd_2 = sixth * (quarter * d0 + d2), twelfth * d1
            t[to] = quarter * d0
            t[to + 64] = -even - odd
            t[to + 128] = odd - even
            t[to + 192] = even_2 + odd_2
            t[to + 256] = even_2 - odd_2
            t[to + 320] = d2


@serial
def transform_total(d, columns, lanes, t):
    """Multiply the columns of ``d`` (6, columns) by G^T; ``t`` is transposed."""
    one = d.dtype.type(1)
    sixth, twelfth, quarter = one / 6, one / 12, one / 4
    row = columns * 64
    for j in range(columns):
        for lane in range(lanes):
            at, to = j * 64 + lane, j * 192 + lane
            d0, d1, d2 = d[at], d[at + row], d[at + 2 * row]
            d3, d4, d5 = d[at + 3 * row], d[at + 4 * row], d[at + 5 * row]
            even, odd = d1 + d2, d2 - d1
            even_2, odd_2 = d3 + d4, d3 - d4
            t[to] = quarter * (d0 + sixth * even_2) - sixth * even
            t[to + 64] = sixth * odd + twelfth * odd_2
            t[to + 128] = sixth * (even_2 - even) + d5
