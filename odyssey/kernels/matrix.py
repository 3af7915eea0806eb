"""Products of matrices whose bits do not depend on the number of threads.

Arrays are C-contiguous.  The columns of a product are computed in blocks of two
vectors, for which `product.multiply` sums; the last block is filled up with zeros.
"""

import numpy as np
from numba import prange

from odyssey.kernels.jit import parallel, serial
from odyssey.kernels.product import Matrix, multiply
from odyssey.kernels.simd import flat, keep, width


@parallel
def products_of_rows(x, out):
    """Compute the products of all pairs of rows of ``x``: out = x @ x.T.

    for block of rows, in parallel: for j of the block: for i from the block on:
        out[i, j] = out[j, i] = sum over k of x[i, k] * x[j, k]

    Optimizations:
    - half of the products, as the result is symmetric
    - a block and the one as far from the end are one unit of work: together they have
      the same number of products as any other pair
    """
    rows, terms = x.shape
    B = 2 * width(x)
    blocks = (rows + B - 1) // B
    for pair in prange((blocks + 1) // 2):  # disjoint pairs of rows
        panel, products = np.empty(terms * B, x.dtype), np.empty(rows * B, x.dtype)
        for side in range(2):
            block = blocks - 1 - np.int64(pair) if side else np.int64(pair)
            if side == 0 or block > pair:
                multiply_block(x, block * B, panel, products, B, out)
        keep(panel)
        keep(products)


@serial
def multiply_block(x, first, panel, products, B, out):
    """Compute the products of B rows, from ``first`` on, with these and all later."""
    rows, terms = x.shape
    transpose(x, first, panel, B)
    a = Matrix(flat(x), first * terms, terms, 1)
    b, c = Matrix(flat(panel), 0, B, 1), Matrix(flat(products), 0, B, 1)
    multiply(a, b, c, rows - first, B, terms, False)
    for i in range(first, rows):
        for j in range(first, min(first + B, rows)):
            out[i, j] = products[(i - first) * B + j - first]
            out[j, i] = out[i, j]


@serial
def transpose(x, first, panel, B):
    """Copy B rows of ``x``, from ``first`` on, to the columns of ``panel``."""
    count = min(B, x.shape[0] - first)
    for k in range(x.shape[1]):
        for j in range(count):
            panel[k * B + j] = x[first + j, k]
        panel[k * B + count : (k + 1) * B] = 0


@parallel
def product(a, b, out):
    """Compute out = a @ b.

    for block of columns, in parallel: for column j of the block: for row i:
        out[i, j] = sum over k of a[i, k] * b[k, j]

    Optimizations:
    - a block's part of b is copied row behind row, and stays in the first cache
    - the sums of a whole block are written to ``out`` itself
    """
    terms, columns = b.shape
    rows = len(a)
    B = 2 * width(b)
    for block in prange((columns + B - 1) // B):  # disjoint columns of out
        first = block * B
        count = min(B, columns - first)
        is_whole = count == B
        panel = np.zeros(terms * B, b.dtype)
        sums = np.empty(0 if is_whole else rows * B, b.dtype)
        for k in range(terms):
            panel[k * B : k * B + count] = b[k, first : first + count]
        left, right = Matrix(flat(a), 0, terms, 1), Matrix(flat(panel), 0, B, 1)
        into = Matrix(flat(sums), 0, B, 1)
        if is_whole:
            into = Matrix(flat(out), first, columns, 1)
        multiply(left, right, into, rows, B, terms, False)
        if not is_whole:
            for i in range(rows):
                out[i, first:columns] = sums[i * B : i * B + count]
        keep(panel)
        keep(sums)
