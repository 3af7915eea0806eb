"""Matrices for the direct sums of a convolution: kernels laid out, pixels packed.

A product of a convolution is a matrix product over *rows* (pixels) and *terms* (the
channels of each *tap*, a position r, s of the kernel).  The kernel is laid out as one
factor, in blocks of columns; what the terms see of x is packed into the other, for some
rows at a time.
"""

from typing import NamedTuple

from numba import prange

from odyssey.kernels.jit import parallel, serial
from odyssey.kernels.simd import fill, load_part, store_part, width


@serial
def copy(source, start, target, at, length):
    """Copy so many numbers, a vector at a time."""
    W = width(target)
    for i in range(0, length, W):
        vector = load_part(source, start + i, length - i)
        store_part(target, at + i, vector, length - i)


class Rows(NamedTuple):
    """Which pixels of P x Q are seen, and where their terms lie in x."""

    start: int  # the first pixel, counted over all images
    end: int  # the one after the last
    P: int
    Q: int
    step: int  # pixels of x from one to the next
    H: int  # lines of an image of x
    line: int  # numbers of a line
    C: int  # numbers of a pixel


@serial
def pack(x, rows, runs, first, last, packed, at, row):
    """Copy what the terms of a slice see at some pixels.

    for row (n, p, q): for run (dh, begin, length) of the slice: for i < length:
        packed[row, i + what the runs before take] =
            x[n, p*step + dh][q*step*C + begin + i]

    The slice has the runs ``first`` to ``last``.  ``x`` and ``packed`` are flat, and
    packed has ``row`` numbers a row, from ``at`` on.  Positions outside x give zeros.
    """
    for pixel in range(rows.start, rows.end):
        q, p = pixel % rows.Q, pixel // rows.Q % rows.P
        n, target = pixel // (rows.P * rows.Q), at + (pixel - rows.start) * row
        for run in range(first, last):
            h, length = p * rows.step + runs[run, 0], runs[run, 2]
            begin = q * rows.step * rows.C + runs[run, 1]
            line = (n * rows.H + h) * rows.line
            # numbers of the run before and after those that x has
            before = min(max(-begin, 0), length)
            after = min(max(begin + length - rows.line, 0), length)
            if h < 0 or h >= rows.H:
                before, after = length, 0
            fill_zeros(packed, target, before)
            inside = length - before - after
            copy(x, line + begin + before, packed, target + before, inside)
            fill_zeros(packed, target + length - after, after)
            target += length


@serial
def fill_zeros(target, at, length):
    """Write so many zeros."""
    for i in range(0, length, width(target)):
        store_part(target, at + i, fill(target, 0), length - i)


@parallel
def kernel_matrix(kernel, taps, turned, matrix):
    """Lay the kernel (K, C, R, S) out as a factor, (blocks, T*C, B).

    for block of kernels, for channel c in parallel: for tap t at (r, s): for lane:
        matrix[block, t*C + c, lane] = kernel[block*B + lane, c, r, s]

    ``taps`` (T, 2) lists r and s.  ``turned`` exchanges the roles of K and C.
    """
    blocks, _, B = matrix.shape
    rows, columns = kernel.shape[1], kernel.shape[0]
    if turned:
        rows, columns = columns, rows
    for task in prange(blocks * rows):  # disjoint (block, row) of matrix
        block, row = task // rows, task % rows
        for t in range(len(taps)):
            r, s = taps[t]
            for lane in range(B):
                column = block * B + lane
                if column >= columns:
                    matrix[block, t * rows + row, lane] = 0
                elif turned:
                    matrix[block, t * rows + row, lane] = kernel[row, column, r, s]
                else:
                    matrix[block, t * rows + row, lane] = kernel[column, row, r, s]
