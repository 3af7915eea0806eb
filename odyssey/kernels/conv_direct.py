"""The three products of a convolution, summed directly: pack, multiply, store.

Each product is a matrix product over *rows* (pixels) and *terms* (the channels of each
*tap*, a position r, s of the kernel).  No thread ever holds the whole unfolded input: a
block of rows is packed into a buffer in the core's own cache, multiplied, stored.

Arrays are C-contiguous: x (N, H, W, C), out (N, P, Q, K), kernel (K, C, R, S).  The
columns of a factor come in blocks of at most 64 and the products in pieces of at most
a million multiplications: small ones OpenBLAS does at full speed, without packing the
factors anew first.  Sums run in an order that depends on shapes alone, so results
have the same bits whatever the number of threads.
"""

import numpy as np
from numba import prange

from odyssey.kernels.jit import parallel, serial
from odyssey.kernels.tiles import PIECE, add_product

#: Rows (pixels) that a thread packs and multiplies at a time.
BLOCK = 64


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
            for lane in range(min(B, columns - block * B)):
                column = block * B + lane
                if turned:
                    matrix[block, t * rows + row, lane] = kernel[row, column, r, s]
                else:
                    matrix[block, t * rows + row, lane] = kernel[column, row, r, s]


@serial
def multiply_and_add(packed, matrix, first, product, sums):
    """Add ``packed`` (rows, terms) times ``matrix``, from its row ``first`` on.

    for block of columns: for piece of the rows:
        sums[rows, columns] += packed[rows] @ matrix[block, first : first + terms]
    """
    rows, terms = packed.shape
    blocks, _, B = matrix.shape
    piece = min(rows, max(4, PIECE // (terms * B) // 4 * 4))
    for block in range(blocks):
        factor = matrix[block, first : first + terms]
        begin, lanes = block * B, min(B, sums.shape[1] - block * B)
        for start in range(0, rows, piece):
            end = min(start + piece, rows)
            np.dot(packed[start:end], factor, product[: end - start])
            for row in range(start, end):
                total = sums[row, begin : begin + lanes]
                term = product[row - start]
                for lane in range(lanes):
                    total[lane] += term[lane]


@serial
def pack(lines, H, start, end, P, Q, step, runs, slices, C, packed):
    """Copy what the terms of some slices see at the pixels start..end of P x Q.

    for row (n, p, q): for slice: for run (dh, first, length) of it: for i < length:
        packed[slice, row, at + i] = x[n, p*step + dh][q*step*C + first + i]

    where ``at`` is what the runs before take.  Positions outside x give zeros.
    ``lines`` (N*H, W*C) is x seen as a matrix, in which the terms of a run are
    neighbours.
    """
    width = lines.shape[1]
    for row in range(start, end):
        n, p, q = row // (P * Q), row // Q % P, row % Q
        for i in range(len(slices)):
            at = 0
            for run in range(slices[i, 0], slices[i, 1]):
                h, length = p * step + runs[run, 0], runs[run, 2]
                begin = q * step * C + runs[run, 1]
                target = packed[i, row - start, at : at + length]
                at += length
                if 0 <= h < H and 0 <= begin and begin + length <= width:
                    line = lines[n * H + h, begin : begin + length]
                    for j in range(length):
                        target[j] = line[j]
                else:
                    for j in range(length):
                        inside = 0 <= h < H and 0 <= begin + j < width
                        target[j] = lines[n * H + h, begin + j] if inside else 0


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
    H, W, C = x.shape[1:]
    N, P, Q, K = out.shape
    lines = x.reshape(N * H, W * C)
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
            pack(lines, H, start, end, P, Q, stride, runs, cut, C, packed)
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
      taps, so that none is multiplied in vain where the stride is larger than one
    """
    N, H, W, C = grad_input.shape
    P, Q, K = grad_output.shape[1:]
    lines, has_addend = grad_output.reshape(N * P, Q * K), len(addend) > 0
    most = np.max(slices[:, 3] - slices[:, 2])
    # phase (0, 0) has the most pixels
    blocks = (
        N * ((H - 1) // stride + 1) * ((W - 1) // stride + 1) + BLOCK - 1
    ) // BLOCK
    for task in prange(len(phases) * blocks):  # disjoint pixels of grad_input
        # phases in turn, since they differ in taps and threads get equal runs of tasks
        u, v, first_slice, last_slice = phases[task % len(phases)]
        H_phase, W_phase = (H - u - 1) // stride + 1, (W - v - 1) // stride + 1
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
            pack(lines, P, start, end, H_phase, W_phase, 1, runs, cut, K, packed)
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
    - no two threads write to the same sum; the number of parts follows from the shapes
      alone, so that the order of the additions never depends on the threads
    - where there are fewer parts than threads, the terms are split as well
    - both factors are cut into columns of 64, so that a product of many rows is small
      enough for OpenBLAS and is seldom added
    - x is packed for 8 slices at a time: longer stretches of memory are read faster
    """
    N, P, Q, K = grad_output.shape
    C = grad_kernel.shape[1]
    H, lines = x.shape[1], x.reshape(-1, x.shape[2] * C)
    parts, blocks, _, B = partial.shape
    rows, gradient = N * P * Q, grad_output.reshape(N * P * Q, K)
    width, most = slices[0, 3], min(8, (len(slices) + splits - 1) // splits)
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
                pack(lines, H, start, end, P, Q, stride, runs, cuts, C, packed)
                for i in range(len(cuts)):
                    terms = slice((first + i) * width, (first + i + 1) * width)
                    for block in range(blocks):
                        factors = patches[i], gradients[block], end - start
                        total = partial[part, block, terms]
                        add_product(*factors, start == begin, product, total)
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
