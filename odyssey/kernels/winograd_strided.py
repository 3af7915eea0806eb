"""3x3 convolutions of stride 2 and padding 1 by minimal filtering of the even pixels.

In one dimension, even numbers of x are multiplied by f0 and f2, odd ones by f1 alone:

    y[p] = f0 x[2p] + f2 x[2p + 2]  +  f1 x[2p + 1]

The first two terms are a filter of two taps and stride 1, which Winograd's F(4, 2) sums
with 5 products for 4 results; the last takes 4.  So there are 9 places, and

    out  = A^T [ (G kernel G^T) * (B^T patch B) ] A            * element by element

as in ``winograd.py``, with 9x9 pixels in a patch and 4x4 results in a tile: 81 products
instead of 144.  At the four odd places G has the same row, (0, 1, 0), so these share a
matrix and a product: of the 36 products 25 have one row for each tile, 10 have four,
and the last has 16.  ``docs/derivations/winograd.md`` has the matrices.

The gradient of the input (``turned``) has places of the same kind.  Its patches are
5x5 pixels of grad_output, its tiles 8x8 pixels of grad_input.

x is (N, H, W, C), out (N, P, Q, K).  Patches and tiles pass through buffers ``d`` and
``t`` on their way to the places and back (`winograd_strided_transforms.py`).
"""

import numpy as np
from numba import prange

from odyssey.kernels.jit import parallel
from odyssey.kernels.tiles import (
    GAP,
    LANES,
    PRODUCTS,
    STRIDED_PLACES,
    Ending,
    Images,
    add_product,
    load_pixels,
    multiply,
    store_pixels,
    tile_corner,
)
from odyssey.kernels.winograd_strided_transforms import (
    BEFORE,
    ROWS,
    load_places,
    store_places,
    transform_gradient,
    transform_patch,
    transform_product,
)

#: Rows and columns of a tile of results, of the patch of inputs that it looks at, and
#: of either for the gradient of the input.  A patch has 9x9 places, a turned one too.
TILE, PATCH = 4, 9
TURNED_TILE, TURNED_PATCH = 8, 5


