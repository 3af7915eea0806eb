"""Convolution of bfloat16 on tiles, and the gradient of its input.

Both are the same sums.  The gradient of the input is a convolution of ``grad_output``
with the kernel turned; where the stride is larger than one, it is one for each *phase*,
the pixels with the same remainder of line and of column, which the same taps reach.

    for piece (lines of images), in parallel: pack what it sees
        for phase (u, v): for block of 32 kernels k:
            for block of 32 rows (column q, image n) of a line p:
                for block of 32 channels c: for tap (r, s):
                    sums[row, k] += packed[line (p, r), column (q, s), n, c]
                                    * matrix[k block, c block, (r, s), c, k]
            for block of rows: out = relu(sums + bias + addend), rounded

The sums of a block, 32 x 32, stay in four tiles until they are complete: for each tap
two tiles of rows and two of kernels are loaded, and multiplied four times, 64 cycles of
products to 32 of loads from the first cache.  So that they come from there, taps are
the inner loops: the 32 numbers of a pixel that one tap has seen, a line of the cache,
are there for the next ones, and a block of 9 taps brings 32 rows and some beside them
from the second cache instead of 288.  The kernels come from the second cache one after
the other, as they lie: 2 KB for each 64 cycles.

The rows of tiles are pixels, each ``row`` words from the last: an odd number of the
cache's lines, so that they do not all fall into the same few sets of the first cache.

Where the edges leave something over, rows beyond a line's last are computed of whatever
is there, and dropped; if a block has 16 or fewer rows, or kernels, the second tile is
left out.

What this could reach on Emerald Rapids is an estimate, for lack of such a processor:
with 64 channels and kernels, 3 x 3, a block has 18 taps of 64 cycles, 1,152; its 64
vectors of results take some 500 more, and the copy of its pixels 250 (half of 500, for
there are two blocks of kernels): 60 % of the peak.  With 512 channels it is 9,216
cycles to the same 500 and less than 150, and what limits is the second cache: 2 KB of
kernels and 0.5 KB of pixels for each 64 cycles, where it gives some 48 bytes a cycle:
nine tenths of the peak.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from odyssey.kernels.ending import Ending, finish, is_large
from odyssey.kernels.jit import parallel, serial
from odyssey.kernels.simd import flat, keep, load, width
from odyssey.kernels.tile_packing import Piece, pack_pixels
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

#: Blocks of 32 x 32 sums that are computed before the first of them is finished: tiles
#: are fastest in long stretches, and 64 blocks are 256 KB of sums in the second cache.
#: A few would stay in the first one: which is faster is to be measured.
STRETCH = 64


class Phase(NamedTuple):
    """Pixels that the same taps reach, and those taps."""

    u: int  # the first line and column in out
    v: int
    P: int  # lines and columns
    Q: int
    r_first: int
    r_last: int  # the one after the last
    s_first: int
    s_last: int
    start: int  # of its part of the matrix


class Block(NamedTuple):
    """What is multiplied for 32 rows of sums."""

    at: int  # where the first row begins in the packed pixels
    row: int  # words from one row to the next
    start: int  # where the kernels begin in the matrix
    c_blocks: int
    r_first: int  # taps that are not outside the image
    r_last: int
    s_first: int
    s_last: int
    two_rows: bool  # more than 16


class Buffers(NamedTuple):
    """What a thread works on: arrays as `flat` gives them."""

    tiles: np.ndarray
    pixels: np.ndarray  # packed, in words
    numbers: np.ndarray  # the same, as bfloat16
    matrix: np.ndarray
    sums: np.ndarray
    offsets: np.ndarray  # of find_offsets


@serial
def sum_block(buffers, block, phase, S, two_columns, to):
    """Write the sums of 32 rows and 32 kernels to the sums, from ``to`` on.

    ``two_columns`` tells whether there are more than 16 kernels.
    """
    tiles, pixels, matrix = buffers.tiles, buffers.pixels, buffers.matrix
    zero(tiles, 0)
    zero(tiles, 1)
    zero(tiles, 2)
    zero(tiles, 3)
    S_phase = phase.s_last - phase.s_first
    taps = (phase.r_last - phase.r_first) * S_phase
    row, below = block.row, 16 * block.row
    for c in range(block.c_blocks):
        for r in range(block.r_first, block.r_last):
            tap = (r - phase.r_first) * S_phase - phase.s_first
            for s in range(block.s_first, block.s_last):
                a = block.at + buffers.offsets[r * S + s] + c * WORDS
                b = block.start + (c * taps + tap + s) * 2 * TILE
                load_tile(tiles, 4, pixels, a, row)
                load_tile(tiles, 6, matrix, b, WORDS)
                dot(tiles, 0, 4, 6)
                if two_columns:
                    load_tile(tiles, 7, matrix, b + TILE, WORDS)
                    dot(tiles, 1, 4, 7)
                if block.two_rows:
                    load_tile(tiles, 5, pixels, a + below, row)
                    dot(tiles, 2, 5, 6)
                    if two_columns:
                        dot(tiles, 3, 5, 7)
    sums = buffers.sums
    store_tile(tiles, 0, sums, to, BLOCK)
    store_tile(tiles, 1, sums, to + WORDS, BLOCK)
    store_tile(tiles, 2, sums, to + 16 * BLOCK, BLOCK)
    store_tile(tiles, 3, sums, to + 16 * BLOCK + WORDS, BLOCK)


@serial
def find_block(windows, phase, images, at, p, m, shape, row, start):
    """Return the block that begins at row ``m`` of line ``p`` of a phase's results.

    Its first row is ``at`` in the packed pixels of x, which has this ``shape``.  Taps
    outside of x are left out, and those of a column if that is so for all rows.
    """
    H, W, step = shape[1], shape[2], windows.step
    last = min(m + BLOCK, phase.Q * images)
    top, left = p * step + windows.top, windows.left
    s_first, s_last = phase.s_first, phase.s_last
    if s_last - s_first > 1:
        s_first = max(s_first, -left - (last - 1) // images * step)
        s_last = min(s_last, W - left - m // images * step)
    return Block(
        at=at,
        row=row,
        start=start,
        c_blocks=(windows.numbers + BLOCK - 1) // BLOCK,
        r_first=max(phase.r_first, -top),
        r_last=min(phase.r_last, H - top),
        s_first=s_first,
        s_last=s_last,
        two_rows=last - m > 16,
    )


@serial
def finish_block(ending, phase, piece, step, shape, p, m, k, sums, at):
    """Write the sums of a block to the pixels of ``out``, of this ``shape``."""
    H, W, K = shape[1], shape[2], shape[3]
    q, n = m // piece.images, m % piece.images
    for row in range(min(BLOCK, phase.Q * piece.images - m)):
        line = (piece.first + n) * H + p * step + phase.u
        begin = (line * W + q * step + phase.v) * K
        for lane in range(0, min(BLOCK, K - k), width(sums)):
            finish(ending, begin, k + lane, load(sums, at + row * BLOCK + lane))
        n += 1
        if n == piece.images:
            q, n = q + 1, 0


@serial
def find_offsets(windows, images, row, offsets):
    """Write how many words after a pixel's first tap each of its taps begins."""
    step = windows.step
    for r in range(windows.R):
        for s in range(windows.S):
            line = r % step * windows.lines + r // step
            column = (line * windows.V + s % step) * windows.columns + s // step
            offsets[r * windows.S + s] = column * images * row


