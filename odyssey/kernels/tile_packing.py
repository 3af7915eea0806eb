"""Pixels on their way to tiles: convolution as products of 16 x 32 numbers.

A tile's rows are read from memory at a constant distance.  So the question is what lies
in memory beside what, and every convolution here copies its pixels into an order that
answers it, a *piece* (some lines of some images) at a time, in the core's own cache:

    packed[line, column, image, channel]

The images stand beside the columns.  So the rows of a tile are 16 in a row of (column,
image), however narrow an image is; a tap (r, s) of the kernel is another place to
begin, at the same distance; and a tile that holds one column of many images can leave
out taps beside the image, which at 4 x 4 pixels are 31 % of all.  Were the images
copied one by one with a border of zeros, those 31 % would be multiplied, and 16 rows of
a tile would cover a line of 4 pixels by a quarter.  The copy is as large either way:
each number is read once and written once for 2 * R * S * K operations with it, so that
at 64 kernels of 3 x 3 it is 4 bytes for 1,152 operations.

With a ``step`` of 2 from window to window, columns (and lines) are sorted by their
remainder, so that those that one tap sees lie side by side again:

    packed[remainder u, line i, remainder v, column j, image, channel]
        is pixel ((i + first line) * step + top + u, j * step + left + v)

    tap (r, s) of (p, q) is at u = r % step, i = p - first line + r // step,
                               v = s % step, j = q + s // step

Columns beside the image are zeros.  Lines above and below are not there: no tap is
taken of them.  Few channels would leave most of a tile's 32 numbers empty; then the
taps of a row, which lie side by side in x, are packed as if they were one pixel's
channels (`Windows.numbers`).
"""

from typing import NamedTuple

import numpy as np

from odyssey.kernels.jit import serial
from odyssey.kernels.simd import flat
from odyssey.kernels.tile_words import BLOCK, copy_part


class Windows(NamedTuple):
    """Which pixels of x a result's pixel (p, q) sees, by taps (r, s), R x S.

    Tap (r, s) is at line p*step + top + r and column q*step + left + s.
    """

    step: int
    top: int
    left: int
    R: int
    S: int  # 1 if the taps of a row are taken as one
    U: int  # remainders of lines that a tap sees: min(step, R)
    V: int  # and of columns
    lines: int  # packed lines of each remainder
    columns: int  # packed columns of each
    numbers: int  # that a tap reads: channels, or those of a row of taps


class Piece(NamedTuple):
    """What is packed at a time: some lines of results, in some images."""

    first: int  # image
    images: int
    line: int  # the first, of the results
    lines: int


@serial
def copy_window(source, line, length, begin, count, target, to):
    """Copy numbers of a line, from ``begin`` on: ``count``, and zeros to whole blocks.

    The line has ``length`` numbers from ``line`` on; beside it there are zeros.
    """
    if begin >= 0 and begin + count <= length:
        for i in range(0, count, BLOCK):
            copy_part(source, line + begin + i, count - i, target, to + i)
    elif begin + count <= 0 or begin >= length:
        for i in range(0, count, BLOCK):
            copy_part(source, line, 0, target, to + i)
    else:
        for i in range((count + BLOCK - 1) // BLOCK * BLOCK):
            at = begin + i
            inside = 0 <= at < length and i < count
            target[to + i] = source[line + at] if inside else np.uint16(0)


@serial
def pack_pixels(x, windows, piece, packed, row):
    """Copy what the results of a piece see: ``row`` bfloat16 for each pixel.

    for image n: for remainder u: for line i: for remainder v: for column j:
        packed[u, i, v, j, n] = x[n, line of (u, i), column of (v, j)]
    """
    H, W, C = x.shape[1:]
    source, length = flat(x), W * C
    for n in range(piece.images):
        for u in range(windows.U):
            for i in range(piece.lines + (windows.R - 1) // windows.step):
                h = (piece.line + i) * windows.step + windows.top + u
                if h < 0 or h >= H:
                    continue
                line = ((piece.first + n) * H + h) * length
                to = (u * windows.lines + i) * windows.V * windows.columns
                for v in range(windows.V):
                    for j in range(windows.columns):
                        begin = (j * windows.step + windows.left + v) * C
                        at = (to + v * windows.columns + j) * piece.images + n
                        count = windows.numbers
                        copy_window(
                            source, line, length, begin, count, packed, at * row
                        )
