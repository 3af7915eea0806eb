"""Statistics, normalisation and its gradient, over the rows of a matrix (M, C).

A channels-last activation is such a matrix, with one row for each pixel.  Sums are kept
in float64 over blocks of rows, and blocks are merged in their order.  So there is one
pass over memory, no cancellation at large means, and the bits are the same for any
number of threads.

Memory is read as it lies, row by row, which the processor foresees: sums over two
matrices are twice as fast so as with a few rows in turn.  The statistics, of one, take
eight rows in turn, and their sums stay in registers.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from odyssey.kernels.ending import is_large, put
from odyssey.kernels.jit import parallel, serial
from odyssey.kernels.simd import (
    fill,
    flat,
    fma,
    load,
    load_part,
    load_wide,
    prefetch,
    store,
    where_positive,
    wide,
    width,
)

#: Rows (pixels) that a thread does at a time.
BLOCK = 64
#: Rows whose sums are kept together: the order of the additions follows from it.
SUM_BLOCK = 256
#: Rows of which a vector of columns is summed in registers before the next vector.
TOGETHER = 8
#: Rows whose gradients are added up in the dtype of the numbers, and then in float64.
FEW = 8
#: Numbers ahead of those that are read, at least, from which memory is fetched.
AHEAD = 1024
#: Vectors are loaded whole from sums, which have so many columns more than are used.
SPARE = 16


@serial
def block_statistics(x, C, start, end, means, squares):
    """Write each column's mean over some rows, and the sum of squared deviations."""
    for first in range(start, end, TOGETHER):
        for c in range(0, C, width(x)):
            base = wide(load_part(x, start * C + c, C - c))
            total, square = load_wide(means, c, x), load_wide(squares, c, x)
            for row in range(first, min(first + TOGETHER, end)):
                prefetch(x, row * C + c + max(TOGETHER * C, AHEAD))
                d = wide(load_part(x, row * C + c, C - c)) - base
                total = total + d
                square = fma(d, d, square)
            store(means, c, total)
            store(squares, c, square)
    for c in range(0, C, width(x)):
        total = load_wide(means, c, x)
        shift = total / (end - start)
        store(squares, c, fma(-shift, total, load_wide(squares, c, x)))
        store(means, c, wide(load_part(x, start * C + c, C - c)) + shift)


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
    means, squares = np.zeros((blocks, C + SPARE)), np.zeros((blocks, C + SPARE))
    for block in prange(blocks):  # disjoint rows of means and squares
        start, end = block * SUM_BLOCK, min((block + 1) * SUM_BLOCK, M)
        block_statistics(
            flat(x), C, start, end, flat(means[block]), flat(squares[block])
        )
    merge_blocks(means, squares, SUM_BLOCK, M, mean, var)


@serial
def merge_blocks(means, squares, rows, M, mean, var):
    """Merge the statistics of blocks of so many ``rows`` of M, in their order."""
    C = len(mean)
    mean[:], var[:] = means[0, :C], squares[0, :C]
    for block in range(1, len(means)):
        n = block * rows
        m = min(rows, M - n)
        for c in range(C):
            delta = means[block, c] - mean[c]
            mean[c] += delta * m / (n + m)
            var[c] += squares[block, c] + delta * delta * n * m / (n + m)
    for c in range(C):
        # in a constant column rounding may give less than zero; NaN stays NaN
        var[c] = 0.0 if var[c] < 0.0 else var[c] / M


class Affine(NamedTuple):
    """What makes (x - mean) * scale + shift of x, and whether a relu follows.

    Results go ``past`` the caches where they are large (`ending.py`).
    """

    mean: np.ndarray
    scale: np.ndarray
    shift: np.ndarray
    relu: bool
    past: bool


