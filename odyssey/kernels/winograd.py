"""3x3 convolutions of stride 1 by Winograd's minimal filtering, F(4x4, 3x3).

A tile of 4x4 outputs needs a patch of 6x6 inputs.  Summed directly it takes 144
multiplications for each channel.  Here patch and kernel are transformed to 6x6, where
36 products are enough, and the result is transformed back:

    out  = A^T [ (G kernel G^T) * (B^T patch B) ] A            * element by element

The sum over channels is inside the brackets.  At each of the 36 places it is a matrix
product, (tiles x channels) by (channels x kernels), which takes most of the time.
``docs/derivations/winograd.md`` derives the matrices, and the gradient of the kernel.

x is (N, H, W, C), out (N, P, Q, K).  Patches and tiles pass through buffers ``d`` and
``t`` on their way to the places and back (`tiles.py`, `winograd_transforms.py`).

Lavin & Gray 2016, arXiv:1509.09308.
"""

import numpy as np
from numba import prange

from odyssey.kernels.jit import parallel, serial
from odyssey.kernels.tiles import (
    LANES,
    PLACES,
    PRODUCTS,
    Ending,
    Images,
    add_product,
    load_lanes,
    load_pixels,
    multiply,
    store_lanes,
    store_pixels,
    tile_corner,
)
from odyssey.kernels.winograd_transforms import (
    transform_gradient,
    transform_input,
    transform_output,
)

#: Rows and columns of a tile of results, and of the patch of inputs that it needs.
TILE, PATCH = 4, 6


@serial
def load_patch(images, corner, first, lanes, d, t, matrix, at):
    """Write B^T patch B of the patch at a corner to ``matrix`` (36, ...)."""
    load_pixels(images, corner, PATCH, first, lanes, d)
    transform_input(d, lanes, t)
    transform_input(t, lanes, d)
    store_lanes(d, lanes, matrix, at)


