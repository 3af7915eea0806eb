"""The three products of a convolution, summed directly: pack, multiply, store.

Each product is a matrix product over *rows* (pixels) and *taps* (positions r, s of the
kernel, each with its channels).  No thread ever holds the whole unfolded input: a block
of rows is packed into a buffer that stays in the core's own cache, multiplied, stored.

Arrays are C-contiguous: x (N, H, W, C), out (N, P, Q, K), and the kernel with the axes
that are summed over last: (K, R, S, C) for the forward, (C, R, S, K) for the gradient
of the input.  Sums run in an order that depends on shapes alone, so results have the
same bits whatever the number of threads.
"""

import numpy as np
from numba import prange

from odyssey.kernels.jit import parallel, serial


@serial
def add_four(row, j, s0, s1, s2, s3):
    """Add four sums to a row of a matrix, from column ``j`` on."""
    row[j] += s0
    row[j + 1] += s1
    row[j + 2] += s2
    row[j + 3] += s3


@serial
def add_dot_products(a, b, first, terms, out):
    """Add to ``out`` (I, J) the products of rows of ``a`` (I, L) and of ``b`` (J, ...).

    for j: for i: for l < terms:
        out[i, j] += a[i, l] * b[j, first + l]

    Optimizations:
    - 4 x 4 sums at a time: 16 multiply-adds for eight loads of SIMD vectors, and no
      store before the sums are whole, since they stay in registers
    - four rows of ``b`` stay in the first-level cache while all of ``a`` passes by
    """
    rows, columns = out.shape
    zero = a.dtype.type(0)
    whole_rows, whole_columns = rows - rows % 4, columns - columns % 4
    for j in range(0, whole_columns, 4):
        b0, b1 = b[j, first : first + terms], b[j + 1, first : first + terms]
        b2, b3 = b[j + 2, first : first + terms], b[j + 3, first : first + terms]
        for i in range(0, whole_rows, 4):
            a0, a1, a2, a3 = a[i], a[i + 1], a[i + 2], a[i + 3]
            s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = zero
            s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = zero
            for m in range(terms):
                x0, x1, x2, x3 = a0[m], a1[m], a2[m], a3[m]
                y0, y1, y2, y3 = b0[m], b1[m], b2[m], b3[m]
                s00 += x0 * y0
                s01 += x0 * y1
                s02 += x0 * y2
                s03 += x0 * y3
                s10 += x1 * y0
                s11 += x1 * y1
                s12 += x1 * y2
                s13 += x1 * y3
                s20 += x2 * y0
                s21 += x2 * y1
                s22 += x2 * y2
                s23 += x2 * y3
                s30 += x3 * y0
                s31 += x3 * y1
                s32 += x3 * y2
                s33 += x3 * y3
            add_four(out[i], j, s00, s01, s02, s03)
            add_four(out[i + 1], j, s10, s11, s12, s13)
            add_four(out[i + 2], j, s20, s21, s22, s23)
            add_four(out[i + 3], j, s30, s31, s32, s33)
    for i in range(rows):
        for j in range(0 if i >= whole_rows else whole_columns, columns):
            total = zero
            for m in range(terms):
                total += a[i, m] * b[j, first + m]
            out[i, j] += total


@serial
def pack_taps(x, start, end, first, taps, S, P, Q, stride, padding, packed):
    """Copy what ``taps`` taps of the kernel see at the pixels start..end of the output.

    for row: for tap: for c:
        packed[row, tap, c] = x[n, p*stride + r - padding, q*stride + s - padding, c]

    Positions in the padding give zeros.
    """
    H, W, C = x.shape[1:]
    for row in range(start, end):
        n, p, q = row // (P * Q), row // Q % P, row % Q
        for t in range(taps):
            h = p * stride + (first + t) // S - padding
            w = q * stride + (first + t) % S - padding
            column = t * C
            if 0 <= h < H and 0 <= w < W:
                for c in range(C):
                    packed[row - start, column + c] = x[n, h, w, c]
            else:
                for c in range(C):
                    packed[row - start, column + c] = 0


