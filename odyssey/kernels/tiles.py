"""Tiles of an image on their way to the matrix products of Winograd's domain and back.

    pixels of a tile  <->  places of a buffer  <->  a column of each place's matrix

A buffer ``d`` holds the places of one tile, 36 or 81 or as many as there are, each with
`LANES` lanes, each of which can hold one channel.  It is flat and LANES is
a constant, so that LLVM sees that the places never overlap and turns loops over
lanes into SIMD without checking first.
"""

from typing import NamedTuple

import numpy as np

from odyssey.kernels.jit import serial

#: Channels that go through the transforms together: four AVX-512 registers of float32.
LANES = 64
#: Taps of a kernel (3x3).
TAPS = 9
#: Places of a tile in the domain of stride 1 (6x6), and of stride 2 (9x9).
PLACES, STRIDED_PLACES = 36, 81
#: Different places of a kernel, for either stride; each has one matrix product.
PRODUCTS = 36
#: Numbers left free behind the matrix of each product: without them, all of these would
#: share the same few sets of the cache.
GAP = 16
#: Multiplications in a piece of a product: OpenBLAS computes small ones at full speed,
#: without packing the matrices first.
PIECE = 1_000_000


class Images(NamedTuple):
    """Images as a matrix, because slices of four axes cost more than the transforms."""

    pixels: np.ndarray  # (N*H*W, C)
    H: int
    W: int


class Ending(NamedTuple):
    """What is done to each sum of a convolution before it is written."""

    bias: np.ndarray  # (K,)
    addend: np.ndarray  # (N*P*Q, K), or without rows: nothing is added
    relu: bool


@serial
def tile_corner(tile, rows, columns, step):
    """Return image, row and column of a tile's first pixel, one tile every ``step``."""
    n, row, column = tile // (rows * columns), tile // columns % rows, tile % columns
    return n, row * step, column * step


@serial
def load_pixels(images, corner, size, first, lanes, d):
    """Copy ``size`` x ``size`` pixels of an image, zeros outside it, into ``d``.

    for i: for j: for lane: d[i, j, lane] = x[n, top + i, left + j, first + lane]

    ``images`` are x, and ``corner`` is (n, top, left).
    """
    pixels, H, W = images
    n, top, left = corner
    for i in range(size):
        for j in range(size):
            h, w, at = top + i, left + j, (i * size + j) * LANES
            if 0 <= h < H and 0 <= w < W:
                pixel = pixels[(n * H + h) * W + w][first : first + lanes]
                for lane in range(lanes):
                    d[at + lane] = pixel[lane]
            else:
                for lane in range(lanes):
                    d[at + lane] = 0


@serial
def store_pixels(d, ending, corner, size, first, lanes, images, check):
    """Write ``size`` x ``size`` pixels from ``d``, as far as they lie in the image.

    for i: for j: for lane, with all but ``d`` taken at the pixel of out:
        out = relu(d[i, j, lane] + bias + addend)

    ``images`` are out, and ``corner`` is (n, top, left).  ``check`` (LANES,) turns from
    zero to NaN where a sum is not finite.
    """
    pixels, P, Q = images
    n, top, left = corner
    additions, relu = ending.addend, ending.relu
    zero, has_addend = d.dtype.type(0), len(additions) > 0
    shift = ending.bias[first : first + lanes]
    for i in range(max(0, -top), min(size, P - top)):
        for j in range(max(0, -left), min(size, Q - left)):
            at, row = (size * i + j) * LANES, (n * P + top + i) * Q + left + j
            values, pixel = d[at : at + lanes], pixels[row, first : first + lanes]
            addition = additions[row, first : first + lanes] if has_addend else pixel
            for lane in range(lanes):
                value = values[lane] + shift[lane]
                if has_addend:
                    value += addition[lane]
                check[lane] += zero * value
                pixel[lane] = zero if relu and value <= zero else value


@serial
def store_lanes(d, lanes, matrix, at):
    """Copy the places of ``d`` to the rows of ``matrix``, from column ``at`` on."""
    for place in range(len(matrix)):
        row = matrix[place, at : at + lanes]
        for lane in range(lanes):
            row[lane] = d[place * LANES + lane]


@serial
def load_lanes(matrix, at, lanes, d):
    """Copy the rows of ``matrix``, from column ``at`` on, to the places of ``d``."""
    for place in range(len(matrix)):
        row = matrix[place, at : at + lanes]
        for lane in range(lanes):
            d[place * LANES + lane] = row[lane]


@serial
def load_taps(kernel, turned, c, first, lanes, d):
    """Copy the 3x3 taps of kernels ``first`` and on, at channel c, into ``d``.

    ``turned`` exchanges kernels and channels and turns the taps by 180 degrees.
    """
    for lane in range(lanes):
        k = first + lane
        for tap in range(TAPS):
            r, s = tap // 3, tap % 3
            if turned:
                d[tap * LANES + lane] = kernel[c, k, 2 - r, 2 - s]
            else:
                d[tap * LANES + lane] = kernel[k, c, r, s]


@serial
def store_taps(d, lanes, c, first, grad, checks):
    """Copy 3x3 taps from ``d`` to ``grad`` (K, C, 3, 3); the reverse of load_taps.

    ``checks[c]`` turns from zero to NaN where one is not finite.
    """
    zero = d.dtype.type(0)
    for lane in range(lanes):
        check = zero
        for tap in range(TAPS):
            value = d[tap * LANES + lane]
            grad[first + lane, c, tap // 3, tap % 3] = value
            check += zero * value
        checks[c] += check


@serial
def multiply(patches, matrix, rows, products):
    """Compute products = patches @ matrix of so many rows, in pieces."""
    C, B = matrix.shape
    piece = max(4, PIECE // (C * B) // 4 * 4)
    for start in range(0, rows, piece):
        end = min(start + piece, rows)
        patch = patches[start * C : end * C].reshape(end - start, C)
        product = products[start * B : end * B].reshape(end - start, B)
        np.dot(patch, matrix, product)


@serial
def add_product(patches, gradients, rows, is_first, product, total):
    """Add patches^T @ gradients of so many rows to ``total``, in pieces as well."""
    c_width, k_width = product.shape
    piece = max(4, PIECE // (c_width * k_width) // 4 * 4)
    for start in range(0, rows, piece):
        end = min(start + piece, rows)
        patch = patches[start * c_width : end * c_width].reshape(-1, c_width)
        gradient = gradients[start * k_width : end * k_width].reshape(-1, k_width)
        if is_first and start == 0:
            np.dot(patch.T, gradient, total)
        else:
            np.dot(patch.T, gradient, product)
            for c in range(c_width):
                row, addition = total[c], product[c]
                for k in range(k_width):
                    row[k] += addition[k]
