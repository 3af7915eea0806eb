"""Tiles of an image on their way to the matrix products of Winograd's domain and back.

    pixels of a tile  <->  places of a buffer  <->  a column of each place's matrix

A buffer ``d`` holds the places of one tile, 36 or 81 or as many as there are, each with
64 lanes: at most 64 channels at a time, one a lane.  It is flat and the distance of 64
is a constant, so that LLVM sees that the places never overlap and turns loops over
lanes into SIMD without checking first.  An image is a matrix with a row a pixel: slices
of its four axes cost more than the transforms between them.
"""

import numpy as np

from odyssey.kernels.jit import serial


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
            h, w, at = top + i, left + j, (i * size + j) * 64
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
    ``check`` (64,) turns from zero to NaN where a sum is not finite.
    """
    zero, has_addend = d.dtype.type(0), len(additions) > 0
    shift = bias[first : first + lanes]
    for i in range(max(0, -top), min(size, P - top)):
        for j in range(max(0, -left), min(size, Q - left)):
            at, row = (size * i + j) * 64, (n * P + top + i) * Q + left + j
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
            row[lane] = d[place * 64 + lane]


@serial
def load_lanes(matrix, at, lanes, d):
    """Copy the rows of ``matrix``, from column ``at`` on, to the places of ``d``."""
    for place in range(len(matrix)):
        row = matrix[place, at : at + lanes]
        for lane in range(lanes):
            d[place * 64 + lane] = row[lane]


@serial
def multiply(patches, places, rows, C, products):
    """Compute products[place] = patches[place] @ places[place], in pieces.

    Pieces are of at most a million multiplications: such small ones OpenBLAS does at
    full speed, without packing the matrices anew first.
    """
    B = places.shape[2]
    piece = max(4, 1_000_000 // (C * B) // 4 * 4)
    for place in range(len(places)):
        for start in range(0, rows, piece):
            end = min(start + piece, rows)
            patch = patches[place, start * C : end * C].reshape(end - start, C)
            product = products[place, start * B : end * B].reshape(end - start, B)
            np.dot(patch, places[place], product)


@serial
def add_products(patches, gradients, count, is_first, product, totals):
    """Add patches[place]^T @ gradients[place] to totals[place], for ``count`` tiles."""
    c_width, k_width = product.shape
    for place in range(len(totals)):
        patch = patches[place, : count * c_width].reshape(count, c_width)
        gradient = gradients[place, : count * k_width].reshape(count, k_width)
        if is_first:
            np.dot(patch.T, gradient, totals[place])
        else:
            total = totals[place]
            np.dot(patch.T, gradient, product)
            for c in range(c_width):
                row, addition = total[c], product[c]
                for k in range(k_width):
                    row[k] += addition[k]
