"""3x3 kernels on their way to the places of Winograd's domain, and gradients back.

With stride 1 and with stride 2 a kernel has 36 different places and G is a matrix of
6x3, of other numbers (``winograd.py``, ``winograd_strided.py``).
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from odyssey.kernels.ending import in_lines
from odyssey.kernels.jit import parallel, serial
from odyssey.kernels.simd import LANES, flat, keep, load, store, width
from odyssey.kernels.tiles import PLACES, PRODUCTS
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


@serial
def load_taps(kernel, turned, c, first, lanes, taps):
    """Copy the 3x3 taps of kernels ``first`` and on, at channel c, into vectors.

    ``turned`` exchanges kernels and channels and turns the taps by 180 degrees.
    """
    W = width(taps)
    for lane in range(lanes):
        k = first + lane
        for tap in range(9):
            r, s = tap // 3, tap % 3
            if turned:
                taps[tap * W + lane] = kernel[c, k, 2 - r, 2 - s]
            else:
                taps[tap * W + lane] = kernel[k, c, r, s]


@serial
def store_taps(taps, lanes, c, first, grad, checks):
    """Copy 3x3 taps from vectors to ``grad`` (K, C, 3, 3); the reverse of load_taps.

    ``checks[c]`` turns from zero to NaN where one is not finite.
    """
    W, zero = width(taps), taps.dtype.type(0)
    for lane in range(lanes):
        check = zero
        for tap in range(9):
            value = taps[tap * W + lane]
            grad[first + lane, c, tap // 3, tap % 3] = value
            check += zero * value
        checks[c] += check


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
def taps_to_places(strided, taps, t, places, at, step, past):
    """Write G taps G^T to 36 places; the 9 ``taps`` are vectors side by side.

    ``past`` the caches if vectors of ``places`` lie in lines of their own.
    """
    W = width(t)
    for j in range(3):
        column = kernel_1d_of(strided, load_3(taps, j * W, 3 * W))
        store_6(t, j * W, 3 * W, column)
    for i in range(6):
        row = kernel_1d_of(strided, load_3(t, i * 3 * W, W))
        if past:
            stream_6(places, at + i * 6 * step, step, row)
        else:
            store_6(places, at + i * 6 * step, step, row)


@serial
def totals_to_taps(strided, totals, at, step, t, taps):
    """Write G^T totals G to 9 taps; the 36 totals are vectors ``step`` apart."""
    W = width(t)
    for j in range(6):
        y0, y1, y2 = total_1d_of(strided, load_6(totals, at + j * step, 6 * step))
        store(t, j * W, y0)
        store(t, (6 + j) * W, y1)
        store(t, (12 + j) * W, y2)
    for i in range(3):
        y0, y1, y2 = total_1d_of(strided, load_6(t, i * 6 * W, W))
        store(taps, 3 * i * W, y0)
        store(taps, (3 * i + 1) * W, y1)
        store(taps, (3 * i + 2) * W, y2)


class ToPlaces(NamedTuple):
    """A kernel on its way to the places, in blocks of ``B``."""

    kernel: np.ndarray  # (K, C, 3, 3)
    turned: bool  # as in `load_taps`
    strided: bool
    B: int
    past: bool  # as in `taps_to_places`
    taps: np.ndarray  # 9 vectors of zeros, and 18 vectors, as buffers
    t: np.ndarray


@serial
def block_to_places(way, block, channels, places, at, step):
    """Write G kernel G^T of a block of kernels, of ``channels`` (first, last).

    for c: for lane k: places[at + (6*i + j)*step + c*B + k] = (G kernel G^T)[i, j]
    """
    kernel, turned, strided, B, past, taps, buffer = way
    K, W = kernel.shape[1] if turned else kernel.shape[0], width(taps)
    vectors, t = flat(taps), flat(buffer)
    for c in range(channels[0], channels[1]):
        for lane in range(0, B, W):
            k = block * B + lane
            load_taps(kernel, turned, c, k, min(W, K - k), taps)
            begin = at + c * B + lane
            taps_to_places(strided, vectors, t, places, begin, step, past)


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
        taps = np.zeros(9 * LANES, places.dtype)
        t = np.empty(18 * LANES, places.dtype)
        # prange counts without a sign, and such a number and another make a float
        block, start = np.intp(task // chunks), np.intp(task % chunks) * CHANNELS
        channels = start, min(start + CHANNELS, C)
        way = ToPlaces(kernel, turned, strided, B, past, taps, t)
        at = block * PRODUCTS * step
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
        t, taps = np.empty(18 * LANES, grad.dtype), np.empty(9 * LANES, grad.dtype)
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
    t: np.ndarray  # 18 vectors, and 9, as buffers
    taps: np.ndarray


@serial
def sums_to_kernel(back, sums, step, channels, block):
    """Write the gradient of ``channels`` (first, last) of a block of kernels.

    for c: for lanes: grad[kernels, first + c] = G^T sums[:, c, kernels] G

    The ``sums`` of the 36 places lie ``step`` apart.
    """
    strided, k_width, grad, checks, buffer, taps = back
    W, t, done = width(taps), flat(buffer), flat(taps)
    for c in range(channels[0], channels[1]):
        for lane in range(0, k_width, W):
            k, at = block * k_width + lane, (c - channels[0]) * k_width + lane
            totals_to_taps(strided, sums, at, step, t, done)
            store_taps(taps, min(W, len(grad) - k), c, k, grad, checks[block])


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
