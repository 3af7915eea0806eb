"""The three sums of a convolution by the direct method: pack, multiply, store.

Each sum is a matrix product over *rows* (pixels) and *terms* (the channels of each
*tap*, a position r, s of the kernel).  No thread ever holds the whole unfolded input: a
block of rows is packed into a buffer in the core's own cache, multiplied, stored.
`packing.py` has the first two steps.

Arrays are C-contiguous: x (N, H, W, C), out (N, P, Q, K), kernel (K, C, R, S).  The
columns of a factor are cut into blocks of at most 64, and products into pieces of at
most a million multiplications: OpenBLAS computes small ones at full speed, without
packing the factors first.  The order of a sum depends on shapes alone, so results have
the same bits whatever the number of threads.
"""

import numpy as np
from numba import prange

from odyssey.kernels.jit import parallel
from odyssey.kernels.packing import Grid, multiply_and_add, pack
from odyssey.kernels.tiles import add_product

#: Rows (pixels) that a thread packs and multiplies at a time.
BLOCK = 64
#: Slices for which x is packed at a time, in the gradient of the kernel.
PACKED_SLICES = 8
#: Channels whose gradient a thread writes at a time.
CHANNELS = 16
#: Parts into which the rows of a matrix are cut to add them up.
PARTS = 64