@parallel
def scale_shift(x, mean, scale, shift, addend, relu, out):
    """Compute ``out = relu((x - mean) * scale + shift + addend)``.

    for block of rows in parallel: for row: for c

    ``mean``, ``scale`` and ``shift`` have one value for each column.  Nothing is added
    if ``addend`` has no rows.  NaN passes the relu.
    """
    M, C = x.shape
    past = is_large(out, C)
    for block in prange((M + BLOCK - 1) // BLOCK):  # disjoint rows of out
        affine = Affine(flat(mean), flat(scale), flat(shift), relu, past)
        start, end = block * BLOCK, min((block + 1) * BLOCK, M)
        if len(addend) > 0:
            scale_shift_add_rows(
                flat(x), C, start, end, affine, flat(addend), flat(out)
            )
        else:
            scale_shift_rows(flat(x), C, start, end, affine, flat(out))


@serial
def scale_shift_rows(x, C, start, end, affine, out):
    """Do some rows of ``scale_shift``, without an addend."""
    for row in range(start, end):
        for c in range(0, C, width(x)):
            at, count = row * C + c, C - c
            value, _ = apply(affine, load_part(x, at, count), c, count)
            if affine.relu:
                value = where_positive(value, value)
            put(out, at, value, count, affine.past)


@serial
def scale_shift_add_rows(x, C, start, end, affine, addend, out):
    """Do some rows of ``scale_shift``, with an addend."""
    for row in range(start, end):
        for c in range(0, C, width(x)):
            at, count = row * C + c, C - c
            value, _ = apply(affine, load_part(x, at, count), c, count)
            value = value + load_part(addend, at, count)
            if affine.relu:
                value = where_positive(value, value)
            put(out, at, value, count, affine.past)


@serial
def apply(affine, x, c, count):
    """Return (x - mean) * scale + shift of a vector of columns, and x - mean."""
    deviation = x - load_part(affine.mean, c, count)
    scale, shift = load_part(affine.scale, c, count), load_part(affine.shift, c, count)
    return fma(deviation, scale, shift), deviation


@parallel
def gradient_sums(grad_output, x, mean, scale, shift, relu, sum_grad, sum_products):
    """Compute the two sums of the backward, into float64 arrays (C,).

    for block of `SUM_BLOCK` rows in parallel: for row: for c:
        g = grad_output[row, c], or 0 where the relu of ``scale_shift`` gave 0
        sum_grad[c] += g
        sum_products[c] += g * (x[row, c] - mean[c])

    Optimization: of `FEW` rows both are summed in the dtype of the numbers, which errs
    as little as each product does, and costs half of what float64 does.
    """
    M, C = x.shape
    blocks = (M + SUM_BLOCK - 1) // SUM_BLOCK
    sums, products = np.zeros((blocks, C + SPARE)), np.zeros((blocks, C + SPARE))
    for block in prange(blocks):  # disjoint rows of sums and products
        affine = Affine(flat(mean), flat(scale), flat(shift), relu, False)
        start, end = block * SUM_BLOCK, min((block + 1) * SUM_BLOCK, M)
        few = np.zeros((2, C + SPARE), mean.dtype)
        totals = Totals(flat(sums[block]), flat(products[block]), few)
        add_gradients(flat(grad_output), flat(x), C, start, end, affine, totals)
    sum_grad[:], sum_products[:] = 0.0, 0.0
    for block in range(blocks):
        for c in range(C):
            sum_grad[c] += sums[block, c]
            sum_products[c] += products[block, c]


@serial
def pass_relu(affine, grad_output, x, at, c, count):
    """Return a vector of the gradient that passes the relu, and of x - mean."""
    g = load_part(grad_output, at, count)
    value, deviation = apply(affine, load_part(x, at, count), c, count)
    if affine.relu:
        g = where_positive(value, g)
    return g, deviation


class Totals(NamedTuple):
    """The two sums of a block, and room for those of a few rows, zeros (2, C + spare).

    The first two are addresses, of float64.
    """

    sums: np.ndarray
    products: np.ndarray
    few: np.ndarray


@serial
def add_gradients(grad_output, x, C, start, end, affine, totals):
    """Do some rows of ``gradient_sums``."""
    sums, products = totals.sums, totals.products
    few_sums, few_products = flat(totals.few[0]), flat(totals.few[1])
    for first in range(start, end, FEW):
        for row in range(first, min(first + FEW, end)):
            for c in range(0, C, width(x)):
                at = row * C + c
                g, deviation = pass_relu(affine, grad_output, x, at, c, C - c)
                store(few_sums, c, load(few_sums, c) + g)
                store(few_products, c, fma(g, deviation, load(few_products, c)))
        for c in range(0, C, width(x)):
            total, product = wide(load(few_sums, c)), wide(load(few_products, c))
            store(sums, c, load_wide(sums, c, x) + total)
            store(products, c, load_wide(products, c, x) + product)
            store(few_sums, c, fill(x, 0))
            store(few_products, c, fill(x, 0))


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
    past = is_large(grad_input, C)
    for block in prange((M + BLOCK - 1) // BLOCK):  # disjoint rows of grad_input
        affine = Affine(flat(mean), flat(scale), flat(shift), relu, past)
        line = Line(flat(factor), flat(offset), flat(slope), slope.size > 0)
        start, end = block * BLOCK, min((block + 1) * BLOCK, M)
        combine_rows(
            flat(grad_output), flat(x), C, start, end, affine, line, flat(grad_input)
        )


class Line(NamedTuple):
    """The numbers of ``combine_gradient``; ``is_whole`` if all of them count."""

    factor: np.ndarray
    offset: np.ndarray
    slope: np.ndarray
    is_whole: bool


@serial
def combine_rows(grad_output, x, C, start, end, affine, line, grad_input):
    """Do some rows of ``combine_gradient``."""
    for row in range(start, end):
        for c in range(0, C, width(x)):
            at, count = row * C + c, C - c
            g, deviation = pass_relu(affine, grad_output, x, at, c, count)
            factor = load_part(line.factor, c, count)
            result = factor * g
            if line.is_whole:
                slope = load_part(line.slope, c, count)
                offset = load_part(line.offset, c, count)
                result = fma(factor, g, -fma(deviation, slope, offset))
            put(grad_input, at, result, count, affine.past)
