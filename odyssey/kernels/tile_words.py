"""Words of two bfloat16: made, copied and transposed, whole vectors at a time.

As in `simd.py`, the Python bodies say what is done, and what is registered below them
is what Numba emits.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from odyssey.kernels import simd
from odyssey.kernels.simd import INT16, INT32, Memory, Vector, register
from odyssey.kernels.tile_registers import TILE, WORDS

#: bfloat16 numbers of a tile's row; results, and channels, that are taken together.
BLOCK = 32


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