@parallel
def conv_forward(x, matrix, bias, addend, relu, runs, slices, stride, out):
    """Compute the convolution of ``x`` with a kernel laid out as ``matrix``.

    for block of rows (n, p, q) in parallel: for slice of terms (r, s, c): for k:
        out[n, p, q, k] += x[n, p*stride+r-padding, q*stride+s-padding, c]
                           * kernel[k, c, r, s]

    The sums begin with ``bias`` and, if that has any images, with ``addend``; with
    ``relu`` they end in one.  A row of ``slices`` is its first run, the one after the
    last, its first term and the one after the last; ``pack`` says what ``runs`` are.

    Optimizations:
    - each thread owns whole rows of ``out``, so nothing is shared
    - slices of about 512 terms: the packed rows stay in the core's own cache
    - runs: taps of one r lie side by side in x, and are copied at once
    """
    N, P, Q, K = out.shape
    rows, result = N * P * Q, out.reshape(N * P * Q, K)
    zero, added = out.dtype.type(0), addend.reshape(-1, K)
    most = np.max(slices[:, 3] - slices[:, 2])
    for block in prange((rows + BLOCK - 1) // BLOCK):  # disjoint rows of out
        start, end = block * BLOCK, min((block + 1) * BLOCK, rows)
        buffer = np.empty((end - start) * most, x.dtype)
        product = np.empty((end - start, matrix.shape[2]), x.dtype)
        sums = result[start:end]
        for row in range(end - start):
            total = sums[row]
            for k in range(K):
                total[k] = bias[k]
            if len(added) > 0:
                addition = added[start + row]
                for k in range(K):
                    total[k] += addition[k]
        for i in range(len(slices)):
            _, _, term, last_term = slices[i]
            terms = last_term - term
            packed = buffer[: (end - start) * terms].reshape(1, end - start, terms)
            cut = slices[i : i + 1]
            pack(x, Grid(P, Q, stride), start, end, runs, cut, packed)
            multiply_and_add(packed[0], matrix, term, product, sums)
        if relu:
            for row in range(end - start):
                total = sums[row]
                for k in range(K):
                    value = total[k]
                    total[k] = zero if value <= zero else value


@parallel
def conv_grad_input(
    grad_output, matrix, addend, phases, runs, slices, stride, grad_input
):
    """Compute the gradient of the input.

    for phase (u, v) of the stride: for block of pixels (n, h, w), in parallel:
        for slice of the terms (r, s, k) that reach this phase: for c:
            grad_input[n, h, w, c] += grad_output[n, p, q, k] * kernel[k, c, r, s]
            where p = (h + padding - r) / stride, q = (w + padding - s) / stride

    and adds ``addend`` if that has any images.  ``phases`` lists u, v, the first slice
    and the one after the last; ``slices`` are as in ``conv_forward``, and the ``runs``
    of a slice tell how far p and q lie from the pixel's row and column in its phase.

    Optimizations:
    - gathers instead of scattering: each thread owns whole pixels of ``grad_input``
    - pixels with the same h and w modulo the stride (a phase) are reached by the same
      taps, so that no zero is multiplied if the stride is larger than one
    """
    N, H, W, C = grad_input.shape
    has_addend = len(addend) > 0
    most = np.max(slices[:, 3] - slices[:, 2])
    # phase (0, 0) has the most pixels
    blocks = (
        N * ((H - 1) // stride + 1) * ((W - 1) // stride + 1) + BLOCK - 1
    ) // BLOCK
    for task in prange(len(phases) * blocks):  # disjoint pixels of grad_input
        # phases in turn: they differ in taps, and threads get equal runs of tasks
        u, v, first_slice, last_slice = phases[task % len(phases)]
        H_phase, W_phase = (H - u - 1) // stride + 1, (W - v - 1) // stride + 1
        grid = Grid(H_phase, W_phase, 1)
        start = task // len(phases) * BLOCK
        end = min(start + BLOCK, N * H_phase * W_phase)
        count = max(0, end - start)
        buffer = np.empty(count * most, grad_output.dtype)
        product = np.empty((count, matrix.shape[2]), grad_output.dtype)
        sums = np.zeros((count, C), grad_output.dtype)
        for i in range(first_slice, last_slice if count else first_slice):
            _, _, term, last_term = slices[i]
            terms = last_term - term
            packed = buffer[: count * terms].reshape(1, count, terms)
            cut = slices[i : i + 1]
            pack(grad_output, grid, start, end, runs, cut, packed)
            multiply_and_add(packed[0], matrix, term, product, sums)
        for row in range(start, end):
            n, w = row // (H_phase * W_phase), row % W_phase
            h, w = row // W_phase % H_phase * stride + u, w * stride + v
            pixel, total = grad_input[n, h, w], sums[row - start]
            if has_addend:
                addition = addend[n, h, w]
                for c in range(C):
                    pixel[c] = total[c] + addition[c]
            else:
                for c in range(C):
                    pixel[c] = total[c]


@parallel
def conv_grad_kernel(
    grad_output, x, runs, slices, stride, height, splits, partial, grad_kernel
):
    """Compute the gradient of the kernel, (K, C, R, S).

    for part of the pixels, for split of the slices, in parallel:
        for ``height`` pixels (n, p, q): for slice of the terms (r, s, c):
            for block of k: for term: for k:
                partial[part, block, term, k] += grad_output[n, p, q, k]
                    * x[n, p*stride + r - padding, q*stride + s - padding, c]
    then the parts are added up in their order.  ``runs`` and ``slices`` are as in
    ``conv_forward``, the slices of at most 64 terms and as wide as the first.

    Optimizations:
    - no two threads write to the same sum; the number of parts depends on the shapes
      alone, so the order of the additions does not depend on the threads
    - where there are fewer parts than threads, the terms are split as well
    - both factors are cut into columns of 64, so that a product of many rows is small
      enough for OpenBLAS and is seldom added
    - x is packed for several slices at once: longer stretches of memory are read faster
    """
    N, P, Q, K = grad_output.shape
    C = grad_kernel.shape[1]
    parts, blocks, _, B = partial.shape
    rows, gradient = N * P * Q, grad_output.reshape(N * P * Q, K)
    width = slices[0, 3]
    most = min(PACKED_SLICES, (len(slices) + splits - 1) // splits)
    for task in prange(parts * splits):  # disjoint (part, terms) of partial
        part, split = task // splits, task % splits
        patches = np.empty((most, height * width), x.dtype)
        gradients = np.empty((blocks, height * B), x.dtype)
        product = np.empty((width, B), x.dtype)
        last_slice = (split + 1) * len(slices) // splits
        begin, last = part * rows // parts, (part + 1) * rows // parts
        for start in range(begin, last, height):
            end = min(start + height, last)
            for row in range(end - start):
                for block in range(blocks):
                    k, lanes = block * B, min(B, K - block * B)
                    pixel = gradient[start + row, k : k + lanes]
                    target = gradients[block, row * B : row * B + lanes]
                    for lane in range(lanes):
                        target[lane] = pixel[lane]
            for first in range(split * len(slices) // splits, last_slice, most):
                cuts = slices[first : min(first + most, last_slice)]
                packed = patches.reshape(most, height, width)
                pack(x, Grid(P, Q, stride), start, end, runs, cuts, packed)
                for i in range(len(cuts)):
                    terms = slice((first + i) * width, (first + i + 1) * width)
                    for block in range(blocks):
                        factors = patches[i], gradients[block], end - start
                        total = partial[part, block, terms]
                        add_product(*factors, start == begin, product, total)
    taps = grad_kernel.reshape(K, C, -1)
    T, groups = taps.shape[2], (C + CHANNELS - 1) // CHANNELS
    for task in prange(blocks * groups):  # disjoint (block of k, group of c)
        block, first = task // groups, task % groups * CHANNELS
        last = min(first + CHANNELS, C)
        for tap in range(T):
            for term in range(tap * C + first, tap * C + last):
                total = partial[0, block, term]
                for part in range(1, parts):
                    addition = partial[part, block, term]
                    for lane in range(B):
                        total[lane] += addition[lane]
        for lane in range(min(B, K - block * B)):
            target = taps[block * B + lane]
            for c in range(first, last):
                for tap in range(T):
                    target[c, tap] = partial[0, block, tap * C + c, lane]


@parallel
def column_sums(matrix, sums):
    """Add up the rows of ``matrix`` (M, K) into ``sums`` (K,), in float64.

    for part of the rows in parallel: for row: for k: partial[part, k] += matrix[row, k]
    """
    rows, K = matrix.shape
    parts = min(PARTS, rows)
    partial = np.zeros((parts, K), np.float64)
    for part in prange(parts):  # disjoint rows of partial
        for row in range(part * rows // parts, (part + 1) * rows // parts):
            for k in range(K):
                partial[part, k] += matrix[row, k]
    for k in range(K):
        total = 0.0
        for part in range(parts):
            total += partial[part, k]
        sums[k] = total
