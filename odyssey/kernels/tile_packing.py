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
from odyssey.kernels.simd import INT16, INT32, Memory, Vector, flat, register
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
def rounded(bits):
    """Return the bfloat16 nearest to a float32, both as bits; ties go to even."""
    if bits & np.uint32(0x7FFFFFFF) > np.uint32(0x7F800000):  # NaN
        return np.uint16(bits >> np.uint32(16) & np.uint32(0x8000) | np.uint32(0x7FC0))
    last = bits >> np.uint32(16) & np.uint32(1)
    return np.uint16((np.uint64(bits) + last + np.uint64(0x7FFF)) >> np.uint64(16))


@parallel
def kernel_to_tiles(kernel, turned, taps, columns, start, matrix, largest):
    """Lay a float32 kernel (K, C, R, S) out as tiles of bfloat16, the second factor.

    for block of 32 results, for block of 32 numbers, in parallel: for tap t at (r, s):
        for pair of numbers: for result k:
            matrix[k block, c block, t, k // 16, pair, k % 16] =
                kernel[k, 2*pair, r, s], kernel[k, 2*pair + 1, r, s]

    ``taps`` (T, 2) lists r and s.  So many ``columns`` of them are taken as one tap, of
    which a number is a channel of one of them.  ``turned`` exchanges the roles of K and
    C.  ``matrix`` holds words, and is written from ``start`` on.  ``largest``, a number
    a block, becomes the largest absolute value's bits: 0x7F80 is Inf.

    Optimizations: the tiles of a block lie in the order in which they are multiplied,
    so that the second factor is read from one end to the other.
    """
    outputs, channels = kernel.shape[0], kernel.shape[1]
    if turned:
        outputs, channels = channels, outputs
    numbers, T = columns * channels, len(taps) // columns
    blocks, c_blocks = (outputs + BLOCK - 1) // BLOCK, (numbers + BLOCK - 1) // BLOCK
    bits, target = kernel.view(np.uint32), matrix.view(np.uint16)
    for task in prange(blocks * c_blocks):  # disjoint blocks of matrix
        k_first, c_first = task // c_blocks * BLOCK, task % c_blocks * BLOCK
        begin, most = 2 * start + task * T * 4 * TILE, np.uint16(0)
        for lane in range(BLOCK):
            k = k_first + lane
            for i in range(BLOCK):
                number = c_first + i
                column, c = number // channels, number % channels
                at = (
                    begin
                    + lane // 16 * 2 * TILE
                    + i // 2 * BLOCK
                    + lane % 16 * 2
                    + i % 2
                )
                for t in range(T):
                    value = np.uint16(0)
                    if k < outputs and number < numbers:
                        r, s = taps[t * columns + column]
                        if turned:
                            value = rounded(bits[c, k, r, s])
                        else:
                            value = rounded(bits[k, c, r, s])
                        most = max(most, np.uint16(value & np.uint16(0x7FFF)))
                    target[at + t * 4 * TILE] = value
        largest[task] = most


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
