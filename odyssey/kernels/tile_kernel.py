"""The kernel of a convolution on its way to tiles.

It is the second factor, of which a tile's row holds pairs of channels, interleaved
(`tile_registers.py`): rounded to bfloat16, and laid out once a call.
"""

import numpy as np
from numba import prange

from odyssey.kernels.jit import parallel, serial
from odyssey.kernels.simd import flat, keep, load, load_part, store, store_part, width
from odyssey.kernels.tile_registers import TILE, WORDS
from odyssey.kernels.tile_words import BLOCK


@serial
def find_numbers(shape, turned, taps, columns, first, first_channel, places):
    """Write to ``places`` where in the rounded kernel a block's numbers are, -1 if not.

    for tap t: for i: places[t, i] = where number first + i of tap t is, for result 0
    """
    channels, R, S = shape[0 if turned else 1], shape[2], shape[3]
    step = BLOCK * R * S if turned else R * S
    for t in range(len(taps) // columns):
        for i in range(BLOCK):
            column, c = (first + i) // channels, (first + i) % channels
            place = -1
            if column < columns:
                r, s = taps[t * columns + column]
                place = (c - first_channel) * step + r * S + s
            places[t * BLOCK + i] = place


@serial
def round_rows(kernel, turned, k, channel, count, target, check):
    """Round what a block of 32 results from ``k`` on needs of a kernel (K, C, R, S).

    for result k: for channel c: target[k, c] = kernel[k, c], (R, S)
    with the roles of results and channels exchanged, if the kernel is ``turned``:
    for channel k: for result c: target[k, c] = kernel[k, c]
    """
    K, C = kernel.shape[:2]
    size, source, lanes = kernel.shape[2] * kernel.shape[3], flat(kernel), width(check)
    rows, row, begin = BLOCK, count * size, (k * C + channel) * size
    there, numbers = K - k, min(count, C - channel) * size
    if turned:
        rows, row, begin = count, BLOCK * size, (channel * C + k) * size
        there, numbers = K - channel, min(BLOCK, C - k) * size
    for i in range(rows):
        for number in range(0, row, lanes):
            left = numbers - number if i < there else 0
            value = load_part(source, begin + i * C * size + number, left)
            store_part(target, i * row + number, value, row - number)
            rounded = load_part(target, i * row + number, row - number)
            store(check, 0, load(check, 0) + 0 * rounded)


@parallel
def kernel_to_tiles(kernel, turned, taps, columns, start, matrix, checks):
    """Lay a float32 kernel (K, C, R, S) out as tiles of bfloat16, the second factor.

    for block of 32 results, for block of 32 numbers, in parallel: for tap t at (r, s):
        for pair of numbers: for result k:
            matrix[k block, c block, t, k // 16, pair, k % 16] =
                kernel[k, 2*pair, r, s], kernel[k, 2*pair + 1, r, s]

    ``taps`` (T, 2) lists r and s.  So many ``columns`` of them are taken as one tap, of
    which a number is a channel of one of them.  ``turned`` exchanges the roles of K and
    C.  ``matrix`` holds words, and is written from ``start`` on.  ``checks``, a vector
    of zeros a block, become NaN if a rounded number is not finite.

    Optimizations:
    - the tiles of a block lie in the order in which they are multiplied, so that the
      second factor is read from one end to the other
    - numbers are rounded in the order in which they lie, by vectors, and then moved
    """
    outputs, channels = kernel.shape[0], kernel.shape[1]
    size = kernel.shape[2] * kernel.shape[3]
    if turned:
        outputs, channels = channels, outputs
    T = len(taps) // columns
    blocks = (outputs + BLOCK - 1) // BLOCK
    c_blocks = (columns * channels + BLOCK - 1) // BLOCK
    target = matrix.view(np.uint32)
    count = BLOCK if columns == 1 else channels
    step = size if turned else count * size
    for task in prange(blocks * c_blocks):  # disjoint blocks of matrix
        k, first = task // c_blocks * BLOCK, task % c_blocks * BLOCK
        channel = first if columns == 1 else 0
        rounded = np.empty(BLOCK * count * size, np.uint16)
        places = np.empty(T * BLOCK, np.int64)
        check = flat(checks[task])
        numbers = flat(rounded)
        round_rows(kernel, turned, k, channel, count, numbers, check)
        find_numbers(kernel.shape, turned, taps, columns, first, channel, places)
        for t in range(T):
            for pair in range(WORDS):
                at = start + ((task * T + t) * 2 * WORDS + pair) * WORDS
                one, two = (
                    places[t * BLOCK + 2 * pair],
                    places[t * BLOCK + 2 * pair + 1],
                )
                for lane in range(BLOCK):
                    word = np.uint32(0)
                    if one >= 0:
                        word = np.uint32(numbers[one + lane * step])
                    if two >= 0:
                        word |= np.uint32(numbers[two + lane * step]) << np.uint32(16)
                    target[at + lane // WORDS * TILE + lane % WORDS] = word
        keep(rounded)
