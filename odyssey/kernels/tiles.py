"""Tiles of an image on their way to the matrix products of Winograd's domain and back.

    pixels of a tile  <->  vectors of channels  <->  a row of each place's matrix

A tile is a table of where its pixels begin, so that the border of the image costs no
copy: a pixel outside is one of zeros where it is read, and is not written.  Channels go
through the transforms a vector at a time (`simd.py`).
"""

from typing import NamedTuple

import numpy as np

from odyssey.kernels.ending import Ending, finish
from odyssey.kernels.jit import serial
from odyssey.kernels.simd import (
    fill,
    fma,
    load,
    load_beyond,
    load_wide,
    prefetch,
    store,
    wide,
    width,
)

#: Places of a tile in the domain of stride 1 (6x6), and of stride 2 (9x9).
PLACES, STRIDED_PLACES = 36, 81
#: Different places of a kernel, of either stride: there a product is summed.
PRODUCTS = 36
#: Kernels that are multiplied and turned back together: two vectors of AVX-512.
BLOCK = 32
#: Numbers between the matrices of two places, which else would share few cache sets.
GAP = 16
#: What the table of a tile holds for a pixel outside the image, if it is written.
OUTSIDE = -1


@serial
def splits_of(threads, parts, c_blocks, k_blocks):
    """Return into how many splits to cut channels and kernels, if parts are too few."""
    c_splits = min(c_blocks, (threads + parts - 1) // parts)
    parts *= c_splits
    return c_splits, min(k_blocks, (threads + parts - 1) // parts)


@serial
def share_of(blocks, split, splits):
    """Return the first block of a split, and the first behind it."""
    return split * blocks // splits, (split + 1) * blocks // splits


class Tiling(NamedTuple):
    """How images are cut into tiles: each ``size`` x ``size`` pixels, in rows."""

    H: int  # of the images
    W: int
    C: int
    rows: int  # of tiles in an image
    columns: int
    step: int  # pixels from one tile to the next
    padding: int  # pixels by which the first one begins outside
    size: int


@serial
def distance(array, zeros):
    """Return where ``zeros`` begin, counted in numbers from the first of ``array``."""
    return (zeros.ctypes.data - array.ctypes.data) // array.itemsize


@serial
def find_pixels(tiling, tile, table, outside):
    """Write to ``table`` where each pixel of a tile begins, ``outside`` if nowhere.

    for i: for j: table[i, j] = the number of elements before x[n, top + i, left + j]
    """
    H, W, C = tiling.H, tiling.W, tiling.C
    column, row = tile % tiling.columns, tile // tiling.columns % tiling.rows
    n = tile // (tiling.columns * tiling.rows)
    top = row * tiling.step - tiling.padding
    left = column * tiling.step - tiling.padding
    size = tiling.size
    # most tiles lie inside, and with 16 channels the tests cost as much as a transform
    if top >= 0 and left >= 0 and top + size <= H and left + size <= W:
        begin = ((n * H + top) * W + left) * C
        for i in range(size):
            for j in range(size):
                table[i * size + j] = begin + (i * W + j) * C
        return
    for i in range(size):
        h = top + i
        for j in range(size):
            w = left + j
            inside = 0 <= h < H and 0 <= w < W
            begin = ((n * H + h) * W + w) * C
            table[i * size + j] = begin if inside else outside


class Pixels(NamedTuple):
    """The pixels of a tile: where each begins in an array."""

    data: np.ndarray  # flat
    channels: int
    table: np.ndarray  # of find_pixels
    outside: int  # where a pixel's worth of zeros begins, for those outside the image


@serial
def prefetch_right(data, table, outside, size, step, C, first, count):
    """Ask for ``count`` of C channels of ``step`` pixels right of each row of a tile.

    The next tile reads them, from so many rows at once that the processor would not
    foresee it.  ``first`` is the first of the channels.
    """
    for i in range(size):
        begin = table[i * size + size - 1]
        if begin != outside:
            for j in range(1, step + 1):
                pixel = begin + j * C + first
                for lane in range(0, count, width(data)):
                    prefetch(data, pixel + lane)


@serial
def prefetch_next(pixels, size, step, c):
    """Ask for the pixels of the next tile, of which ``step`` columns are new.

    A vector of channels, from ``c`` on, and before each is transformed: asked for all
    at once, they would wait for each other.
    """
    data, C, table, outside = pixels
    prefetch_right(data, table, outside, size, step, C, c, width(data))


@serial
def load_pixel(pixels, place, c):
    """Return a vector of channels, from c on, of a tile's pixel."""
    return load_beyond(pixels.data, pixels.table[place] + c, pixels.channels - c)


class Places(NamedTuple):
    """The matrices of all places: one each, with a row of channels a tile."""

    data: np.ndarray  # flat
    step: int  # numbers from one place's matrix to the next
    row: int  # numbers of a row


class Moments(NamedTuple):
    """Where the moments of a chunk's results are added up, for batch norm.

    For each channel the mean of the chunk's first tile, the sum of how far the means of
    its tiles are from that, and the sum of squared deviations from it.
    """

    data: np.ndarray  # flat, float64: three rows for each chunk
    at: int  # where those of the chunk begin
    row: int  # numbers of a row; 0 if nothing is added up


class Target(NamedTuple):
    """Where the pixels of a tile go."""

    ending: Ending
    table: np.ndarray  # of find_pixels: where each begins
    check: np.ndarray  # a vector of zeros, NaN in the end if a sum is not finite
    moments: Moments


@serial
def store_pixel(target, place, k, value):
    """Write a vector of channels, from k on, of a tile's pixel, if it has one."""
    begin = target.table[place]
    if begin != OUTSIDE:
        finish(target.ending, begin, k, value)


@serial
def prefetch_addend(target, tiling, k, count):
    """Ask for what is added to ``count`` channels, from k on, of the next tile."""
    if target.ending.has_addend:
        size, addend = tiling.size, target.ending.addend
        C, table = tiling.C, target.table
        prefetch_right(addend, table, OUTSIDE, size, size, C, k, count)


@serial
def note(target, total):
    """Remember whether sums of Winograd's domain, added up in ``total``, are finite."""
    store(target.check, 0, load(target.check, 0) + 0 * total)


@serial
def add_moments(moments, k, is_first, total, t, step):
    """Add a tile of 16 results, a vector of channels from ``k`` on, to the moments.

    ``total`` is their sum, and row i of them begins at i*step in ``t``.

    The deviations within a tile are from its own mean, so that a large mean cancels
    none of their digits (Chan, Golub & LeVeque 1983, as in ``batch_norm.py``).
    """
    W = width(t)
    mean, squares = total * (1 / 16), fill(t, 0)
    for i in range(4):
        for j in range(4):
            deviation = load(t, i * step + j * W) - mean
            squares = fma(deviation, deviation, squares)
    at, row, data = moments.at + k, moments.row, moments.data
    if is_first:
        store(data, at, wide(mean))
    distance = wide(mean) - load_wide(data, at, t)
    square = fma(16 * distance, distance, wide(squares))
    if not is_first:
        distance = distance + load_wide(data, at + row, t)
        square = square + load_wide(data, at + 2 * row, t)
    store(data, at + row, distance)
    store(data, at + 2 * row, square)
