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

x is (N, H, W, C), out (N, P, Q, K).
"""

import numpy as np
from numba import prange

from odyssey.kernels.ending import Ending, is_large
from odyssey.kernels.jit import parallel
from odyssey.kernels.product import TERMS, Matrix, multiply
from odyssey.kernels.simd import LANES, flat, keep, width
from odyssey.kernels.tiles import (
    GAP,
    OUTSIDE,
    PRODUCTS,
    STRIDED_PLACES,
    Moments,
    Pixels,
    Target,
    Tiling,
    distance,
    find_pixels,
    prefetch_addend,
    prefetch_next,
    share_of,
    splits_of,
)
from odyssey.kernels.winograd_kernel import (
    TAPS,
    FromPlaces,
    ToPlaces,
    block_to_places,
    sums_to_kernel,
)
from odyssey.kernels.winograd_strided_transforms import (
    BEFORE,
    ROWS,
    find_rows,
    gradient_to_places,
    patch_to_places,
    places_to_pixels,
)

#: Pixels of a tile's side: of the output, and of the input in its gradient.
TILE, TURNED_TILE = 4, 8


@parallel
def strided_forward(
    x,
    kernel,
    turned,
    places,
    B,
    bias,
    addend,
    relu,
    chunk,
    patches,
    products,
    out,
    checks,
    moments,
):
    """Compute the convolution of ``x`` with a kernel given by its 36 ``places``.

    for chunk of tiles, for part of the kernels, in parallel:
        for tile: for vector of channels: patches[:, tile, channels] = B^T patch B
        for block of kernels:
            for product: products[...] = patches[...] @ places[block, product]
            for tile: for vector of kernels:
                out[tile, kernels] = relu(A^T products[:, tile, kernels] A + bias
                                          + addend[tile, kernels])

    ``turned`` computes the gradient of the input from that of the output, x.

    Optimizations: as in ``winograd_forward``.  ``patches`` (threads, 81 * chunk * row +
    36 gaps) and ``products`` (threads, 81 * chunk * B + 36 gaps) hold the matrices one
    after another, and in each the rows of a tile beside each other.

    ``checks`` and ``moments`` are as in ``winograd_forward``.
    """
    C, K = x.shape[3], out.shape[3]
    N, P, Q = out.shape[:3]
    blocks, factor_step, own = (K + B - 1) // B, places.shape[2], kernel.size > 0
    row = (patches.shape[1] - PRODUCTS * GAP) // (STRIDED_PLACES * chunk)
    side = 8 if turned else 4
    tile_rows, tile_columns = (P + side - 1) // side, (Q + side - 1) // side
    step, padding, size = (4, 0, 5) if turned else (8, 1, 9)
    tiles, threads = N * tile_rows * tile_columns, len(patches)
    chunks = (tiles + chunk - 1) // chunk
    parts = min(blocks, (threads + chunks - 1) // chunks)
    past = is_large(out, K)
    for thread in prange(threads):  # disjoint tiles and kernels of out
        reading = Tiling(
            x.shape[1], x.shape[2], C, tile_rows, tile_columns, step, padding, size
        )
        writing = Tiling(P, Q, K, tile_rows, tile_columns, side, 0, side)
        buffer = np.empty(STRIDED_PLACES * LANES, patches.dtype)
        t = flat(buffer)
        table = np.empty(STRIDED_PLACES, np.int64)
        begins = np.empty(STRIDED_PLACES, np.int64)
        taps = np.empty(TAPS, patches.dtype)
        rows, factors = flat(begins), flat(places)
        patch, product = flat(patches[thread]), flat(products[thread])
        zeros = np.zeros(C + LANES, x.dtype)
        pixels = Pixels(flat(x), C, flat(table), distance(x, zeros))
        ending = Ending(
            flat(out), K, flat(bias), flat(addend), addend.size > 0, relu, past
        )
        channels = moments.shape[2]
        for task in range(thread, chunks * parts, threads):
            first, part = task // parts * chunk, task % parts
            count = min(chunk, tiles - first)
            sums = Moments(flat(moments), task // parts * 3 * channels, channels)
            target = Target(ending, flat(table), flat(checks[thread]), sums)
            for tile in range(count):
                find_pixels(reading, first + tile, table, pixels.outside)
                find_rows(chunk, tile, row, begins)
                for c in range(0, C, width(t)):
                    prefetch_next(pixels, reading.size, reading.step, c)
                    patch_to_places(pixels, c, turned, t, patch, rows, c)
            for block in range(part * blocks // parts, (part + 1) * blocks // parts):
                begin = (np.intp(thread) if own else block) * PRODUCTS * factor_step
                for c in range(0, C, TERMS if own else C):
                    terms = min(TERMS, C - c) if own else C
                    if own:
                        way = ToPlaces(kernel, turned, True, B, False, taps, buffer)
                        some = c, c + terms
                        block_to_places(way, block, some, factors, begin, factor_step)
                    for place in range(PRODUCTS):
                        before, gap = BEFORE[place] * chunk, GAP * place
                        multiply(
                            Matrix(patch, before * row + gap + c, row, 1),
                            Matrix(factors, begin + place * factor_step, B, 1),
                            Matrix(product, before * B + gap, B, 1),
                            ROWS[place] * count,
                            B,
                            terms,
                            c > 0,
                        )
                for tile in range(count):
                    find_pixels(writing, first + tile, table, OUTSIDE)
                    find_rows(chunk, tile, B, begins)
                    prefetch_addend(target, writing, block * B, B)
                    for lane in range(0, min(B, K - block * B), width(t)):
                        k = block * B + lane
                        is_first = tile == 0
                        places_to_pixels(
                            product, rows, lane, turned, t, target, k, is_first
                        )
        keep(buffer)
        keep(zeros)


@parallel
def strided_grad_kernel(
    grad_output, x, chunk, patches, gradients, totals, at_once, grad, checks
):
    """Add up the gradient of the kernel at the 36 different places.

    for part of the tiles, for split of channels and kernels, in parallel: for chunk:
        for tile: for vector of channels: patches[:, tile, channels] = B^T patch B
        for tile: for vector of kernels:
            gradients[:, tile, kernels] = A grad_output[tile] A^T
        for block of channels: for block of kernels: for product:
            totals[part, c block, k block, product] += patches^T @ gradients
    which ``totals_to_kernel`` turns back.

    Optimizations: as in ``winograd_grad_kernel``.  Places with the same row of G are
    summed by their product already.
    """
    C, K = x.shape[3], grad_output.shape[3]
    N, P, Q = grad_output.shape[:3]
    c_blocks, k_blocks = patches.shape[1], gradients.shape[1]
    c_width, k_width = totals.shape[4:]
    parts = 1 if at_once else len(totals)
    tile_rows, tile_columns = (P + 3) // 4, (Q + 3) // 4
    tiles, threads = N * tile_rows * tile_columns, len(patches)
    c_splits, k_splits = splits_of(threads, parts, c_blocks, k_blocks)
    splits = c_splits * k_splits
    for thread in prange(threads):  # disjoint (part, c block, k block) of totals
        reading = Tiling(x.shape[1], x.shape[2], C, tile_rows, tile_columns, 8, 1, 9)
        writing = Tiling(P, Q, K, tile_rows, tile_columns, 4, 0, 4)
        buffer = np.empty(STRIDED_PLACES * LANES, patches.dtype)
        t = flat(buffer)
        table = np.empty(STRIDED_PLACES, np.int64)
        begins = np.empty(STRIDED_PLACES, np.int64)
        zeros = np.zeros(max(C, K) + LANES, x.dtype)
        pixels = Pixels(flat(x), C, flat(table), distance(x, zeros))
        outside = distance(grad_output, zeros)
        gradient_pixels = Pixels(flat(grad_output), K, flat(table), outside)
        rows, sums = flat(begins), flat(totals)
        taps = np.empty(TAPS, patches.dtype)
        size, own = c_width * k_width, np.intp(thread) * PRODUCTS * c_width * k_width
        for task in range(thread, parts * splits, threads):
            part, split = task // splits, task % splits
            begin, last = part * tiles // parts, (part + 1) * tiles // parts
            c_first, c_last = share_of(c_blocks, split // k_splits, c_splits)
            k_first, k_last = share_of(k_blocks, split % k_splits, k_splits)
            for first in range(begin, last, chunk):
                count = min(chunk, last - first)
                for tile in range(count):
                    find_pixels(reading, first + tile, table, pixels.outside)
                    find_rows(chunk, tile, c_width, begins)
                    for block in range(c_first, c_last):
                        patch = flat(patches[thread, block])
                        for lane in range(0, c_width, width(t)):
                            c = block * c_width + lane
                            prefetch_next(pixels, reading.size, reading.step, c)
                            patch_to_places(pixels, c, False, t, patch, rows, lane)
                    find_pixels(writing, first + tile, table, outside)
                    find_rows(chunk, tile, k_width, begins)
                    for block in range(k_first, k_last):
                        gradient = flat(gradients[thread, block])
                        for lane in range(0, k_width, width(t)):
                            k = block * k_width + lane
                            prefetch_next(
                                gradient_pixels, writing.size, writing.step, k
                            )
                            gradient_to_places(
                                gradient_pixels, k, t, gradient, rows, lane
                            )
                for block in range(c_first, c_last):
                    for k_block in range(k_first, k_last):
                        at = (part * c_blocks + block) * k_blocks + k_block
                        at = own if at_once else at * PRODUCTS * size
                        for place in range(PRODUCTS):
                            before, gap = BEFORE[place] * chunk, GAP * place
                            multiply(
                                Matrix(
                                    flat(patches[thread, block]),
                                    before * c_width + gap,
                                    1,
                                    c_width,
                                ),
                                Matrix(
                                    flat(gradients[thread, k_block]),
                                    before * k_width + gap,
                                    k_width,
                                    1,
                                ),
                                Matrix(sums, at + place * size, k_width, 1),
                                c_width,
                                k_width,
                                ROWS[place] * count,
                                first > begin,
                            )
                        if at_once:
                            back = FromPlaces(True, k_width, grad, checks, buffer, taps)
                            channels = block * c_width, min((block + 1) * c_width, C)
                            done = flat(totals[thread])
                            sums_to_kernel(back, done, size, channels, k_block)
        keep(buffer)
        keep(zeros)
