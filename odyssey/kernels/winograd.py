"""3x3 convolutions of stride 1 by Winograd's minimal filtering, F(4x4, 3x3).

A tile of 4x4 outputs looks at a patch of 6x6 inputs.  Summed directly it costs 144
multiplications a channel; here patch and kernel are turned into a 6x6 domain, where
36 products do, and the result is turned back:

    out  = A^T [ (G kernel G^T) * (B^T patch B) ] A            * element by element

The sum over channels stands inside the brackets: at each of the 36 places it is a
matrix product, tiles x channels by channels x kernels, and there the time is spent.
``docs/derivations/winograd.md`` derives the matrices, and the gradient of the kernel.

x is (N, H, W, C), out (N, P, Q, K).

Lavin & Gray 2016, arXiv:1509.09308.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from odyssey.kernels.ending import Ending, is_large
from odyssey.kernels.jit import parallel, serial
from odyssey.kernels.product import TERMS, Matrix, multiply
from odyssey.kernels.simd import LANES, flat, keep, width
from odyssey.kernels.tiles import (
    GAP,
    OUTSIDE,
    PLACES,
    PRODUCTS,
    Moments,
    Pixels,
    Places,
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
from odyssey.kernels.winograd_transforms import (
    gradient_to_places,
    patch_to_places,
    places_to_pixels,
)

#: Pixels of a tile's side.
TILE = 4


@serial
def transform_patches(x, tiling, first, count, t, table, matrices):
    """Write B^T patch B of ``count`` tiles to ``matrices``: (36, tiles x channels)."""
    zeros = np.zeros(x.shape[3] + LANES, x.dtype)
    pixels = Pixels(flat(x), x.shape[3], flat(table), distance(x, zeros))
    step, row = matrices.step, matrices.row
    for tile in range(count):
        find_pixels(tiling, first + tile, table, pixels.outside)
        for c in range(0, x.shape[3], width(t)):
            prefetch_next(pixels, tiling.size, tiling.step, c)
            patch_to_places(pixels, c, t, matrices.data, tile * row + c, step)
    keep(zeros)


@serial
def store_tiles(products, tiling, first, count, t, table, target, k):
    """Write A^T products A of ``count`` tiles, of a block of kernels from ``k`` on."""
    step, row = products.step, products.row
    for tile in range(count):
        find_pixels(tiling, first + tile, table, OUTSIDE)
        prefetch_addend(target, tiling, k, row)
        for lane in range(0, min(row, tiling.C - k), width(t)):
            at = tile * row + lane
            places_to_pixels(products.data, at, step, t, target, k + lane, tile == 0)


@parallel
def winograd_forward(
    x,
    kernel,
    turned,
    places,
    B,
    bias,
    addend,
    relu,
    padding,
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
            for place: products[place] = patches[place] @ places[block, place]
            for tile: for vector of kernels:
                out[tile, kernels] = relu(A^T products[:, tile, kernels] A + bias
                                          + addend[tile, kernels])

    Optimizations:
    - a chunk goes through all three steps while it is in the core's own cache
    - the kernels are cut into parts only where there are fewer chunks than threads,
      because each part transforms the patches anew
    - ``patches`` (threads, 36 * (chunk * row + gap)) and ``products`` (threads, 36 *
      (chunk * B + gap)) come from the caller, who keeps them; without the gap all
      places would share the same few sets of the cache
    - ``places`` (blocks, 36, C*B + gap) come from ``kernel_to_places``; where a thread
      has one chunk at most they are room for a part of a block each, (threads, 36,
      terms*B + gap), and so many channels of a block of ``kernel``, else empty, go to
      their places just before they are multiplied and added to the products

    ``checks`` (threads, lanes) of zeros turn to NaN where a result is not finite.  The
    results before bias and addend, of whole tiles, are added to ``moments`` (chunks, 3,
    blocks * B), if it has rows: see `Moments`.
    """
    C, K = x.shape[3], out.shape[3]
    N, P, Q = out.shape[:3]
    blocks, factor_step, own = (K + B - 1) // B, places.shape[2], kernel.size > 0
    step, product_step = patches.shape[1] // PRODUCTS, products.shape[1] // PRODUCTS
    row = (step - GAP) // chunk
    tile_rows, tile_columns = (P + 3) // 4, (Q + 3) // 4
    reading = Tiling(x.shape[1], x.shape[2], C, tile_rows, tile_columns, 4, padding, 6)
    writing = Tiling(P, Q, K, tile_rows, tile_columns, 4, 0, 4)
    tiles, threads = N * tile_rows * tile_columns, len(patches)
    chunks = (tiles + chunk - 1) // chunk
    parts = min(blocks, (threads + chunks - 1) // chunks)
    past = is_large(out, K)
    for thread in prange(threads):  # disjoint tiles and kernels of out
        buffer, table = (
            np.empty(PLACES * LANES, patches.dtype),
            np.empty(PLACES, np.int64),
        )
        taps = np.empty(TAPS, patches.dtype)
        t = flat(buffer)
        factors = flat(places)
        patch = Places(flat(patches[thread]), step, row)
        product = Places(flat(products[thread]), product_step, B)
        ending = Ending(
            flat(out), K, flat(bias), flat(addend), addend.size > 0, relu, past
        )
        channels = moments.shape[2]
        for task in range(thread, chunks * parts, threads):
            first, part = task // parts * chunk, task % parts
            count = min(chunk, tiles - first)
            sums = Moments(flat(moments), task // parts * 3 * channels, channels)
            target = Target(ending, flat(table), flat(checks[thread]), sums)
            transform_patches(x, reading, first, count, t, table, patch)
            for block in range(part * blocks // parts, (part + 1) * blocks // parts):
                begin = (np.intp(thread) if own else block) * PRODUCTS * factor_step
                for c in range(0, C, TERMS if own else C):
                    terms = min(TERMS, C - c) if own else C
                    if own:
                        way = ToPlaces(kernel, turned, False, B, False, taps, buffer)
                        some = c, c + terms
                        block_to_places(way, block, some, factors, begin, factor_step)
                    for place in range(PRODUCTS):
                        multiply(
                            Matrix(patch.data, place * step + c, row, 1),
                            Matrix(factors, begin + place * factor_step, B, 1),
                            Matrix(product.data, place * product_step, B, 1),
                            count,
                            B,
                            terms,
                            c > 0,
                        )
                k = block * B
                store_tiles(product, writing, first, count, t, table, target, k)
        keep(buffer)


class Blocks(NamedTuple):
    """Blocks of channels or kernels of which a thread transforms the tiles of a chunk.

    Of a block b, place p has the matrix (tiles x width) that begins at (36*b + p)*step.
    """

    data: np.ndarray  # flat
    step: int
    width: int
    first: int
    last: int


@serial
def transform_both(pixels, gradient_pixels, reading, writing, tiles, t, c, k):
    """Write B^T patch B and A grad_output A^T of ``tiles`` (first, count) to blocks."""
    for tile in range(tiles[1]):
        find_pixels(reading, tiles[0] + tile, pixels.table, pixels.outside)
        for block in range(c.first, c.last):
            for lane in range(0, c.width, width(t)):
                at = block * PRODUCTS * c.step + tile * c.width + lane
                channel = block * c.width + lane
                prefetch_next(pixels, reading.size, reading.step, channel)
                patch_to_places(pixels, channel, t, c.data, at, c.step)
        table, outside = gradient_pixels.table, gradient_pixels.outside
        find_pixels(writing, tiles[0] + tile, table, outside)
        for block in range(k.first, k.last):
            for lane in range(0, k.width, width(t)):
                at = block * PRODUCTS * k.step + tile * k.width + lane
                channel = block * k.width + lane
                prefetch_next(gradient_pixels, writing.size, writing.step, channel)
                gradient_to_places(gradient_pixels, channel, t, k.data, at, k.step)


@serial
def multiply_blocks(c, k, blocks, place, count, sums, at, add):
    """Write patches^T @ gradients of two blocks, at a place, to ``sums``, or add it."""
    multiply(
        Matrix(c.data, (blocks[0] * PRODUCTS + place) * c.step, 1, c.width),
        Matrix(k.data, (blocks[1] * PRODUCTS + place) * k.step, k.width, 1),
        Matrix(sums, at, k.width, 1),
        c.width,
        k.width,
        count,
        add,
    )


@parallel
def winograd_grad_kernel(
    grad_output, x, padding, chunk, patches, gradients, totals, at_once, grad, checks
):
    """Add up the gradient of the kernel at the 36 places.

    for part of the tiles, for split of channels and kernels, in parallel: for chunk:
        for tile: for vector of channels: patches[:, tile, channels] = B^T patch B
        for tile: for vector of kernels:
            gradients[:, tile, kernels] = A grad_output[tile] A^T
        for place: for block of channels: for block of kernels:
            totals[part, c block, k block, place] += patches[place]^T @ gradients[place]
    which ``totals_to_kernel`` turns back.

    Optimizations: as in ``winograd_forward``.  The number of parts follows from the
    shapes alone, so that the order of the sums never depends on the threads; where
    there are more threads than parts, channels and then kernels are split as well.  The
    rows of a tile's channels and kernels come in blocks, of which one at a time is
    multiplied.  Where a chunk is all there is, its sums are turned back ``at_once``, in
    the caches: ``totals`` (threads, 1, 1, 36, c width, k width) have room for those of
    two blocks, and ``grad`` and ``checks`` are as in ``totals_to_kernel``.
    """
    C, K = x.shape[3], grad_output.shape[3]
    N, P, Q = grad_output.shape[:3]
    c_blocks, k_blocks = patches.shape[1], gradients.shape[1]
    c_width, k_width = totals.shape[4:]
    parts = 1 if at_once else len(totals)
    tile_rows, tile_columns = (P + 3) // 4, (Q + 3) // 4
    tiles, threads = N * tile_rows * tile_columns, len(patches)
    reading = Tiling(x.shape[1], x.shape[2], C, tile_rows, tile_columns, 4, padding, 6)
    writing = Tiling(P, Q, K, tile_rows, tile_columns, 4, 0, 4)
    c_splits, k_splits = splits_of(threads, parts, c_blocks, k_blocks)
    size = c_width * k_width
    for thread in prange(threads):  # disjoint (part, c block, k block) of totals, grad
        sums, buffer = flat(totals), np.empty(PLACES * LANES, patches.dtype)
        table = np.empty(PLACES, np.int64)
        t, taps = flat(buffer), np.empty(TAPS, patches.dtype)
        zeros = np.zeros(max(C, K) + LANES, x.dtype)
        pixels = Pixels(flat(x), C, flat(table), distance(x, zeros))
        outside = distance(grad_output, zeros)
        gradient_pixels = Pixels(flat(grad_output), K, flat(table), outside)
        for task in range(thread, parts * c_splits * k_splits, threads):
            part, split = task // (c_splits * k_splits), task % (c_splits * k_splits)
            begin, last = part * tiles // parts, (part + 1) * tiles // parts
            c_first, c_last = share_of(c_blocks, split // k_splits, c_splits)
            k_first, k_last = share_of(k_blocks, split % k_splits, k_splits)
            c_step, k_step = chunk * c_width + GAP, chunk * k_width + GAP
            c = Blocks(flat(patches[thread]), c_step, c_width, c_first, c_last)
            k = Blocks(flat(gradients[thread]), k_step, k_width, k_first, k_last)
            for first in range(begin, last, chunk):
                count = min(chunk, last - first)
                some = first, count
                transform_both(pixels, gradient_pixels, reading, writing, some, t, c, k)
                if at_once:
                    own = flat(totals[thread])
                    back = FromPlaces(False, k_width, grad, checks, buffer, taps)
                    for block in range(c_first, c_last):
                        channels = block * c_width, min((block + 1) * c_width, C)
                        for k_block in range(k_first, k_last):
                            two = block, k_block
                            for place in range(PRODUCTS):
                                at = place * size
                                multiply_blocks(c, k, two, place, count, own, at, False)
                            sums_to_kernel(back, own, size, channels, k_block)
                    continue
                for place in range(PRODUCTS):
                    for block in range(c_first, c_last):
                        for k_block in range(k_first, k_last):
                            at = (part * c_blocks + block) * k_blocks + k_block
                            at, add = (at * PRODUCTS + place) * size, first > begin
                            two = block, k_block
                            multiply_blocks(c, k, two, place, count, sums, at, add)
        keep(buffer)
        keep(table)
        keep(zeros)
