"""Tiles of an image on their way to the matrix products of Winograd's domain and back.

    pixels of a tile  <->  places of a buffer  <->  a column of each place's matrix

A buffer ``d`` holds the places of one tile, 36 or 81 or as many as there are, each with
`LANES` lanes: at most so many channels at a time, one a lane.  It is flat and LANES is
a constant, so that LLVM sees that the places never overlap and turns loops over
lanes into SIMD without checking first.  An image is a matrix with a row a pixel: slices
of its four axes cost more than the transforms between them.
"""

import numpy as np

from odyssey.kernels.jit import serial

#: Channels that go through the transforms together: four AVX-512 registers of float32.
LANES = 64
#: Places of a tile in the domain of stride 1 (6x6), and of stride 2 (9x9).
PLACES, STRIDED_PLACES = 36, 81
#: Different places of a kernel, of either stride: there a product is summed.
PRODUCTS = 36
#: Multiplications in a piece of a product: OpenBLAS does so few at full speed, without
#: packing the matrices anew first.
PIECE = 1_000_000


@serial
def tile_corner(tile, rows, columns, step):
    """Return image, row and column of a tile's first pixel, one tile every ``step``."""
    n, row, column = tile // (rows * columns), tile // columns % rows, tile % columns
    return n, row * step, column * step


@serial
def load_pixels(pixels, H, W, n, top, left, size, first, lanes, d):
    """Copy ``size`` x ``size`` pixels of an image, zeros outside it, into ``d``.

    for i: for j: for lane: d[i, j, lane] = x[n, top + i, left + j, first + lane]

    ``pixels`` (N*H*W, C) is x seen as a matrix.
    """
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
def store_pixels(
    d, bias, additions, relu, P, Q, n, top, left, size, first, lanes, pixels, check
):
    """Write ``size`` x ``size`` pixels from ``d``, as far as they lie in the image.

    for i: for j: for lane, with all but ``d`` taken at the pixel of out:
        out = relu(d[i, j, lane] + bias + addend)

    ``pixels`` and ``additions`` (N*P*Q, K) are out and addend seen as matrices.
    ``additions`` of no rows are left out, and so is the relu if ``relu`` is False.
    ``check`` (LANES,) turns from zero to NaN where a sum is not finite.
    """
    zero, has_addend = d.dtype.type(0), len(additions) > 0
    shift = bias[first : first + lanes]
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
        for place in range(9):
            r, s = place // 3, place % 3
            if turned:
                d[place * LANES + lane] = kernel[c, k, 2 - r, 2 - s]
            else:
                d[place * LANES + lane] = kernel[k, c, r, s]


@serial
def store_taps(d, lanes, c, first, grad, checks):
    """Copy 3x3 taps from ``d`` to ``grad`` (K, C, 3, 3); the reverse of load_taps.

    ``checks[c]`` turns from zero to NaN where one is not finite.
    """
    zero = d.dtype.type(0)
    for lane in range(lanes):
        check = zero
        for place in range(9):
            value = d[place * LANES + lane]
            grad[first + lane, c, place // 3, place % 3] = value
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