@serial
def convolve_phase(buffers, windows, phase, piece, ending, step, shapes, row, k):
    """Compute 32 kernels of a phase, from ``k`` on, for a piece that is packed.

    ``shapes`` are those of x and of out.
    """
    blocks = (windows.numbers + BLOCK - 1) // BLOCK
    taps = (phase.r_last - phase.r_first) * (phase.s_last - phase.s_first)
    start = phase.start + k // BLOCK * blocks * taps * 2 * TILE
    across = (phase.Q * piece.images + BLOCK - 1) // BLOCK
    total = across * max(0, min(piece.lines, phase.P - piece.line))
    line_words = windows.V * windows.columns * piece.images * row
    for begin in range(0, total, STRETCH):
        end = min(begin + STRETCH, total)
        for b in range(begin, end):
            p, m = piece.line + b // across, b % across * BLOCK
            at = b // across * line_words + m * row
            block = find_block(
                windows=windows,
                phase=phase,
                images=piece.images,
                at=at,
                p=p,
                m=m,
                shape=shapes[0],
                row=row,
                start=start,
            )
            to = (b - begin) * BLOCK * BLOCK
            sum_block(buffers, block, phase, windows.S, shapes[1][3] - k > 16, to)
        for b in range(begin, end):
            p, m = piece.line + b // across, b % across * BLOCK
            at = (b - begin) * BLOCK * BLOCK
            finish_block(
                ending=ending,
                phase=phase,
                piece=piece,
                step=step,
                shape=shapes[1],
                p=p,
                m=m,
                k=k,
                sums=buffers.sums,
                at=at,
            )