@parallel
def conv_forward(x, kernel, bias, stride, padding, out):
    """Compute the convolution of ``x`` with ``kernel`` (K, R, S, C) into ``out``.

    for block of 64 rows (n, p, q) in parallel: for slice of taps (r, s): for k: for c:
        out[n, p, q, k] += x[n, p*stride+r-padding, q*stride+s-padding, c]
                           * kernel[k, r, s, c]

    Optimizations:
    - each thread owns whole rows of ``out``, so nothing is shared
    - slices of about 1024 terms: the packed rows stay in the core's own cache
    """
    P, Q, K = out.shape[1:]
    R, S, C = kernel.shape[1:]
    rows = out.shape[0] * P * Q
    matrix, result = kernel.reshape(K, R * S * C), out.reshape(rows, K)
    slice_taps = min(R * S, max(1, 1024 // C))
    for block in prange((rows + 63) // 64):  # disjoint rows of out
        start, end = block * 64, min(block * 64 + 64, rows)
        packed = np.empty((end - start, slice_taps * C), x.dtype)
        sums = result[start:end]
        for row in range(end - start):
            for k in range(K):
                sums[row, k] = bias[k]
        for first in range(0, R * S, slice_taps):
            taps = min(slice_taps, R * S - first)
            pack_taps(x, start, end, first, taps, S, P, Q, stride, padding, packed)
            add_dot_products(packed, matrix, first * C, taps * C, sums)


@serial
def phase_taps(kernel, u, v, stride, padding):
    """Return which taps reach the pixels of phase (u, v), and their factors.

    Returns
    -------
    shifts : (T, 2), how far p and q lie from the pixel's place in its phase
    matrix : (C, T*K), those taps of ``kernel`` (C, R, S, K)
    """
    C, R, S, K = kernel.shape
    shifts, matrix = (
        np.empty((R * S, 2), np.int64),
        np.empty((C, R * S * K), kernel.dtype),
    )
    taps = 0
    for r in range(R):
        for s in range(S):
            if (u + padding - r) % stride == 0 and (v + padding - s) % stride == 0:
                shifts[taps, 0] = (u + padding - r) // stride
                shifts[taps, 1] = (v + padding - s) // stride
                for c in range(C):
                    for k in range(K):
                        matrix[c, taps * K + k] = kernel[c, r, s, k]
                taps += 1
    return shifts[:taps], matrix


@parallel
def conv_grad_input(grad_output, kernel, stride, padding, grad_input):
    """Compute the gradient of the input; ``kernel`` comes as (C, R, S, K).

    for phase (u, v) of the stride: for block of 64 pixels (n, h, w) in parallel:
        for slice of the taps (r, s) that reach this phase: for c: for k:
            grad_input[n, h, w, c] += grad_output[n, p, q, k] * kernel[c, r, s, k]
            where p = (h + padding - r) / stride, q = (w + padding - s) / stride

    Optimizations:
    - gathers instead of scattering: each thread owns whole pixels of ``grad_input``
    - pixels with the same h and w modulo the stride (a phase) are reached by the same
      taps, so that none is multiplied in vain where the stride is larger than one
    """
    N, H, W, C = grad_input.shape
    P, Q, K = grad_output.shape[1:]
    for phase in range(min(stride, H) * min(stride, W)):
        u, v = phase // min(stride, W), phase % min(stride, W)
        H_phase, W_phase = (H - u - 1) // stride + 1, (W - v - 1) // stride + 1
        rows = N * H_phase * W_phase
        shifts, matrix = phase_taps(kernel, u, v, stride, padding)
        slice_taps = max(1, min(len(shifts), 1024 // K))
        for block in prange((rows + 63) // 64):  # disjoint pixels of grad_input
            start, end = block * 64, min(block * 64 + 64, rows)
            packed = np.empty((end - start, slice_taps * K), grad_output.dtype)
            sums = np.zeros((end - start, C), grad_output.dtype)
            for first in range(0, len(shifts), slice_taps):
                taps = min(slice_taps, len(shifts) - first)
                for row in range(start, end):
                    n, w = row // (H_phase * W_phase), row % W_phase
                    h = row // W_phase % H_phase
                    for t in range(taps):
                        p, q = h + shifts[first + t, 0], w + shifts[first + t, 1]
                        column = t * K
                        if 0 <= p < P and 0 <= q < Q:
                            for k in range(K):
                                value = grad_output[n, p, q, k]
                                packed[row - start, column + k] = value
                        else:
                            for k in range(K):
                                packed[row - start, column + k] = 0
                add_dot_products(packed, matrix, first * K, taps * K, sums)
            for row in range(start, end):
                n, w = row // (H_phase * W_phase), row % W_phase
                h = row // W_phase % H_phase
                for c in range(C):
                    pixel = sums[row - start, c]
                    grad_input[n, h * stride + u, w * stride + v, c] = pixel


@parallel
def conv_grad_kernel(grad_output, x, stride, padding, grad_kernel):
    """Compute the gradient of the kernel, (R, S, C, K).

    for part of the pixels, for slice of taps (r, s) in parallel:
        for block of 256 pixels (n, p, q): for c: for k:
            partial[part, r, s, c, k] += grad_output[n, p, q, k]
                * x[n, p*stride + r - padding, q*stride + s - padding, c]
    then the parts are added up in their order

    Optimizations:
    - no two threads write to the same sum; the number of parts follows from the shapes
      alone, so that the order of the additions never depends on the threads
    - large kernels are cut by taps, small ones by pixels as well, which also keeps
      float32 sums short
    - blocks are packed pixels-last, so that sums over pixels are products of rows
    """
    P, Q, K = grad_output.shape[1:]
    R, S, C = grad_kernel.shape[:3]
    rows = grad_output.shape[0] * P * Q
    blocks = (rows + 255) // 256
    parts = max(1, min(32, blocks, 4_000_000 // (R * S * C * K)))
    slice_taps = min(R * S, max(1, 256 // C))
    slices = (R * S + slice_taps - 1) // slice_taps
    gradient = grad_output.reshape(rows, K)
    partial = np.zeros((parts, R * S * C, K), x.dtype)
    for task in prange(parts * slices):  # disjoint (part, taps) of partial
        part, first = task // slices, task % slices * slice_taps
        taps = min(slice_taps, R * S - first)
        # 16 columns more than needed: rows a power of two apart would share cache sets
        packed = np.empty((taps * C, 256 + 16), x.dtype)
        gradient_columns = np.empty((K, 256 + 16), x.dtype)
        sums = partial[part, first * C : (first + taps) * C]
        for block in range(part * blocks // parts, (part + 1) * blocks // parts):
            start, end = block * 256, min(block * 256 + 256, rows)
            view = packed.T
            pack_taps(x, start, end, first, taps, S, P, Q, stride, padding, view)
            for row in range(start, end):
                for k in range(K):
                    gradient_columns[k, row - start] = gradient[row, k]
            add_dot_products(packed, gradient_columns, 0, end - start, sums)
    total = grad_kernel.reshape(R * S * C, K)
    for tap in prange(R * S * C):
        for k in range(K):
            total[tap, k] = 0
        for part in range(parts):
            for k in range(K):
                total[tap, k] += partial[part, tap, k]


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
