"""Statistics, normalisation and its gradient, over the rows of a matrix (M, C).

A channels-last activation is such a matrix, with one row for each pixel.  Sums are kept
in float64 over blocks of rows, and blocks are merged in their order.  So there is one
pass over memory, no cancellation at large means, and the bits are the same for any
number of threads.
"""

import numpy as np
from numba import prange

from odyssey.kernels.jit import parallel

#: Rows (pixels) that a thread does at a time.
BLOCK = 64
#: Rows whose sums are kept together: the order of the additions follows from it.
SUM_BLOCK = 256


@parallel
def column_statistics(x, mean, var):
    """Compute mean and biased variance of each column, into float64 arrays (C,).

    for block of `SUM_BLOCK` rows in parallel: for row: for c:
        d = x[row, c] - x[first row of the block, c];  sum[c] += d;  squares[c] += d*d
    then the blocks' means and squared deviations are merged in their order by

        delta = mean_b - mean;  squares += squares_b + delta**2 * n * m / (n + m)
        where n rows come before the block and m rows are in it

    (Chan, Golub & LeVeque 1983).  Differences from a row of the block itself are of the
    size of the deviation, not of the mean: E[x^2] - E[x]^2 would lose all digits there.
    """
    M, C = x.shape
    blocks = (M + SUM_BLOCK - 1) // SUM_BLOCK
    means, squares = np.zeros((blocks, C)), np.zeros((blocks, C))
    for block in prange(blocks):  # disjoint rows of means and squares
        start, end = block * SUM_BLOCK, min((block + 1) * SUM_BLOCK, M)
        block_mean, block_squares = means[block], squares[block]
        first = x[start]
        for row in range(start, end):
            for c in range(C):
                d = np.float64(x[row, c]) - np.float64(first[c])
                block_mean[c] += d
                block_squares[c] += d * d
        for c in range(C):
            shift = block_mean[c] / (end - start)
            block_squares[c] -= shift * block_mean[c]
            block_mean[c] = first[c] + shift
    for c in range(C):
        total_mean, total_squares = means[0, c], squares[0, c]
        for block in range(1, blocks):
            n = block * SUM_BLOCK
            m = min(SUM_BLOCK, M - n)
            delta = means[block, c] - total_mean
            total_mean += delta * m / (n + m)
            total_squares += squares[block, c] + delta * delta * n * m / (n + m)
        mean[c] = total_mean
        # in a constant column rounding may give less than zero; NaN stays NaN
        var[c] = 0.0 if total_squares < 0.0 else total_squares / M


@parallel
def scale_shift(x, mean, scale, shift, addend, relu, out):
    """Compute ``out = relu((x - mean) * scale + shift + addend)``.

    for block of rows in parallel: for row: for c

    ``mean``, ``scale`` and ``shift`` have one value for each column.  Nothing is added
    if ``addend`` has no rows.  NaN passes the relu.
    """
    M, C = x.shape
    zero, has_addend = x.dtype.type(0), addend.shape[0] > 0
    for block in prange((M + BLOCK - 1) // BLOCK):  # disjoint rows of out
        for row in range(block * BLOCK, min((block + 1) * BLOCK, M)):
            if has_addend:
                for c in range(C):
                    value = (x[row, c] - mean[c]) * scale[c] + shift[c] + addend[row, c]
                    out[row, c] = zero if relu and value <= zero else value
            else:
                for c in range(C):
                    value = (x[row, c] - mean[c]) * scale[c] + shift[c]
                    out[row, c] = zero if relu and value <= zero else value


@parallel
def gradient_sums(grad_output, x, mean, scale, shift, relu, sum_grad, sum_products):
    """Compute the two sums of the backward, into float64 arrays (C,).

    for block of `SUM_BLOCK` rows in parallel: for row: for c:
        g = grad_output[row, c], or 0 where the relu of ``scale_shift`` gave 0
        sum_grad[c] += g
        sum_products[c] += g * (x[row, c] - mean[c])
    """
    M, C = x.shape
    zero = x.dtype.type(0)
    blocks = (M + SUM_BLOCK - 1) // SUM_BLOCK
    sums, products = np.zeros((blocks, C)), np.zeros((blocks, C))
    for block in prange(blocks):  # disjoint rows of sums and products
        block_sums, block_products = sums[block], products[block]
        for row in range(block * SUM_BLOCK, min((block + 1) * SUM_BLOCK, M)):
            for c in range(C):
                deviation, g = x[row, c] - mean[c], grad_output[row, c]
                if relu and deviation * scale[c] + shift[c] <= zero:
                    g = zero
                block_sums[c] += g
                block_products[c] += np.float64(g) * np.float64(deviation)
    for c in range(C):
        total, product = 0.0, 0.0
        for block in range(blocks):
            total += sums[block, c]
            product += products[block, c]
        sum_grad[c], sum_products[c] = total, product


@parallel
def combine_gradient(
    grad_output, x, mean, scale, shift, relu, factor, offset, slope, grad_input
):
    """Compute ``grad_input = factor * g - (x - mean) * slope - offset``.

    for block of rows in parallel: for row: for c

    g is ``grad_output``, or 0 where the relu of ``scale_shift`` gave 0.  If ``slope``
    has no columns, only the first term is computed.
    """
    M, C = x.shape
    zero, is_whole = x.dtype.type(0), slope.size > 0
    for block in prange((M + BLOCK - 1) // BLOCK):  # disjoint rows of grad_input
        for row in range(block * BLOCK, min((block + 1) * BLOCK, M)):
            for c in range(C):
                deviation, g = x[row, c] - mean[c], grad_output[row, c]
                if relu and deviation * scale[c] + shift[c] <= zero:
                    g = zero
                value = factor[c] * g
                if is_whole:
                    value -= deviation * slope[c] + offset[c]
                grad_input[row, c] = value
