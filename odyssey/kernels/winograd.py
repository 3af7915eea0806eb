"""3x3 convolutions of stride 1 by Winograd's minimal filtering, F(4x4, 3x3).

A tile of 4x4 outputs looks at a patch of 6x6 inputs.  Summed directly it costs 144
multiplications a channel; here patch and kernel are turned into a 6x6 domain, where
36 products do, and the result is turned back:

    out  = A^T [ (G kernel G^T) * (B^T patch B) ] A            * element by element

The sum over channels stands inside the brackets: at each of the 36 places it is a
matrix product, tiles x channels by channels x kernels, and there the time is spent.
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


@serial
def load_patch(pixels, H, W, n, top, left, first, lanes, d, t, matrix, at):
    """Write B^T patch B of the patch at (top, left) to ``matrix`` (36, ...)."""
    load_pixels(pixels, H, W, n, top, left, 6, first, lanes, d)
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
    - the kernels are cut into parts only where there are fewer chunks than threads,
      because each part transforms the patches anew
    - ``patches`` (threads, 36, tiles*C + 16) and ``products`` (threads, 36,
      tiles*B + 16) come from the caller, who keeps them; without the 16 all places
      would share the same few sets of the cache

    ``checks`` (threads, LANES) of zeros turn to NaN where a result is not finite.
    """
    H, W, C = x.shape[1:]
    N, P, Q, K = out.shape
    pixels, sums = x.reshape(-1, C), out.reshape(-1, K)
    additions = addend.reshape(-1, K)
    blocks, B = places.shape[0], places.shape[3]
    tile_rows, tile_columns = (P + 3) // 4, (Q + 3) // 4
    tiles = N * tile_rows * tile_columns
    threads = len(patches)
    chunks = (tiles + chunk - 1) // chunk
    parts = min(blocks, (threads + chunks - 1) // chunks)
    for thread in prange(threads):  # disjoint tiles and kernels of out
        patch, product, check = patches[thread], products[thread], checks[thread]
        d, t = np.empty(PLACES * LANES, x.dtype), np.empty(PLACES * LANES, x.dtype)
        for task in range(thread, chunks * parts, threads):
            first, part = task // parts * chunk, task % parts
            count = min(chunk, tiles - first)
            for column in range(count):
                n, top, left = tile_corner(first + column, tile_rows, tile_columns, 4)
                for c in range(0, C, LANES):
                    lanes = min(LANES, C - c)
                    corner = n, top - padding, left - padding
                    at = column * C + c
                    load_patch(pixels, H, W, *corner, c, lanes, d, t, patch, at)
            for block in range(part * blocks // parts, (part + 1) * blocks // parts):
                for place in range(PRODUCTS):
                    multiply(patch[place], places[block, place], count, product[place])
                k, lanes = block * B, min(B, K - block * B)
                for column in range(count):
                    corner = tile_corner(first + column, tile_rows, tile_columns, 4)
                    load_lanes(product, column * B, lanes, d)
                    transform_output(d, 6, lanes, t)
                    transform_output(t, 4, lanes, d)
                    ending = bias, additions, relu
                    where = P, Q, *corner, 4, k, lanes
                    store_pixels(d, *ending, *where, sums, check)


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
    there are more threads than parts, the channels are split as well.
    """
    H, W, C = x.shape[1:]
    N, P, Q, K = grad_output.shape
    pixels, gradient_pixels = x.reshape(-1, C), grad_output.reshape(-1, K)
    parts, c_blocks, k_blocks, _, c_width, k_width = totals.shape
    tile_rows, tile_columns = (P + 3) // 4, (Q + 3) // 4
    tiles, threads = N * tile_rows * tile_columns, len(patches)
    splits = min(c_blocks, (threads + parts - 1) // parts)
    for thread in prange(threads):  # disjoint (part, c block) of totals
        d, t = np.empty(PLACES * LANES, x.dtype), np.empty(PLACES * LANES, x.dtype)
        product = np.empty((c_width, k_width), x.dtype)
        for task in range(thread, parts * splits, threads):
            part, split = task // splits, task % splits
            begin, last = part * tiles // parts, (part + 1) * tiles // parts
            c_first, c_last = (
                split * c_blocks // splits,
                (split + 1) * c_blocks // splits,
            )
            for first in range(begin, last, chunk):
                count = min(chunk, last - first)
                for column in range(count):
                    n, top, left = tile_corner(
                        first + column, tile_rows, tile_columns, 4
                    )
                    for block in range(c_first, c_last):
                        c = block * c_width
                        lanes = min(c_width, C - c)
                        corner = n, top - padding, left - padding
                        matrix, at = patches[thread, block], column * c_width
                        load_patch(pixels, H, W, *corner, c, lanes, d, t, matrix, at)
                    for block in range(k_blocks):
                        k = block * k_width
                        lanes = min(k_width, K - k)
                        load_pixels(gradient_pixels, P, Q, n, top, left, 4, k, lanes, d)
                        transform_gradient(d, 4, lanes, t)
                        transform_gradient(t, 6, lanes, d)
                        at = column * k_width
                        store_lanes(d, lanes, gradients[thread, block], at)
                for block in range(c_first, c_last):
                    for k_block in range(k_blocks):
                        for place in range(PRODUCTS):
                            add_product(
                                patches[thread, block, place],
                                gradients[thread, k_block, place],
                                count,
                                first == begin,
                                product,
                                totals[part, block, k_block, place],
                            )