@parallel
def winograd_forward(
    x, places, bias, addend, relu, padding, chunk, patches, products, out, checks
):
    """Compute the convolution of ``x`` with a kernel given by its 36 ``places``.

    for chunk of tiles, for part of the kernels, in parallel:
        for tile: for `LANES` channels: patches[:, tile, channels] = B^T patch B
        for block of kernels:
            for place: products[place] = patches[place] @ places[block, place]
            for tile: for `LANES` kernels:
                out[tile, kernels] = relu(A^T products[:, tile, kernels] A + bias
                                          + addend[tile, kernels])

    Optimizations:
    - a chunk goes through all three steps while it is in the core's own cache
    - the kernels are cut into parts only if there are fewer chunks than threads,
      because each part transforms the patches again
    - ``patches`` (threads, 36*(chunk*C + `GAP`)) and ``products`` (threads,
      36*(chunk*B + `GAP`)) come from the caller, who keeps them

    ``checks`` (threads, LANES) of zeros turn to NaN where a result is not finite.
    """
    H, W, C = x.shape[1:]
    N, P, Q, K = out.shape
    pixels, sums = x.reshape(-1, C), out.reshape(-1, K)
    additions = addend.reshape(-1, K)
    blocks, B = places.shape[0], places.shape[3]
    tile_rows, tile_columns = (P + TILE - 1) // TILE, (Q + TILE - 1) // TILE
    tiles = N * tile_rows * tile_columns
    threads = len(patches)
    chunks = (tiles + chunk - 1) // chunk
    parts = min(blocks, (threads + chunks - 1) // chunks)
    for thread in prange(threads):  # disjoint tiles and kernels of out
        patch = patches[thread].reshape(PRODUCTS, -1)
        product = products[thread].reshape(PRODUCTS, -1)
        check, ending = checks[thread], Ending(bias, additions, relu)
        images, results = Images(pixels, H, W), Images(sums, P, Q)
        d, t = np.empty(PLACES * LANES, x.dtype), np.empty(PLACES * LANES, x.dtype)
        for task in range(thread, chunks * parts, threads):
            first, part = task // parts * chunk, task % parts
            count = min(chunk, tiles - first)
            for column in range(count):
                tile = first + column
                n, top, left = tile_corner(tile, tile_rows, tile_columns, TILE)
                corner = n, top - padding, left - padding
                for c in range(0, C, LANES):
                    lanes = min(LANES, C - c)
                    load_patch(images, corner, c, lanes, d, t, patch, column * C + c)
            for block in range(part * blocks // parts, (part + 1) * blocks // parts):
                for place in range(PRODUCTS):
                    multiply(patch[place], places[block, place], count, product[place])
                k, lanes = block * B, min(B, K - block * B)
                for column in range(count):
                    tile = first + column
                    corner = tile_corner(tile, tile_rows, tile_columns, TILE)
                    load_lanes(product, column * B, lanes, d)
                    transform_output(d, PATCH, lanes, t)
                    transform_output(t, TILE, lanes, d)
                    store_pixels(d, ending, corner, TILE, k, lanes, results, check)


@parallel
def winograd_grad_kernel(grad_output, x, padding, chunk, patches, gradients, totals):
    """Add up the gradient of the kernel at the 36 places.

    for part of the tiles, for split of the channels, in parallel: for chunk of tiles:
        for tile: for block of channels: patches[block, :, tile] = B^T patch B
        for tile: for block of kernels:
            gradients[block, :, tile] = A grad_output[tile] A^T
        for block of channels: for block of kernels: for place:
            totals[part, c block, k block, place] += patches[place]^T @ gradients[place]
    which ``totals_to_kernel`` turns back.

    Optimizations: as in ``winograd_forward``.  The number of parts follows from the
    shapes alone, so that the order of the sums never depends on the threads; where
    there are more threads than parts, the channels are split as well.  ``patches`` and
    ``gradients`` are (threads, blocks, 36*(chunk*width + `GAP`)).
    """
    H, W, C = x.shape[1:]
    N, P, Q, K = grad_output.shape
    pixels, gradient_pixels = x.reshape(-1, C), grad_output.reshape(-1, K)
    parts, c_blocks, k_blocks, _, c_width, k_width = totals.shape
    tile_rows, tile_columns = (P + TILE - 1) // TILE, (Q + TILE - 1) // TILE
    tiles, threads = N * tile_rows * tile_columns, len(patches)
    splits = min(c_blocks, (threads + parts - 1) // parts)
    for thread in prange(threads):  # disjoint (part, c block) of totals
        patch = patches[thread].reshape(c_blocks, PRODUCTS, -1)
        gradient = gradients[thread].reshape(k_blocks, PRODUCTS, -1)
        images, results = Images(pixels, H, W), Images(gradient_pixels, P, Q)
        d, t = np.empty(PLACES * LANES, x.dtype), np.empty(PLACES * LANES, x.dtype)
        product = np.empty((c_width, k_width), x.dtype)
        for task in range(thread, parts * splits, threads):
            part, split = task // splits, task % splits
            begin, last = part * tiles // parts, (part + 1) * tiles // parts
            c_first = split * c_blocks // splits
            c_last = (split + 1) * c_blocks // splits
            for first in range(begin, last, chunk):
                count = min(chunk, last - first)
                for column in range(count):
                    tile = first + column
                    corner = tile_corner(tile, tile_rows, tile_columns, TILE)
                    n, top, left = corner
                    patch_corner = n, top - padding, left - padding
                    for block in range(c_first, c_last):
                        c, at = block * c_width, column * c_width
                        lanes = min(c_width, C - c)
                        load_patch(
                            images, patch_corner, c, lanes, d, t, patch[block], at
                        )
                    for block in range(k_blocks):
                        k, at = block * k_width, column * k_width
                        lanes = min(k_width, K - k)
                        load_pixels(results, corner, TILE, k, lanes, d)
                        transform_gradient(d, TILE, lanes, t)
                        transform_gradient(t, PATCH, lanes, d)
                        store_lanes(d, lanes, gradient[block], at)
                for block in range(c_first, c_last):
                    for k_block in range(k_blocks):
                        for place in range(PRODUCTS):
                            add_product(
                                patch[block, place],
                                gradient[k_block, place],
                                count,
                                first == begin,
                                product,
                                totals[part, block, k_block, place],
                            )
