"""Pixels on their way to tiles where they are what is summed over, in pairs.

`conv_tiles_grad_kernel.py` says why and in which order they lie.
"""

from typing import NamedTuple

import numpy as np

from odyssey.kernels.jit import serial
from odyssey.kernels.simd import fill, flat, load, load_if, load_part, store, width
from odyssey.kernels.tile_registers import TILE, WORDS
from odyssey.kernels.tile_words import BLOCK, pair, transpose


class Pairs(NamedTuple):
    """How pairs of images are packed."""

    images: int  # of a piece: even
    steps: int  # of 32 (column, image) in a line of results
    line: int  # words of a line of x


@serial
def pack_pairs(x, windows, piece, pairs, edges, packed):
    """Copy what the results of a piece see, two images a word.

    for pair of images n: for line (u, i): for column (v, j): for block of 16 numbers c:
        packed[c block, u, i, v, j, n / 2, c] = x[n, line, column, c] and that of n + 1

    ``edges`` is a buffer for two windows that the image's edge cuts: bfloat16.
    """
    H, W, C = x.shape[1:]
    source, length, lanes = flat(x), W * C, width(packed)
    numbers, half = windows.numbers, pairs.images // 2
    blocks, whole = (numbers + WORDS - 1) // WORDS, numbers == C and C % WORDS == 0
    block_words = windows.U * windows.lines * pairs.line + WORDS
    for n in range(half):
        there = 2 * n + 1 < piece.images
        for u in range(windows.U):
            for i in range(piece.lines + (windows.R - 1) // windows.step):
                h = (piece.line + i) * windows.step + windows.top + u
                if h < 0 or h >= H:
                    continue
                a = ((piece.first + 2 * n) * H + h) * length
                b = a + H * length
                to = (u * windows.lines + i) * pairs.line
                for column in range(windows.V * windows.columns):
                    v, j = column // windows.columns, column % windows.columns
                    begin = (j * windows.step + windows.left + v) * C
                    at = to + (column * half + n) * WORDS
                    outside = begin + numbers <= 0 or begin >= length
                    cut = not outside and (begin < 0 or begin + numbers > length)
                    if cut:
                        cut_window(source, a, length, begin, numbers, edges, 0)
                        if there:
                            cut_window(
                                source, b, length, begin, numbers, edges, numbers
                            )
                    if whole and there and not outside:
                        for c in range(0, numbers, lanes):
                            one, two = (
                                load(source, a + begin + c),
                                load(source, b + begin + c),
                            )
                            word = at + c // WORDS * block_words + c % WORDS
                            store(packed, word, pair(one, two))
                        continue
                    for c in range(0, blocks * WORDS, lanes):
                        count = 0 if outside else numbers - c
                        if cut:
                            one = load_part(edges, c, count)
                            two = load_if(there, edges, numbers + c, count)
                        else:
                            one = load_part(source, a + begin + c, count)
                            two = load_if(there, source, b + begin + c, count)
                        word = at + c // WORDS * block_words + c % WORDS
                        store(packed, word, pair(one, two))
                # a line's last step may reach beyond its columns
                used = windows.V * windows.columns * half * WORDS
                for block in range(blocks):
                    for word in range(used, pairs.line, lanes):
                        store(packed, block * block_words + to + word, fill(packed, 0))


@serial
def cut_window(source, line, length, begin, count, target, to):
    """Copy numbers of a line, from ``begin`` on, zeros where it has none."""
    for i in range(count):
        inside = 0 <= begin + i < length
        target[to + i] = source[line + begin + i] if inside else np.uint16(0)


@serial
def pack_gradient(grad_output, piece, pairs, first, last, table, words, gradients):
    """Copy the gradient of a piece as tiles of 16 kernels by 32 (column, image).

    for line p: for step: for block of 16 kernels from ``first`` to ``last``:
        gradients[block, p, step, k, m] = grad_output[image, p, q, k]
        where (q, image) is m + 32*step, zeros from the last q on

    ``table`` is a buffer for where 16 pairs of pixels begin, ``words`` for a tile.
    """
    P, Q, K = grad_output.shape[1:]
    source, lanes = flat(grad_output), width(words)
    block_words = piece.lines * pairs.steps * TILE
    for line in range(piece.lines):
        for step in range(pairs.steps):
            q, n = step * BLOCK // pairs.images, step * BLOCK % pairs.images
            whole = True
            for i in range(WORDS):
                begin = (((piece.first + n) * P + piece.line + line) * Q + q) * K
                there, both = q < Q, q < Q and n + 1 < piece.images
                table[2 * i] = begin if there else -1
                table[2 * i + 1] = both
                whole = whole and both
                n += 2
                if n == pairs.images:
                    q, n = q + 1, 0
            for block in range(first, last):
                k = block * WORDS
                if whole and k + WORDS <= K:
                    for i in range(WORDS):
                        begin = table[2 * i] + k
                        for lane in range(0, WORDS, lanes):
                            one = load(source, begin + lane)
                            two = load(source, begin + P * Q * K + lane)
                            store(words, i * WORDS + lane, pair(one, two))
                else:
                    for i in range(WORDS):
                        begin, both = table[2 * i] + k, table[2 * i + 1] != 0
                        there = table[2 * i] >= 0
                        for lane in range(0, WORDS, lanes):
                            count, second = K - k - lane, begin + P * Q * K + lane
                            one = load_if(there, source, begin + lane, count)
                            two = load_if(both, source, second, count)
                            store(words, i * WORDS + lane, pair(one, two))
                to = (block - first) * block_words + (line * pairs.steps + step) * TILE
                transpose(words, 0, gradients, to)