@serial
def convolve_pieces(
    x, windows, phases, step, groups, lines, ending, shape, buffers, offsets, turn
):
    """Compute a thread's share of the pieces: ``turn`` is its number, and of how many.

    ``shape`` is that of out.
    """
    N, threads = x.shape[0], turn[1]
    blocks = (shape[3] + BLOCK - 1) // BLOCK
    row = WORDS * ((windows.numbers + BLOCK - 1) // BLOCK | 1)
    P = 0
    for f in range(len(phases)):
        P = max(P, phases[f, 2])
    pieces = groups * ((P + lines - 1) // lines)
    parts = min(blocks, (threads + pieces - 1) // pieces)
    configure(buffers.tiles)
    for task in range(turn[0], pieces * parts, threads):
        part, group = task % parts, task // parts % groups
        first = group * N // groups
        images = (group + 1) * N // groups - first
        piece = Piece(first, images, task // parts // groups * lines, lines)
        pack_pixels(x, windows, piece, buffers.numbers, 2 * row)
        find_offsets(windows, images, row, offsets)
        for f in range(len(phases)):
            phase = Phase(
                u=phases[f, 0],
                v=phases[f, 1],
                P=phases[f, 2],
                Q=phases[f, 3],
                r_first=phases[f, 4],
                r_last=phases[f, 5],
                s_first=phases[f, 6],
                s_last=phases[f, 7],
                start=phases[f, 8],
            )
            shapes = x.shape, shape
            for block in range(part * blocks // parts, (part + 1) * blocks // parts):
                k = block * BLOCK
                convolve_phase(
                    buffers=buffers,
                    windows=windows,
                    phase=phase,
                    piece=piece,
                    ending=ending,
                    step=step,
                    shapes=shapes,
                    row=row,
                    k=k,
                )
    release(buffers.tiles)


@parallel
def convolve_tiles(
    x,
    matrix,
    bias,
    addend,
    relu,
    windows,
    phases,
    step,
    groups,
    lines,
    registers,
    packed,
    sums,
    out,
):
    """Compute a convolution of ``x`` with a kernel laid out as ``matrix``.

    The page above has the loops.  x (N, H, W, C) and out (N, P, Q, K) are bfloat16, as
    is the ``addend``, which is added if it has any images; ``bias`` is float32.  Rows
    of ``phases`` are `Phase`: pixel (p, q) of a phase is (p*step + u, q*step + v) of
    out.  A piece has ``lines`` of results, in one of so many ``groups`` of images.
    ``registers``, ``packed`` and ``sums`` have a row a thread.

    Optimizations: those above, and
    - a piece is packed, multiplied and finished in the core's own cache
    - products go on for a stretch of blocks before their sums are finished
    - the kernels are cut into parts only where there are fewer pieces than threads,
      because each part packs the piece anew
    """
    threads, past = len(registers), is_large(out, out.shape[3])
    for thread in prange(threads):  # disjoint pixels and kernels of out
        table = np.empty(windows.R * windows.S, np.int64)
        buffers = Buffers(
            flat(registers[thread]),
            flat(packed[thread]),
            flat(packed[thread].view(np.uint16)),
            flat(matrix),
            flat(sums[thread]),
            flat(table),
        )
        K, added = out.shape[3], addend.size > 0
        ending = Ending(flat(out), K, flat(bias), flat(addend), added, relu, past)
        convolve_pieces(
            x=x,
            windows=windows,
            phases=phases,
            step=step,
            groups=groups,
            lines=lines,
            ending=ending,
            shape=out.shape,
            buffers=buffers,
            offsets=table,
            turn=(np.intp(thread), threads),
        )
        keep(table)
