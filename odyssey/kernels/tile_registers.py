"""Tiles: registers of 16 rows of 64 bytes, which an instruction multiplies as matrices.

Intel's servers have eight of them for bfloat16, as a part of what Intel calls AMX.  One
instruction multiplies 16 x 32 numbers by 32 x 16 and adds the products to 16 x 16
float32 sums: 16,384 operations in 16 cycles, where float32 vectors manage 64 a cycle.

    dot(tiles, sums, a, b):
        for row: for lane: for pair of numbers:
            sums[row, lane] += a[row, pair, 0] * b[pair, lane, 0]
                             + a[row, pair, 1] * b[pair, lane, 1]

So the numbers that are multiplied and added up lie in *pairs*: in ``a`` side by side in
a row, as they lie in memory anyway; in ``b`` too, so that a row of b holds two rows of
the matrix, their numbers in turn.  Memory is counted in *words* of 32 bits here, a pair
of bfloat16 or a float32, and arrays of words are float32, whatever they hold.

Tiles and their configuration belong to a thread: `configure` stands at the beginning of
what it does in parallel, `release` at the end.  `registers` makes the argument
``tiles``, a row a thread.  There are two kinds, and a kernel is compiled for each:

- bytes, from which the processor's own registers are configured;
- words, an array that stands for the registers where the processor has none.  Then the
  functions below are what is compiled.  They do the same sums in the same order, as
  Intel's manual defines them, so that all kernels can be tested on every processor.

TDPBF16PS, as `dot` is called there, sums the first numbers of all pairs by fused
multiplications, the second numbers too, adds the one to the other, and that to
``sums``.  It rounds to nearest even, takes numbers below 2^-126 (denormal ones) as
zero, and makes such results zero of the same sign.  So bfloat16 numbers that are that
small count as zero on tiles.  In one thing the array may differ: a result just below
2^-126 that rounds up to it is kept here.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.typing import signature
from numba.extending import register_jitable

from odyssey.kernels.simd import INT64, Memory, declare, register

#: How many tiles there are, rows of a tile, and words of a row.
TILES, ROWS, WORDS = 8, 16, 16
#: Words of a tile.
TILE = ROWS * WORDS
#: The smallest float32 that is not denormal.
SMALLEST = np.float32(2.0**-126)

INT8 = ir.IntType(8)


def registers(threads: int, real: bool) -> np.ndarray:
    """Return what stands for the tiles of so many threads, a row each.

    Parameters
    ----------
    real : bool
        True for the processor's own: it must have them (``processor.has_amx``).
    """
    if not real:
        return np.zeros((threads, TILES * TILE), np.float32)
    layout = np.zeros((threads, 64), np.uint8)
    layout[:, 0] = 1  # "palette" 1: eight tiles
    layout[:, 16:32:2] = 4 * WORDS  # bytes of a row, two bytes a tile
    layout[:, 48:56] = ROWS
    return layout


# --- what the instructions do --------------------------------------------------------


def configure(tiles: np.ndarray) -> None:
    """Take the tiles of this thread into use, all of them zero."""
    for word in range(TILES * TILE):
        tiles[word] = 0


def release(tiles: np.ndarray) -> None:
    """Give the tiles of this thread back."""
    for word in range(TILES * TILE):
        tiles[word] = 0


def zero(tiles: np.ndarray, tile: int) -> None:
    """Fill a tile with zeros."""
    for word in range(TILE):
        tiles[tile * TILE + word] = 0


def load_tile(
    tiles: np.ndarray, tile: int, words: np.ndarray, at: int, row: int
) -> None:
    """Read a tile from memory: from ``at`` on, ``row`` words from row to row."""
    for i in range(ROWS):
        for j in range(WORDS):
            tiles[tile * TILE + i * WORDS + j] = words[at + i * row + j]


def store_tile(
    tiles: np.ndarray, tile: int, words: np.ndarray, at: int, row: int
) -> None:
    """Write a tile to memory: from ``at`` on, ``row`` words from row to row."""
    for i in range(ROWS):
        for j in range(WORDS):
            words[at + i * row + j] = tiles[tile * TILE + i * WORDS + j]


def dot(tiles: np.ndarray, sums: int, a: int, b: int) -> None:
    """Add the product of two tiles of bfloat16 to a tile of float32 sums."""
    first, second = np.zeros(WORDS, np.float32), np.zeros(WORDS, np.float32)
    for i in range(ROWS):
        first[:], second[:] = 0, 0
        for k in range(WORDS):
            pair = tiles[a * TILE + i * WORDS + k]
            for j in range(WORDS):
                other = tiles[b * TILE + k * WORDS + j]
                first[j] = flushed(multiply_add(lower(pair), lower(other), first[j]))
                second[j] = flushed(multiply_add(upper(pair), upper(other), second[j]))
        for j in range(WORDS):
            at = sums * TILE + i * WORDS + j
            total = flushed(np.float32(first[j] + second[j]))
            tiles[at] = flushed(np.float32(flushed(tiles[at]) + total))


def flushed(number: np.float32) -> np.float32:
    """Return zero of the same sign in place of a denormal number."""
    if abs(number) < SMALLEST:
        sign = np.float32(number).view(np.uint32) & np.uint32(0x80000000)
        return np.uint32(sign).view(np.float32)
    return number


def lower(pair: np.float32) -> np.float32:
    """Return the first bfloat16 of a word, zero in place of a denormal one."""
    bits = np.float32(pair).view(np.uint32) << np.uint32(16)
    return flushed(np.uint32(bits).view(np.float32))


def upper(pair: np.float32) -> np.float32:
    """Return the second bfloat16 of a word, zero in place of a denormal one."""
    bits = np.float32(pair).view(np.uint32) & np.uint32(0xFFFF0000)
    return flushed(np.uint32(bits).view(np.float32))


def multiply_add(a: np.float32, b: np.float32, c: np.float32) -> np.float32:
    """Return a * b + c, rounded once; a and b are bfloat16."""
    # The product is exact in float64: 16 digits of 53.  If the sum is not, the smaller
    # number lies 29 digits or more below the larger one, which has 24: too far away to
    # bring the sum near the middle of two float32, where rounding twice would be wrong.
    return np.float32(float(a) * float(b) + float(c))


# --- and the code that they are compiled to ------------------------------------------


def _lower_instruction(function: Callable, name: str) -> Callable:
    """Return what emits an instruction: tile numbers, and an address and a step."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if sig.args[0].dtype != types.uint8:
            kinds = [types.unliteral(kind) for kind in sig.args]  # one for all tiles
            any_tile = signature(sig.return_type, *kinds)
            return context.compile_internal(builder, function, any_tile, args)
        values = [
            ir.Constant(INT8, kind.literal_value)
            for kind in sig.args
            if isinstance(kind, types.IntegerLiteral)
        ]
        if function is configure:
            values.append(args[0])
        if function in (load_tile, store_tile):
            at, row = (
                context.cast(builder, value, kind, types.intp)
                for value, kind in zip(args[3:], sig.args[3:], strict=True)
            )
            place = builder.gep(args[2], [at])
            values = [values[0], builder.bitcast(place, INT8.as_pointer())]
            values.append(builder.mul(row, ir.Constant(INT64, 4)))  # bytes
        kinds = [value.type for value in values]
        builder.call(declare(builder, name, ir.VoidType(), kinds), values)
        return context.get_dummy_value()

    return lower


