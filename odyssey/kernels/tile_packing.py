"""Pixels and kernels on their way to tiles: convolution as products of 16 x 32 numbers.

A tile's rows are read from memory at a constant distance.  So the question is what lies
in memory beside what, and every convolution here copies its pixels into an order that
answers it, a *piece* (some lines of some images) at a time, in the core's own cache:

    packed[line, column, image, channel]

The images stand beside the columns.  So rows of a tile are 16 in a row of (column,
image), however narrow an image is; a tap (r, s) of the kernel is another place to
begin, at the same distance; and a tile that holds one column of many images can leave
out taps beside the image, which of 4 x 4 pixels are 31 % of all.  Were the images copied
one by one with a border of zeros, those 31 % would be multiplied, and 16 rows of a tile
would cover a line of 4 pixels by a quarter.  The copy is as large either way.

With a ``step`` of 2 from window to window, columns (and lines) are sorted by their
remainder, so that those that one tap sees lie side by side again:

    packed[remainder u, line i, remainder v, column j, image, channel]
        is pixel ((i + first line) * step + top + u, j * step + left + v)

    tap (r, s) of (p, q) is at u = r % step, i = p - first line + r // step,
                               v = s % step, j = q + s // step

Columns beside the image are zeros.  Lines above and below are not there: no tap is
taken of them.  Few channels would leave most of a tile's 32 numbers empty; then the
taps of a row, which lie side by side in x, are packed as if they were one pixel's
channels (`Windows.numbers`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import prange, types

from odyssey.kernels import simd
from odyssey.kernels.jit import parallel, serial
from odyssey.kernels.simd import (
    INT16,
    INT32,
    Memory,
    Vector,
    flat,
    keep,
    load,
    load_part,
    register,
    store,
    store_part,
    width,
)
from odyssey.kernels.tile_registers import TILE, WORDS

#: bfloat16 numbers of a tile's row; results, and channels, that are taken together.
BLOCK = 32


class Windows(NamedTuple):
    """Which pixels of x a result's pixel (p, q) sees, by taps (r, s), R x S.

    Tap (r, s) is at line p*step + top + r and column q*step + left + s.
    """

    step: int
    top: int
    left: int
    R: int
    S: int  # 1 if the taps of a row are taken as one
    U: int  # remainders of lines that a tap sees: min(step, R)
    V: int  # and of columns
    lines: int  # packed lines of each remainder
    columns: int  # packed columns of each
    numbers: int  # that a tap reads: channels, or those of a row of taps


class Piece(NamedTuple):
    """What is packed at a time: some lines of results, in some images."""

    first: int  # image
    images: int
    line: int  # the first, of the results
    lines: int


# --- vectors of bfloat16, as they are ------------------------------------------------


def copy_part(
    source: np.ndarray, at: int, count: int, target: np.ndarray, to: int
) -> None:
    """Write 32 bfloat16: the first ``count`` are copied, the others 0."""
    lanes = min(max(count, 0), BLOCK)
    target[to : to + BLOCK] = 0
    if lanes:
        target[to : to + lanes] = source[at : at + lanes]


def pair(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return words that hold the bfloat16 of ``a`` and those of ``b``.

    Both are vectors as `simd.load` returns them from bfloat16, so of float32 that have
    zeros in their lower halves.
    """
    return (a.view(np.uint32) >> 16 | b.view(np.uint32)).view(np.float32)


def transpose(source: np.ndarray, at: int, target: np.ndarray, to: int) -> None:
    """Write a tile's words with rows and columns exchanged."""
    rows = source[at : at + TILE].reshape(WORDS, WORDS)
    target[to : to + TILE] = rows.T.reshape(-1)


def _type_copy_part(source: Any, at: Any, count: Any, target: Any, to: Any) -> Any:
    return types.none if isinstance(source, Memory) else None


