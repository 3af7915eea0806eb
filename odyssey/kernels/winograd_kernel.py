"""3x3 kernels on their way to the places of Winograd's domain, and gradients back.

With stride 1 and with stride 2 a kernel has 36 different places and G is a matrix of
6x3, of other numbers (``winograd.py``, ``winograd_strided.py``).
"""

import numpy as np
from numba import prange

from odyssey.kernels.jit import parallel
from odyssey.kernels.tiles import (
    LANES,
    PLACES,
    PRODUCTS,
    load_lanes,
    load_taps,
    store_lanes,
    store_taps,
)
from odyssey.kernels.winograd_strided_transforms import (
    transform_kernel as strided_transform_kernel,
)
from odyssey.kernels.winograd_strided_transforms import (
    transform_total as strided_transform_total,
)
from odyssey.kernels.winograd_transforms import transform_kernel, transform_total

#: Channels of the kernel that a thread does at a time.
CHANNELS = 16


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
        d = np.empty(PLACES * LANES, kernel.dtype)
        t = np.empty(PLACES * LANES, kernel.dtype)
        block, start = task // chunks, task % chunks * CHANNELS
        lanes = min(B, K - block * B)
        matrix = places[block].reshape(PRODUCTS, C * B)
        for c in range(start, min(start + CHANNELS, C)):
            load_taps(kernel, turned, c, block * B, lanes, d)
            if strided:
                strided_transform_kernel(d, 3, lanes, t)
                strided_transform_kernel(t, 6, lanes, d)
            else:
                transform_kernel(d, 3, lanes, t)
                transform_kernel(t, 6, lanes, d)
            store_lanes(d, lanes, matrix, c * B)


@parallel
def totals_to_kernel(totals, strided, grad, checks):
    """Compute the gradient of the kernel (K, C, 3, 3) from its sums at the places.

    for block of kernels, for `CHANNELS` channels c in parallel: for c: for lanes:
        grad[kernels, c] = G^T (sum over parts of totals[:, c, kernels]) G

    ``totals`` are (parts, c blocks, k blocks, 36, c width, k width), and the parts are
    added up in their order.  ``checks`` (K/64, C) of zeros turn to NaN where a result
    is not finite.
    """
    K, C = grad.shape[:2]
    parts, _, k_blocks, _, c_width, k_width = totals.shape
    chunks = (C + CHANNELS - 1) // CHANNELS
    for task in prange(k_blocks * chunks):  # disjoint (k block, c) of grad
        d = np.empty(PLACES * LANES, grad.dtype)
        t = np.empty(PLACES * LANES, grad.dtype)
        block, start = task // chunks, task % chunks * CHANNELS
        lanes = min(k_width, K - block * k_width)
        for c in range(start, min(start + CHANNELS, C)):
            for part in range(parts):
                total = totals[part, c // c_width, block].reshape(
                    PRODUCTS, c_width * k_width
                )
                load_lanes(total, c % c_width * k_width, lanes, t if part else d)
                if part:
                    for lane in range(PLACES * LANES):
                        d[lane] += t[lane]
            if strided:
                strided_transform_total(d, 6, lanes, t)
                strided_transform_total(t, 3, lanes, d)
            else:
                transform_total(d, 6, lanes, t)
                transform_total(t, 3, lanes, d)
            store_taps(d, lanes, c, block * k_width, grad, checks[block])
