"""The three products of a convolution, summed directly: pack, multiply, store.

Each product is a matrix product over *rows* (pixels) and *terms* (the channels of each
*tap*, a position r, s of the kernel).  No thread ever holds the whole unfolded input: a
block of rows is packed into a buffer in the core's own cache, multiplied, stored.

Arrays are C-contiguous: x (N, H, W, C), out (N, P, Q, K), kernel (K, C, R, S).  The
columns of a factor come in blocks of at most 32, two vectors, and are multiplied as
``product.py`` says.  Sums run in an order that depends on shapes alone, so results
have the same bits whatever the number of threads.
"""

import numpy as np
from numba import prange

from odyssey.kernels.ending import Ending, finish, is_large
from odyssey.kernels.jit import parallel, serial
from odyssey.kernels.packing import Rows, copy, pack
from odyssey.kernels.product import Matrix, multiply
from odyssey.kernels.simd import (
    LANES,
    flat,
    keep,
    load,
    load_part,
    load_wide,
    store,
    wide,
    width,
)

#: Rows (pixels) that a thread packs and multiplies at a time: four panels of 14.
BLOCK = 56


@parallel
def conv_forward(x, packed_x, matrix, bias, addend, relu, runs, slices, stride, out):
    """Compute the convolution of ``x`` with a kernel laid out as ``matrix``.

    for block of rows (n, p, q) in parallel: for slice of terms (r, s, c): for k:
        out[n, p, q, k] += x[n, p*stride+r-padding, q*stride+s-padding, c]
                           * kernel[k, c, r, s]

    The sums begin with ``bias`` and, if that has any images, with ``addend``; with
    ``relu`` they end in one.  A row of ``slices`` is its first run, the one after the
    last, its first term and the one after the last; ``pack`` says what ``runs`` are.
    ``packed_x`` is x where that is what would be packed, otherwise it has no images.

    Optimizations:
    - each thread owns whole rows of ``out``, so nothing is shared
    - slices of about 512 terms: the packed rows stay in the core's own cache
    - runs: taps of one r lie side by side in x, and are copied at once
    """
    H, W, C = x.shape[1:]
    N, P, Q, K = out.shape
    rows, blocks, B = N * P * Q, matrix.shape[0], matrix.shape[2]
    most, terms = np.max(slices[:, 3] - slices[:, 2]), matrix.shape[1]
    direct = len(packed_x) > 0
    past = is_large(out, K)
    for block in prange((rows + BLOCK - 1) // BLOCK):  # disjoint rows of out
        start, end = block * BLOCK, min((block + 1) * BLOCK, rows)
        buffer = np.empty(0 if direct else BLOCK * most, matrix.dtype)
        totals = np.empty(blocks * BLOCK * B, matrix.dtype)
        packed, sums, factors = flat(buffer), flat(totals), flat(matrix)
        seen = Rows(start, end, P, Q, stride, H, W * C, C)
        for i in range(len(slices)):
            first, last, term, last_term = slices[i]
            count = last_term - term
            if not direct:
                pack(flat(x), seen, runs, first, last, packed, 0, count)
            for part in range(blocks):
                a = Matrix(packed, 0, count, 1)
                if direct:
                    a = Matrix(flat(packed_x), start * C + term, C, 1)
                b = Matrix(factors, (part * terms + term) * B, B, 1)
                c = Matrix(sums, part * BLOCK * B, B, 1)
                multiply(a, b, c, end - start, B, count, i > 0)
        ending = Ending(
            flat(out), K, flat(bias), flat(addend), addend.size > 0, relu, past
        )
        for row in range(end - start):
            finish_row(ending, (start + row) * K, sums, row, B)
        keep(buffer)
        keep(totals)


@serial
def finish_row(ending, begin, sums, row, B):
    """Write the sums of a row to the pixel that begins at ``begin``."""
    for k in range(0, ending.channels, width(sums)):
        finish(ending, begin, k, load(sums, (k // B * BLOCK + row) * B + k % B))


@parallel
def conv_grad_input(
    grad_output,
    packed_gradient,
    matrix,
    addend,
    phases,
    runs,
    slices,
    stride,
    grad_input,
):
    """Compute the gradient of the input.

    for phase (u, v) of the stride: for block of pixels (n, h, w), in parallel:
        for slice of the terms (r, s, k) that reach this phase: for c:
            grad_input[n, h, w, c] += grad_output[n, p, q, k] * kernel[k, c, r, s]
            where p = (h + padding - r) / stride, q = (w + padding - s) / stride

    and adds ``addend`` if that has any images.  ``phases`` lists u, v, the first slice
    and the one after the last; ``slices`` are as in ``conv_forward``, and the ``runs``
    of a slice tell how far p and q lie from the pixel's row and column in its phase.
    ``packed_gradient`` is to ``grad_output`` what ``packed_x`` is to x there.

    Optimizations:
    - gathers instead of scattering: each thread owns whole pixels of ``grad_input``
    - pixels with the same h and w modulo the stride (a phase) are reached by the same
      taps, so that none is multiplied in vain where the stride is larger than one
    """
    N, H, W, C = grad_input.shape
    P, Q, K = grad_output.shape[1:]
    blocks, terms, B = matrix.shape
    most = np.max(slices[:, 3] - slices[:, 2])
    # phase (0, 0) has the most pixels
    pixels = N * ((H - 1) // stride + 1) * ((W - 1) // stride + 1)
    tasks = (pixels + BLOCK - 1) // BLOCK * len(phases)
    no_bias = np.zeros(C, matrix.dtype)
    direct = len(packed_gradient) > 0
    past = is_large(grad_input, C)
    for task in prange(tasks):  # disjoint pixels of grad_input
        # phases in turn, since they differ in taps and threads get equal runs of tasks
        u, v, first_slice, last_slice = phases[task % len(phases)]
        H_phase, W_phase = (H - u - 1) // stride + 1, (W - v - 1) // stride + 1
        start = task // len(phases) * BLOCK
        end = max(start, min(start + BLOCK, N * H_phase * W_phase))
        buffer = np.empty(BLOCK * most, matrix.dtype)
        totals = np.zeros(blocks * BLOCK * B, matrix.dtype)
        packed, sums, factors = flat(buffer), flat(totals), flat(matrix)
        seen = Rows(start, end, H_phase, W_phase, 1, P, Q * K, K)
        for i in range(first_slice, last_slice if end > start else first_slice):
            first, last, term, last_term = slices[i]
            count = last_term - term
            if not direct:
                pack(flat(grad_output), seen, runs, first, last, packed, 0, count)
            for part in range(blocks):
                a = Matrix(packed, 0, count, 1)
                if direct:
                    a = Matrix(flat(packed_gradient), start * K + term, K, 1)
                b = Matrix(factors, (part * terms + term) * B, B, 1)
                c = Matrix(sums, part * BLOCK * B, B, 1)
                multiply(a, b, c, end - start, B, count, i > first_slice)
        ending = Ending(
            flat(grad_input),
            C,
            flat(no_bias),
            flat(addend),
            addend.size > 0,
            False,
            past,
        )
        for row in range(start, end):
            n, w = row // (H_phase * W_phase), row % W_phase * stride + v
            h = row // W_phase % H_phase * stride + u
            finish_row(ending, ((n * H + h) * W + w) * C, sums, row - start, B)
        keep(buffer)
        keep(totals)


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
    - no two threads write to the same sum; the number of parts follows from the shapes
      alone, so that the order of the additions never depends on the threads
    - where there are fewer parts than threads, the terms are split as well
    - both factors are cut into columns, which stay in the cache while they are used
    - x is packed for 8 slices at a time: longer stretches of memory are read faster
    """
    N, P, Q, K = grad_output.shape
    C, H, line = grad_kernel.shape[1], x.shape[1], x.shape[2] * x.shape[3]
    parts, blocks, all_terms, B = partial.shape
    rows = N * P * Q
    width, most = slices[0, 3], min(8, (len(slices) + splits - 1) // splits)
    for task in prange(parts * splits):  # disjoint (part, terms) of partial
        part, split = task // splits, task % splits
        patches = np.empty(most * height * width, partial.dtype)
        gradients = np.empty(blocks * height * B, partial.dtype)
        packed, factors, sums = flat(patches), flat(gradients), flat(partial)
        last_slice = (split + 1) * len(slices) // splits
        begin, last = part * rows // parts, (part + 1) * rows // parts
        for start in range(begin, last, height):
            end = min(start + height, last)
            seen = Rows(start, end, P, Q, stride, H, line, C)
            for row in range(end - start):
                for block in range(blocks):
                    at, length = (block * height + row) * B, min(B, K - block * B)
                    begin_k = (start + row) * K + block * B
                    copy(flat(grad_output), begin_k, factors, at, length)
            for first in range(split * len(slices) // splits, last_slice, most):
                count = min(most, last_slice - first)
                for i in range(count):
                    cut, at = slices[first + i], i * height * width
                    pack(flat(x), seen, runs, cut[0], cut[1], packed, at, width)
                for i in range(count):
                    terms = slices[first + i, 3] - slices[first + i, 2]
                    for block in range(blocks):
                        a = Matrix(packed, i * height * width, 1, width)
                        b = Matrix(factors, block * height * B, B, 1)
                        to = (part * blocks + block) * all_terms + (first + i) * width
                        c = Matrix(sums, to * B, B, 1)
                        multiply(a, b, c, terms, B, end - start, start > begin)
        keep(patches)
        keep(gradients)
    taps = grad_kernel.reshape(K, C, -1)
    T, groups = taps.shape[2], (C + 15) // 16
    for task in prange(blocks * groups):  # disjoint (block of k, 16 c) of grad_kernel
        block, first = task // groups, task % groups * 16
        last = min(first + 16, C)
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
    parts = min(64, rows)
    partial = np.zeros((parts, K + LANES), np.float64)  # vectors are loaded whole
    for part in prange(parts):  # disjoint rows of partial
        first, last = part * rows // parts, (part + 1) * rows // parts
        add_rows(flat(matrix), K, first, last, flat(partial[part]))
    for k in range(K):
        total = 0.0
        for part in range(parts):
            total += partial[part, k]
        sums[k] = total


@serial
def add_rows(matrix, K, first, last, sums):
    """Add some rows of ``column_sums`` to float64 ``sums``."""
    for row in range(first, last):
        for k in range(0, K, width(matrix)):
            numbers = wide(load_part(matrix, row * K + k, K - k))
            store(sums, k, load_wide(sums, k, matrix) + numbers)