def _lower_copy_part(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    source, at, count, target, to = args
    vector = ir.VectorType(INT16, BLOCK)
    count = context.cast(builder, count, sig.args[2], types.intp)
    place, there = (
        builder.bitcast(
            builder.gep(memory, [context.cast(builder, index, kind, types.intp)]),
            vector.as_pointer(),
        )
        for memory, index, kind in (
            (source, at, sig.args[1]),
            (target, to, sig.args[4]),
        )
    )
    loaded = simd.emit_load_part(context, builder, place, vector, count)
    builder.store(loaded, there).align = 2
    return context.get_dummy_value()


def _type_pair(a: Any, b: Any) -> Any:
    return a if isinstance(a, Vector) and a == b else None


def _lower_pair(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    numbers = ir.VectorType(INT32, sig.return_type.lanes)
    first, second = (builder.bitcast(vector, numbers) for vector in args)
    first = builder.lshr(first, ir.Constant(numbers, [16] * numbers.count))
    return builder.bitcast(builder.or_(first, second), args[0].type)


def _type_transpose(source: Any, at: Any, target: Any, to: Any) -> Any:
    return types.none if isinstance(source, Memory) else None


def _lower_transpose(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    """Exchange in four rounds: words 1, 2, 4 and 8 apart, of rows as far apart."""
    source, at, target, to = args
    vector = ir.VectorType(INT32, WORDS)
    start, end = (
        builder.gep(memory, [context.cast(builder, index, kind, types.intp)])
        for memory, index, kind in (
            (source, at, sig.args[1]),
            (target, to, sig.args[3]),
        )
    )

    def row(pointer: Any, i: int) -> Any:
        place = builder.gep(pointer, [ir.Constant(INT32, i * WORDS)])
        return builder.bitcast(place, vector.as_pointer())

    rows = []
    for i in range(WORDS):
        rows.append(builder.load(row(start, i)))
        rows[-1].align = 4
    for apart in (1, 2, 4, 8):
        lanes = range(WORDS)
        upper = [j if not j & apart else WORDS + j - apart for j in lanes]
        lower = [j + apart if not j & apart else WORDS + j for j in lanes]
        exchanged = list(rows)
        for i in range(WORDS):
            if not i & apart:
                for to_row, chosen in ((i, upper), (i + apart, lower)):
                    mask = ir.Constant(vector, chosen)
                    both = rows[i], rows[i + apart]
                    exchanged[to_row] = builder.shuffle_vector(*both, mask)
        rows = exchanged
    for i in range(WORDS):
        builder.store(rows[i], row(end, i)).align = 4
    return context.get_dummy_value()


_lowered: tuple[tuple[Callable, Callable, Callable, tuple], ...] = (
    (
        copy_part,
        _type_copy_part,
        _lower_copy_part,
        (Memory, types.Integer, types.Integer, Memory, types.Integer),
    ),
    (pair, _type_pair, _lower_pair, (Vector, Vector)),
    (
        transpose,
        _type_transpose,
        _lower_transpose,
        (Memory, types.Integer, Memory, types.Integer),
    ),
)
for _function, _typer, _lower, _kinds in _lowered:
    register(_function, _typer, _lower, *_kinds)


# --- kernels -------------------------------------------------------------------------


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


# --- pixels --------------------------------------------------------------------------


@serial
def copy_window(source, line, length, begin, count, target, to):
    """Copy numbers of a line, from ``begin`` on: ``count``, and zeros to whole blocks.

    The line has ``length`` numbers from ``line`` on; beside it there are zeros.
    """
    if begin >= 0 and begin + count <= length:
        for i in range(0, count, BLOCK):
            copy_part(source, line + begin + i, count - i, target, to + i)
    elif begin + count <= 0 or begin >= length:
        for i in range(0, count, BLOCK):
            copy_part(source, line, 0, target, to + i)
    else:
        for i in range((count + BLOCK - 1) // BLOCK * BLOCK):
            at = begin + i
            inside = 0 <= at < length and i < count
            target[to + i] = source[line + at] if inside else np.uint16(0)


@serial
def pack_pixels(x, windows, piece, packed, row):
    """Copy what the results of a piece see: ``row`` bfloat16 for each pixel.

    for image n: for remainder u: for line i: for remainder v: for column j:
        packed[u, i, v, j, n] = x[n, line of (u, i), column of (v, j)]
    """
    H, W, C = x.shape[1:]
    source, length = flat(x), W * C
    for n in range(piece.images):
        for u in range(windows.U):
            for i in range(piece.lines + (windows.R - 1) // windows.step):
                h = (piece.line + i) * windows.step + windows.top + u
                if h < 0 or h >= H:
                    continue
                line = ((piece.first + n) * H + h) * length
                to = (u * windows.lines + i) * windows.V * windows.columns
                for v in range(windows.V):
                    for j in range(windows.columns):
                        begin = (j * windows.step + windows.left + v) * C
                        at = (to + v * windows.columns + j) * piece.images + n
                        count = windows.numbers
                        copy_window(
                            source, line, length, begin, count, packed, at * row
                        )
