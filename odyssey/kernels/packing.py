"""Matrices for the direct sums of a convolution: kernels laid out, pixels packed.

A product of a convolution is a matrix product over *rows* (pixels) and *terms* (the
channels of each *tap*, a position r, s of the kernel).  The kernel is laid out as one
factor, in blocks of columns.  The elements of x for all terms are packed into the
other, for some rows at a time.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from odyssey.kernels.jit import parallel, serial
from odyssey.kernels.tiles import PIECE


class Grid(NamedTuple):
    """The output pixels of a convolution: P x Q, one every ``step`` input pixels."""

    P: int
    Q: int
    step: int


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
def pack(x, grid, start, end, runs, slices, packed):
    """Copy the elements of x for the terms of slices, at pixels start..end of a grid.

    for row (n, p, q): for slice: for run (dh, first, length) of it: for i < length:
        packed[slice, row, at + i] = x[n, p*step + dh][q*step*C + first + i]

    where ``at`` is the length of the runs before.  Positions outside x give zeros.
    """
    P, Q, step = grid
    N, H, W, C = x.shape
    width = W * C
    lines = x.reshape(N * H, width)  # in which the terms of a run are neighbours
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
