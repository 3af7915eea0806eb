"""3x3 kernels on their way to the places of Winograd's domain, and gradients back.

With stride 1 and with stride 2 a kernel has 36 different places and G is a matrix of
6x3, of other numbers (``winograd.py``, ``winograd_strided.py``).
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from odyssey.kernels.ending import in_lines
from odyssey.kernels.jit import parallel, serial
from odyssey.kernels.simd import LANES, fill, flat, keep, load, store, width
from odyssey.kernels.tiles import PLACES, PRODUCTS
from odyssey.kernels.transposing import transpose
from odyssey.kernels.winograd_strided_transforms import (
    kernel_1d as strided_kernel_1d,
)
from odyssey.kernels.winograd_strided_transforms import (
    total_1d as strided_total_1d,
)
from odyssey.kernels.winograd_transforms import (
    kernel_1d,
    load_3,
    load_6,
    store_6,
    stream_6,
    total_1d,
)

#: Channels of the kernel that a thread does at a time.
CHANNELS = 16

#: Channels of its gradient that a thread sums up, and then turns back, at a time.
TOGETHER = 16

#: How far the squares that hold nine taps reach, from the first on, in whole vectors.
BEYOND = 16

#: Numbers of the taps of as many channels and kernels as a vector has lanes, and room
#: for what squares reach beyond them.
TAPS = (9 * LANES + BEYOND) * LANES


@serial
def load_taps(way, c, count, first, lanes, taps):
    """Copy the 3x3 taps of kernels ``first`` and on, at ``count`` channels, to vectors.

    for i < count: for tap: for lane < lanes:
        taps[9*i + tap, lane] = kernel[first + lane, c + i, tap]
    and zeros in the other lanes; ``turned`` exchanges kernels and channels.

    Optimization: in memory a kernel's taps lie side by side, and here its lanes do, so
    squares of as many rows as a vector has lanes are transposed in registers.
    """
    kernel, turned = way.kernel, way.turned
    W, data, rows = width(taps), flat(kernel), kernel.shape[1]
    if turned:
        for i in range(count):
            at = ((c + i) * rows + first) * 9
            # the last kernel's square reaches beyond its nine taps
            if lanes == W and at + 9 * (W - 1) + BEYOND <= kernel.size:
                for tap in range(0, 9, W):
                    transpose(data, at + tap, 9, taps, (9 * i + tap) * W, W)
            else:
                load_taps_singly(data, at, 9, lanes, taps, 9 * i * W)
    else:
        at = (first * rows + c) * 9
        if lanes == W and count == W:
            for tap in range(0, 9 * W, W):
                transpose(data, at + tap, 9 * rows, taps, tap * W, W)
        else:
            for i in range(count):
                load_taps_singly(data, at + 9 * i, 9 * rows, lanes, taps, 9 * i * W)


@serial
def load_taps_singly(data, at, row, lanes, taps, to):
    """Copy 9 taps of ``lanes`` kernels, ``row`` numbers apart, to 9 vectors."""
    W = width(taps)
    for tap in range(9):
        store(taps, to + tap * W, fill(taps, 0))
        for lane in range(lanes):
            taps[to + tap * W + lane] = data[at + lane * row + tap]


@serial
def store_taps(taps, c, count, first, lanes, grad):
    """Copy 3x3 taps from vectors to ``grad`` (K, C, 3, 3); the reverse of load_taps."""
    W, data, row = width(taps), flat(grad), grad.shape[1] * 9
    at = first * row + c * 9
    if lanes == W and count == W:
        for tap in range(0, 9 * W, W):
            transpose(taps, tap * W, W, data, at + tap, row)
    else:
        for lane in range(lanes):
            for tap in range(9 * count):
                data[at + lane * row + tap] = taps[tap * W + lane]


@serial
def kernel_1d_of(strided, d):
    """Return G d of three vectors, with the matrix G of stride 2 or of stride 1."""
    d0, d1, d2 = d
    return strided_kernel_1d(d0, d1, d2) if strided else kernel_1d(d0, d1, d2)


@serial
def total_1d_of(strided, d):
    """Return G^T d, likewise, of six vectors."""
    d0, d1, d2, d3, d4, d5 = d
    if strided:
        return strided_total_1d(d0, d1, d2, d3, d4, d5)
    return total_1d(d0, d1, d2, d3, d4, d5)


@serial
def taps_to_places(way, taps, begin, t, places, at, step):
    """Write G taps G^T to 36 places; 9 taps are vectors side by side, from ``begin``.

    ``turned`` turns them by 180 degrees: they are read from the last to the first.
    """
    strided, past = way.strided, way.past
    W = width(t)
    first, next_tap = begin, W
    if way.turned:
        first, next_tap = begin + 8 * W, -W
    for j in range(3):
        taps_of_column = load_3(taps, first + j * next_tap, 3 * next_tap)
        column = kernel_1d_of(strided, taps_of_column)
        store_6(t, j * W, 3 * W, column)
    for i in range(6):
        row = kernel_1d_of(strided, load_3(t, i * 3 * W, W))
        if past:
            stream_6(places, at + i * 6 * step, step, row)
        else:
            store_6(places, at + i * 6 * step, step, row)


@serial
def totals_to_taps(strided, totals, at, step, t, taps, begin):
    """Write G^T totals G to 9 taps, from ``begin``; return the sum of 0 times each.

    The 36 totals are vectors ``step`` apart, and the taps vectors side by side.
    """
    W, check = width(t), fill(t, 0)
    for j in range(6):
        y0, y1, y2 = total_1d_of(strided, load_6(totals, at + j * step, 6 * step))
        store(t, j * W, y0)
        store(t, (6 + j) * W, y1)
        store(t, (12 + j) * W, y2)
    for i in range(3):
        y0, y1, y2 = total_1d_of(strided, load_6(t, i * 6 * W, W))
        store(taps, begin + 3 * i * W, y0)
        store(taps, begin + (3 * i + 1) * W, y1)
        store(taps, begin + (3 * i + 2) * W, y2)
        check = check + 0 * (y0 + y1 + y2)
    return check


class ToPlaces(NamedTuple):
    """A kernel on its way to the places, in blocks of ``B``."""

    kernel: np.ndarray  # (K, C, 3, 3)
    turned: bool  # by 180 degrees, with K and C exchanged
    strided: bool
    B: int
    past: bool  # past the caches: vectors of the places lie in lines of their own
    taps: np.ndarray  # `TAPS` numbers, and 18 vectors, as buffers
    t: np.ndarray


@serial
def block_to_places(way, block, channels, places, at, step):
    """Write G kernel G^T of a block of kernels, of ``channels`` (first, last).

    for c: for k: places[at + (6*i + j)*step + (c - first)*B + k] = (G kernel G^T)[i, j]
    """
    K, B = way.kernel.shape[1] if way.turned else way.kernel.shape[0], way.B
    taps, t = flat(way.taps), flat(way.t)
    W = width(taps)
    for c in range(channels[0], channels[1], W):
        count = min(W, channels[1] - c)
        for lane in range(0, B, W):
            k = block * B + lane
            load_taps(way, c, count, k, min(W, K - k), taps)
            for i in range(count):
                begin = at + (c - channels[0] + i) * B + lane
                taps_to_places(way, taps, 9 * i * W, t, places, begin, step)


@parallel
def kernel_to_places(kernel, turned, strided, B, places):
    """Compute G kernel G^T of ``kernel`` (K, C, 3, 3).

    for block of kernels, for `CHANNELS` channels c in parallel: for c: for lane k:
        places[block, 6*i + j, c*B + k] = (G kernel[block*B + k, c] G^T)[i, j]

    ``places`` is (K/B, 36, C*B + gap): one piece of memory for each product.
    ``turned`` exchanges the roles of K and C and turns the kernel by 180 degrees, which
    is what the gradient of the input is a convolution with.

    Optimizations: places are read again when all are written, by other threads too, so
    they go straight to memory; and without the gap, those of a vector would lie a power
    of two apart, in the same few sets of the caches, which could not keep them.
    """
    blocks, _, step = places.shape
    C = kernel.shape[0] if turned else kernel.shape[1]
    chunks, past = (C + CHANNELS - 1) // CHANNELS, in_lines(places, step)
    for task in prange(blocks * chunks):  # disjoint (block, c) of places
        taps = np.empty(TAPS, places.dtype)
        t = np.empty(18 * LANES, places.dtype)
        # prange counts without a sign, and such a number and another make a float
        block, start = np.intp(task // chunks), np.intp(task % chunks) * CHANNELS
        channels = start, min(start + CHANNELS, C)
        way = ToPlaces(kernel, turned, strided, B, past, taps, t)
        at = block * PRODUCTS * step + start * B
        block_to_places(way, block, channels, flat(places), at, step)


@parallel
def totals_to_kernel(totals, strided, grad, checks):
    """Compute the gradient of the kernel (K, C, 3, 3) from its sums at the places.

    for block of kernels, for `TOGETHER` channels of a block in parallel:
        for place: for channel c: for lanes:
            total[place, c, kernels] = sum over parts of totals[:, place, c, kernels]
        for channel c: for lanes: grad[kernels, c] = G^T total[:, c, kernels] G

    ``totals`` are (parts, c blocks, k blocks, 36, c width, k width), and the parts are
    added up in their order.  ``checks`` (k blocks, C) of zeros turn to NaN where a
    result is not finite.

    Optimization: the sums of a place are read from memory side by side, as the
    processor foresees them, before any is turned back.
    """
    C = grad.shape[1]
    parts, c_blocks, k_blocks, _, c_width, k_width = totals.shape
    # of a block, which may be any number of vectors wide
    chunks = (c_width + TOGETHER - 1) // TOGETHER
    for task in prange(k_blocks * c_blocks * chunks):  # disjoint (k block, c) of grad
        total = np.empty(PLACES * TOGETHER * k_width, grad.dtype)
        t, taps = np.empty(18 * LANES, grad.dtype), np.empty(TAPS, grad.dtype)
        sums, vectors, size = flat(totals), flat(total), c_width * k_width
        part_of_c, within = np.intp(task // chunks), np.intp(task % chunks) * TOGETHER
        block, c_block = part_of_c // c_blocks, part_of_c % c_blocks
        start = c_block * c_width + within
        count = max(0, min(TOGETHER, c_width - within, C - start))
        step = c_blocks * k_blocks * PRODUCTS * size
        at = (c_block * k_blocks + block) * PRODUCTS * size + within * k_width
        for place in range(PRODUCTS):
            begin = place * TOGETHER * k_width
            first = at + place * size
            add_parts(sums, first, step, parts, count * k_width, vectors, begin)
        back = FromPlaces(strided, k_width, grad, checks, t, taps)
        row = TOGETHER * k_width
        sums_to_kernel(back, vectors, row, (start, start + count), block)
        keep(total)


class FromPlaces(NamedTuple):
    """Where sums at the places go, ``k_width`` for a channel."""

    strided: bool
    k_width: int
    grad: np.ndarray  # (K, C, 3, 3)
    checks: np.ndarray  # (k blocks, C) of zeros, NaN where a result is not finite
    t: np.ndarray  # 18 vectors, and `TAPS` numbers, as buffers
    taps: np.ndarray


@serial
def sums_to_kernel(back, sums, step, channels, block):
    """Write the gradient of ``channels`` (first, last) of a block of kernels.

    for c: for lanes: grad[kernels, first + c] = G^T sums[:, c, kernels] G

    The ``sums`` of the 36 places lie ``step`` apart.
    """
    strided, k_width, grad, checks, buffer, taps = back
    W, t, done = width(taps), flat(buffer), flat(taps)
    for c in range(channels[0], channels[1], W):
        count = min(W, channels[1] - c)
        for lane in range(0, k_width, W):
            k, check = block * k_width + lane, fill(t, 0)
            for i in range(count):
                at = (c + i - channels[0]) * k_width + lane
                one = totals_to_taps(strided, sums, at, step, t, done, 9 * i * W)
                check = check + one
            lanes = min(W, len(grad) - k)
            store_taps(done, c, count, k, lanes, grad)
            store(t, 0, check)
            for i in range(lanes):
                checks[block, c] += buffer[i]


@serial
def add_parts(sums, at, step, parts, count, total, begin):
    """Write the sums of ``parts`` pieces of memory, ``step`` apart, to ``total``."""
    for part in range(parts):
        first = at + part * step
        for i in range(0, count, width(sums)):
            vector = load(sums, first + i)
            if part > 0:
                vector = load(total, begin + i) + vector
            store(total, begin + i, vector)