@parallel
def strided_forward(
    x, places, bias, addend, relu, turned, chunk, patches, products, out, checks
):
    """Compute the convolution of ``x`` with a kernel given by its 36 ``places``.

    for chunk of tiles, for part of the kernels, in parallel:
        for tile: for `LANES` channels: patches[:, tile, channels] = B^T patch B
        for block of kernels:
            for product: products[...] = patches[...] @ places[block, product]
            for tile: for `LANES` kernels:
                out[tile, kernels] = relu(A^T products[:, tile, kernels] A + bias
                                          + addend[tile, kernels])

    ``turned`` computes the gradient of the input from that of the output, x.

    Optimizations: as in ``winograd_forward``.  ``patches`` (threads, 81*chunk*C +
    36*`GAP`) and ``products`` (threads, 81*chunk*B + 36*`GAP`) hold the matrices one
    after another, and in each the rows of a tile beside each other.

    ``checks`` (threads, LANES) of zeros turn to NaN where a result is not finite.
    """
    H, W, C = x.shape[1:]
    N, P, Q, K = out.shape
    pixels, sums = x.reshape(-1, C), out.reshape(-1, K)
    additions = addend.reshape(-1, K)
    blocks, B = places.shape[0], places.shape[3]
    side, size = (TURNED_TILE, TURNED_PATCH) if turned else (TILE, PATCH)
    tile_rows, tile_columns = (P + side - 1) // side, (Q + side - 1) // side
    tiles = N * tile_rows * tile_columns
    threads = len(patches)
    chunks = (tiles + chunk - 1) // chunk
    parts = min(blocks, (threads + chunks - 1) // chunks)
    # from patch to patch: a tile of 4x4 results lies over 8x8 pixels, or the reverse
    step, padding = (side // 2, 0) if turned else (side * 2, 1)
    for thread in prange(threads):  # disjoint tiles and kernels of out
        patch, product, check = patches[thread], products[thread], checks[thread]
        ending = Ending(bias, additions, relu)
        images, results = Images(pixels, H, W), Images(sums, P, Q)
        d = np.empty(STRIDED_PLACES * LANES, x.dtype)
        t = np.empty(STRIDED_PLACES * LANES, x.dtype)
        for task in range(thread, chunks * parts, threads):
            first, part = task // parts * chunk, task % parts
            count = min(chunk, tiles - first)
            for tile in range(count):
                n, top, left = tile_corner(first + tile, tile_rows, tile_columns, step)
                corner = n, top - padding, left - padding
                for c in range(0, C, LANES):
                    lanes = min(LANES, C - c)
                    load_pixels(images, corner, size, c, lanes, d)
                    transform_patch(d, turned, size, lanes, t)
                    transform_patch(t, turned, PATCH, lanes, d)
                    store_places(d, lanes, C, chunk, tile, c, patch)
            for block in range(part * blocks // parts, (part + 1) * blocks // parts):
                for place in range(PRODUCTS):
                    before, gap = BEFORE[place] * chunk, GAP * place
                    multiply(
                        patch[before * C + gap :],
                        places[block, place],
                        ROWS[place] * count,
                        product[before * B + gap :],
                    )
                k, lanes = block * B, min(B, K - block * B)
                for tile in range(count):
                    corner = tile_corner(first + tile, tile_rows, tile_columns, side)
                    load_places(product, B, chunk, tile, lanes, d)
                    transform_product(d, turned, PATCH, lanes, t)
                    transform_product(t, turned, side, lanes, d)
                    store_pixels(d, ending, corner, side, k, lanes, results, check)


@parallel
def strided_grad_kernel(grad_output, x, chunk, patches, gradients, totals):
    """Add up the gradient of the kernel at the 36 different places.

    for part of the tiles, for split of the channels, in parallel: for chunk of tiles:
        for tile: for block of channels: patches[block, :, tile] = B^T patch B
        for tile: for block of kernels:
            gradients[block, :, tile] = A grad_output[tile] A^T
        for block of channels: for block of kernels: for product:
            totals[part, c block, k block, product] += patches^T @ gradients
    which ``totals_to_kernel`` turns back.

    Optimizations: as in ``winograd_grad_kernel``.  Places with the same row of G are
    summed by their product already.
    """
    H, W, C = x.shape[1:]
    N, P, Q, K = grad_output.shape
    pixels, gradient_pixels = x.reshape(-1, C), grad_output.reshape(-1, K)
    parts, c_blocks, k_blocks, _, c_width, k_width = totals.shape
    tile_rows, tile_columns = (P + TILE - 1) // TILE, (Q + TILE - 1) // TILE
    tiles, threads = N * tile_rows * tile_columns, len(patches)
    splits = min(c_blocks, (threads + parts - 1) // parts)
    for thread in prange(threads):  # disjoint (part, c block) of totals
        images, results = Images(pixels, H, W), Images(gradient_pixels, P, Q)
        d = np.empty(STRIDED_PLACES * LANES, x.dtype)
        t = np.empty(STRIDED_PLACES * LANES, x.dtype)
        product = np.empty((c_width, k_width), x.dtype)
        for task in range(thread, parts * splits, threads):
            part, split = task // splits, task % splits
            begin, last = part * tiles // parts, (part + 1) * tiles // parts
            c_first = split * c_blocks // splits
            c_last = (split + 1) * c_blocks // splits
            for first in range(begin, last, chunk):
                count = min(chunk, last - first)
                for tile in range(count):
                    corner = tile_corner(first + tile, tile_rows, tile_columns, TILE)
                    n, p, q = corner
                    patch_corner = n, 2 * p - 1, 2 * q - 1
                    for block in range(c_first, c_last):
                        c = block * c_width
                        lanes = min(c_width, C - c)
                        load_pixels(images, patch_corner, PATCH, c, lanes, d)
                        transform_patch(d, False, PATCH, lanes, t)
                        transform_patch(t, False, PATCH, lanes, d)
                        matrices = patches[thread, block]
                        store_places(d, lanes, c_width, chunk, tile, 0, matrices)
                    for block in range(k_blocks):
                        k = block * k_width
                        lanes = min(k_width, K - k)
                        load_pixels(results, corner, TILE, k, lanes, d)
                        transform_gradient(d, TILE, lanes, t)
                        transform_gradient(t, PATCH, lanes, d)
                        matrices = gradients[thread, block]
                        store_places(d, lanes, k_width, chunk, tile, 0, matrices)
                for block in range(c_first, c_last):
                    for k_block in range(k_blocks):
                        for place in range(PRODUCTS):
                            before, gap = BEFORE[place] * chunk, GAP * place
                            add_product(
                                patches[thread, block, before * c_width + gap :],
                                gradients[thread, k_block, before * k_width + gap :],
                                ROWS[place] * count,
                                first == begin,
                                product,
                                totals[part, block, k_block, place],
                            )
