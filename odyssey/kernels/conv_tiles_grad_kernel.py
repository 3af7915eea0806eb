"""The gradient of a convolution's kernel on tiles, of bfloat16.

    grad_kernel[k, c, r, s] = sum over n,p,q  grad_output[n, p, q, k] * x[n, h, w, c]

is a product of matrices, k by (r, s, c), whose inner dimension are the pixels.  A tile
instruction takes what it sums in pairs (`tile_registers.py`), so both factors are
packed anew, a piece of the images at a time, with 32 (column, image) in the inner
dimension:

    first factor    grad_output   [k block, p, step, k, 32 of (q, image)]
    second factor   x             [c block, line, pairs of (column, image), c, 2]

In the first one pixels lie side by side, which is what transposes it: in words of two
images, 16 x 16 of them by vectors.  It is transposed and not x because no tap moves it,
and because it mostly has fewer pixels.  In x only pairs of images are interleaved.  The
number of images is even (with an image of zeros, if need be), so that a tap never falls
between the two of a pair, and is another place to begin, as in ``tile_packing.py``.

    for piece, in parallel: pack both
        for group of blocks of 32 k: for block of 32 c: for block of k: for tap (r, s):
            for line p: for step of 32 (q, image):
                totals[k block, c block, r, s] += g[k, p, step] * x[c, line, pairs]

The sums of 32 x 32 stay in four tiles for a whole piece, and go back to ``totals``.
Lines and steps where a tap sees nothing but what is outside the image are left out; a
step that is partly outside meets zeros.

What this could reach on Emerald Rapids is an estimate, for lack of such a processor:
for 64 cycles of products 4 KB come from the second cache, which gives some 48 bytes a
cycle: three quarters of the peak.  With 64 channels and kernels a piece has 64 steps,
4,096 cycles of products for each block of totals, which are read and written once, some
100 cycles.  Packing costs 4 tiles of x and 4 of g for 36 blocks of 64 cycles, some 100
cycles a tile: a quarter on top, with 512 channels a thirtieth.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from odyssey.kernels.jit import parallel, serial
from odyssey.kernels.simd import flat, keep, load, store, width
from odyssey.kernels.tile_packing import Piece
from odyssey.kernels.tile_pairs import Pairs, pack_gradient, pack_pairs
from odyssey.kernels.tile_registers import (
    TILE,
    WORDS,
    configure,
    dot,
    load_tile,
    release,
    store_tile,
    zero,
)
from odyssey.kernels.tile_words import BLOCK


class Totals(NamedTuple):
    """Which totals a piece adds to."""

    k: int  # blocks of 16 kernels before them, of those that are packed
    below: bool  # a second one
    c: int  # blocks of 16 numbers before them
    there: bool  # they hold sums already
    at: int  # where they begin


class Buffers(NamedTuple):
    """What a thread works on: arrays as `flat` gives them."""

    tiles: np.ndarray
    pixels: np.ndarray  # of pack_pairs
    gradients: np.ndarray  # of pack_gradient
    totals: np.ndarray
    shape: tuple[int, ...]  # of the totals
    words: np.ndarray  # of a tile
    table: np.ndarray  # of where 16 pairs of pixels begin
    edges: np.ndarray  # two windows that the image's edge cuts: bfloat16


@serial
def add_steps(buffers, a, b, lines, steps, a_line, b_line, below, beside):
    """Add up the products of so many steps of so many lines, in tiles 0 to 3.

    ``below`` and ``beside`` are the words to the second blocks of 16 kernels and of 16
    channels, 0 where there are none.
    """
    tiles, gradients, pixels = buffers.tiles, buffers.gradients, buffers.pixels
    for line in range(lines):
        for step in range(steps):
            a_at = a + line * a_line + step * TILE
            b_at = b + line * b_line + step * TILE
            load_tile(tiles, 4, gradients, a_at, WORDS)
            load_tile(tiles, 6, pixels, b_at, WORDS)
            dot(tiles, 0, 4, 6)
            if beside:
                load_tile(tiles, 7, pixels, b_at + beside, WORDS)
                dot(tiles, 1, 4, 7)
            if below:
                load_tile(tiles, 5, gradients, a_at + below, WORDS)
                dot(tiles, 2, 5, 6)
                if beside:
                    dot(tiles, 3, 5, 7)


@serial
def add_block(buffers, windows, piece, pairs, shape, Q, where):
    """Add the products of a piece to the totals of 32 kernels and 32 numbers, all taps.

    ``shape`` is that of x, ``Q`` are the columns of the results.
    """
    H, W, step = shape[1], shape[2], windows.step
    tiles, sums = buffers.tiles, buffers.totals
    a_line = pairs.steps * TILE
    a_block, b_block = (
        piece.lines * a_line,
        windows.U * windows.lines * pairs.line + WORDS,
    )
    below = a_block if where.below else 0
    beside = b_block if WORDS * (where.c + 1) < windows.numbers else 0
    for r in range(windows.R):
        # lines p with 0 <= p*step + top + r < H
        top = windows.top + r
        p_first = max(piece.line, -(top // step))
        p_last = min(piece.line + piece.lines, (H - 1 - top) // step + 1)
        line = r % step * windows.lines + r // step + p_first - piece.line
        for s in range(windows.S):
            q_first, q_last, left = 0, Q, windows.left + s
            if windows.S > 1:
                q_first = max(0, -(left // step))
                q_last = min(Q, (W - 1 - left) // step + 1)
            first = q_first * pairs.images // BLOCK
            last = (q_last * pairs.images + BLOCK - 1) // BLOCK
            a = where.k * a_block + (p_first - piece.line) * a_line + first * TILE
            column = s % step * windows.columns + s // step
            b = where.c * b_block + line * pairs.line + first * TILE
            b += column * pairs.images // 2 * WORDS
            to = where.at + (r * windows.S + s) * BLOCK * BLOCK
            if where.there:
                load_tile(tiles, 0, sums, to, BLOCK)
                load_tile(tiles, 1, sums, to + WORDS, BLOCK)
                load_tile(tiles, 2, sums, to + 16 * BLOCK, BLOCK)
                load_tile(tiles, 3, sums, to + 16 * BLOCK + WORDS, BLOCK)
            else:
                zero(tiles, 0)
                zero(tiles, 1)
                zero(tiles, 2)
                zero(tiles, 3)
            lines, steps = p_last - p_first, last - first
            add_steps(
                buffers=buffers,
                a=a,
                b=b,
                lines=lines,
                steps=steps,
                a_line=a_line,
                b_line=pairs.line,
                below=below,
                beside=beside,
            )
            store_tile(tiles, 0, sums, to, BLOCK)
            store_tile(tiles, 1, sums, to + WORDS, BLOCK)
            store_tile(tiles, 2, sums, to + 16 * BLOCK, BLOCK)
            store_tile(tiles, 3, sums, to + 16 * BLOCK + WORDS, BLOCK)


@serial
def add_pieces(grad_output, x, windows, groups, lines, splits, together, buffers, turn):
    """Add up a thread's share of the totals: ``turn`` is its number and of how many."""
    N, P, Q, K = grad_output.shape
    parts, blocks, c_blocks = buffers.shape[0], buffers.shape[1], buffers.shape[2]
    strips, halves = (P + lines - 1) // lines, (K + 15) // 16
    pieces = groups * strips
    block_words = windows.R * windows.S * BLOCK * BLOCK
    configure(buffers.tiles)
    for task in range(turn[0], parts * splits, turn[1]):
        part, split = task // splits, task % splits
        k_first, k_last = split * blocks // splits, (split + 1) * blocks // splits
        first_half, last_half = 2 * k_first, min(2 * k_last, halves)
        begin, end = part * pieces // parts, (part + 1) * pieces // parts
        for number in range(begin, end):
            group, line = number // strips, number % strips * lines
            first = group * N // groups
            count = (group + 1) * N // groups - first
            piece = Piece(first, count, line, min(lines, P - line))
            images = count + count % 2
            steps = (Q * images + BLOCK - 1) // BLOCK
            across = windows.V * windows.columns * images + steps * BLOCK - Q * images
            pairs = Pairs(images, steps, across // 2 * WORDS)
            pack_pairs(x, windows, piece, pairs, buffers.edges, buffers.pixels)
            table, words, turned = buffers.table, buffers.words, buffers.gradients
            pack_gradient(
                grad_output, piece, pairs, first_half, last_half, table, words, turned
            )
            for some in range(k_first, k_last, together):
                for c in range(c_blocks):
                    for k in range(some, min(some + together, k_last)):
                        below = 2 * k + 1 < last_half
                        at = ((part * blocks + k) * c_blocks + c) * block_words
                        where = Totals(
                            2 * (k - k_first), below, 2 * c, number > begin, at
                        )
                        add_block(buffers, windows, piece, pairs, x.shape, Q, where)
    release(buffers.tiles)


@parallel
def grad_kernel_tiles(
    grad_output,
    x,
    windows,
    groups,
    lines,
    splits,
    together,
    registers,
    packed,
    gradients,
    totals,
):
    """Add up the gradient of the kernel, in ``totals`` (parts, k, c, R*S, 32, 32).

    The page above has the loops.  grad_output (N, P, Q, K) and x (N, H, W, C) are
    bfloat16.  A piece has ``lines`` of results, in one of so many ``groups`` of images.
    ``together`` blocks of 32 k stay in the second cache while all of x is read once.

    Optimizations: those above, and
    - no two threads write to the same sum; the number of parts follows from the shapes
      alone, so that the order of the additions never depends on the threads
    - where there are fewer parts than threads, the kernels are split as well
    """
    threads = len(registers)
    for thread in prange(threads):  # disjoint (part, k block) of totals
        words, starts = np.empty(TILE, np.float32), np.empty(BLOCK, np.int64)
        cut = np.empty(2 * windows.numbers, np.uint16)
        buffers = Buffers(
            flat(registers[thread]),
            flat(packed[thread]),
            flat(gradients[thread]),
            flat(totals),
            totals.shape,
            flat(words),
            flat(starts),
            flat(cut),
        )
        add_pieces(
            grad_output=grad_output,
            x=x,
            windows=windows,
            groups=groups,
            lines=lines,
            splits=splits,
            together=together,
            buffers=buffers,
            turn=(np.intp(thread), threads),
        )
        keep(words)
        keep(starts)
        keep(cut)


@parallel
def totals_to_gradient(totals, columns, grad_kernel):
    """Add up the parts of ``totals`` in their order, and write them as (K, C, R, S).

    for block of 32 k, for block of 32 c, in parallel: for tap: for k: for c:
        grad_kernel[k, c, r, s] = sum over parts
            totals[part, k block, c block, tap, k, c]

    If so many ``columns`` of taps were taken as one, c counts the channels of each.
    """
    K, C, R, S = grad_kernel.shape
    parts, blocks, c_blocks, T = totals.shape[:4]
    for task in prange(blocks * c_blocks):  # disjoint (k, c) of grad_kernel
        block, c_block = task // c_blocks, task % c_blocks
        sums = flat(totals[0, block, c_block])
        for part in range(1, parts):
            addition = flat(totals[part, block, c_block])
            for i in range(0, T * BLOCK * BLOCK, width(sums)):
                store(sums, i, load(sums, i) + load(addition, i))
        places = np.empty(BLOCK, np.int64)  # where in a kernel (C, R, S) a number goes
        for i in range(BLOCK):
            number = c_block * BLOCK + i
            places[i] = number % C * R * S + number // C
        target = grad_kernel.reshape(-1)
        for k in range(min(BLOCK, K - block * BLOCK)):
            begin = (block * BLOCK + k) * C * R * S
            for t in range(T):
                for i in range(min(BLOCK, columns * C - c_block * BLOCK)):
                    at = begin + places[i] + t * columns
                    target[at] = sums[(t * BLOCK + k) * BLOCK + i]
