"""3x3 kernels on their way to the places of Winograd's domain, and gradients back.

With stride 1 and with stride 2 a kernel has 36 different places and G is a matrix of
6x3, of other numbers (``winograd.py``, ``winograd_strided.py``).
"""

import numpy as np
from numba import prange

from odyssey.kernels.jit import parallel, serial
from odyssey.kernels.simd import LANES, flat, keep, load, store, width
from odyssey.kernels.tiles import PLACES, PRODUCTS
from odyssey.kernels.winograd_strided_transforms import (
    taps_to_places as strided_taps_to_places,
)
from odyssey.kernels.winograd_strided_transforms import (
    totals_to_taps as strided_totals_to_taps,
)
from odyssey.kernels.winograd_transforms import taps_to_places, totals_to_taps

#: Channels of the kernel that a thread does at a time.
CHANNELS = 16


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


@parallel
def kernel_to_places(kernel, turned, strided, places):
    """Compute G kernel G^T of ``kernel`` (K, C, 3, 3).

    for block of kernels, for `CHANNELS` channels c in parallel: for c: for lane k:
        places[block, 6*i + j, c, k] = (G kernel[block*B + k, c] G^T)[i, j]

    ``places`` is (K/B, 36, C, B): one piece of memory for each product.  ``turned``
    exchanges the roles of K and C and turns the kernel by 180 degrees, which is what
    the gradient of the input is a convolution with.
    """
    blocks, _, C, B = places.shape
    K = kernel.shape[1] if turned else kernel.shape[0]
    chunks = (C + CHANNELS - 1) // CHANNELS
    for task in prange(blocks * chunks):  # disjoint (block, c) of places
        taps = np.zeros(9 * LANES, places.dtype)
        t = np.empty(18 * LANES, places.dtype)
        block, start = task // chunks, task % chunks * CHANNELS
        matrices, vectors, buffer = flat(places[block]), flat(taps), flat(t)
        for c in range(start, min(start + CHANNELS, C)):
            for lane in range(0, B, width(taps)):
                k = block * B + lane
                lanes = min(width(taps), K - k)
                load_taps(kernel, turned, c, k, lanes, taps)
                at = c * B + lane
                if strided:
                    strided_taps_to_places(vectors, buffer, matrices, at, C * B)
                else:
                    taps_to_places(vectors, buffer, matrices, at, C * B)
        keep(t)


@parallel
def totals_to_kernel(totals, strided, grad, checks):
    """Compute the gradient of the kernel (K, C, 3, 3) from its sums at the places.

    for block of kernels, for `CHANNELS` channels c in parallel: for c: for lanes:
        grad[kernels, c] = G^T (sum over parts of totals[:, c, kernels]) G

    ``totals`` are (parts, c blocks, k blocks, 36, c width, k width), and the parts are
    added up in their order.  ``checks`` (k blocks, C) of zeros turn to NaN where a
    result is not finite.
    """
    K, C = grad.shape[:2]
    parts, _, k_blocks, _, c_width, k_width = totals.shape
    chunks = (C + CHANNELS - 1) // CHANNELS
    for task in prange(k_blocks * chunks):  # disjoint (k block, c) of grad
        total = np.empty(PLACES * LANES, grad.dtype)
        t, taps = np.empty(18 * LANES, grad.dtype), np.empty(9 * LANES, grad.dtype)
        block, start = task // chunks, task % chunks * CHANNELS
        W = width(taps)
        for c in range(start, min(start + CHANNELS, C)):
            for lane in range(0, k_width, W):
                k = block * k_width + lane
                for part in range(parts):
                    add_places(
                        totals[part, c // c_width, block].reshape(-1),
                        c % c_width * k_width + lane,
                        part > 0,
                        total,
                    )
                if strided:
                    strided_totals_to_taps(total, t, taps)
                else:
                    totals_to_taps(total, t, taps)
                store_taps(taps, min(W, K - k), c, k, grad, checks[block])


@serial
def add_places(matrices, at, more, total):
    """Write a vector of 36 matrices, or add it if ``more``, to vectors side by side."""
    W, step = width(total), len(matrices) // PRODUCTS
    for place in range(PRODUCTS):
        vector = load(matrices, at + place * step)
        if more:
            vector = vector + load(total, place * W)
        store(total, place * W, vector)