def _is_literal(*numbers: Any) -> bool:
    """Tell whether these are known when the kernel is compiled: tiles have to be."""
    return all(isinstance(number, types.IntegerLiteral) for number in numbers)


def _type_whole(tiles: Any) -> Any:
    return types.none if isinstance(tiles, Memory) else None


def _type_tile(tiles: Any, tile: Any) -> Any:
    return types.none if isinstance(tiles, Memory) and _is_literal(tile) else None


def _type_memory(tiles: Any, tile: Any, words: Any, at: Any, row: Any) -> Any:
    return _type_tile(tiles, tile) if isinstance(words, Memory) else None


def _type_dot(tiles: Any, sums: Any, a: Any, b: Any) -> Any:
    return _type_tile(tiles, sums) if _is_literal(a, b) else None


_whole, _tile = (Memory,), (Memory, types.Integer)
_memory = (*_tile, Memory, types.Integer, types.Integer)
for _function, _typer, _name, _kinds in (
    (configure, _type_whole, "ldtilecfg", _whole),
    (release, _type_whole, "tilerelease", _whole),
    (zero, _type_tile, "tilezero", _tile),
    (load_tile, _type_memory, "tileloadd64", _memory),
    (store_tile, _type_memory, "tilestored64", _memory),
    (dot, _type_dot, "tdpbf16ps", (*_tile, types.Integer, types.Integer)),
):
    register(
        _function, _typer, _lower_instruction(_function, f"llvm.x86.{_name}"), *_kinds
    )


def _type_multiply_add(a: Any, b: Any, c: Any) -> Any:
    return types.float32 if a == b == c == types.float32 else None


def _lower_multiply_add(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    kind = ir.FloatType()
    return builder.call(declare(builder, "llvm.fma.f32", kind, [kind] * 3), args)


register(multiply_add, _type_multiply_add, _lower_multiply_add, *(types.Float,) * 3)

# helpers of the instructions, where they are compiled
for _helper in (flushed, lower, upper):
    register_jitable(_helper)
