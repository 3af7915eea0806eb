"""Squares of numbers, transposed in registers.

A square has as many rows as a vector has lanes.  Each step takes vectors i and i + W/2
and lays their numbers side by side in turn, in vectors 2*i and 2*i + 1.  In binary, the
number of a vector and that of a lane, one behind the other, are turned left by one
digit so.  After log2(W) steps the two have changed places: what was lane j of vector i
is lane i of vector j.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from odyssey.kernels import simd
from odyssey.kernels.simd import INT32, INT64, Memory


def transpose(
    source: np.ndarray, at: int, step: int, target: np.ndarray, to: int, row: int
) -> None:
    """Write W rows of W numbers as W columns, where a vector has W lanes.

    for i: for j: target[to + j*row + i] = source[at + i*step + j]
    """
    rows = [simd.load(source, at + i * step) for i in range(simd.width(source))]
    for j, column in enumerate(np.stack(rows, axis=1)):
        simd.store(target, to + j * row, column)


def _type_transpose(
    source: Any, at: Any, step: Any, target: Any, to: Any, row: Any
) -> Any:
    vector = simd.vector_of(source)
    return types.none if vector and vector == simd.vector_of(target) else None


def _lower_transpose(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    source, at, step, target, to, row = args
    from_kind, at_kind, step_kind, to_kind, place_kind, row_kind = sig.args
    at, step, to, row = (
        context.cast(builder, number, kind, types.intp)
        for number, kind in (
            (at, at_kind),
            (step, step_kind),
            (to, place_kind),
            (row, row_kind),
        )
    )
    vector, vectors = simd.vector_of(from_kind), []
    assert vector is not None
    lanes = vector.lanes
    for i in range(lanes):
        place = builder.add(at, builder.mul(step, ir.Constant(INT64, i)))
        kinds = from_kind, types.intp
        vectors.append(simd.emit_load(context, builder, kinds, (source, place), lanes))
    for _ in range(lanes.bit_length() - 1):
        vectors = _side_by_side(builder, vectors)
    for j, vector in enumerate(vectors):
        place = builder.add(to, builder.mul(row, ir.Constant(INT64, j)))
        simd.emit_store(
            context, builder, (to_kind, types.intp), (target, place), vector
        )
    return context.get_dummy_value()


def _side_by_side(builder: Any, vectors: list[Any]) -> list[Any]:
    """Return vectors with the numbers of i and i + W/2 in turn, in 2*i and 2*i + 1."""
    half = len(vectors) // 2
    order = [lane for pair in range(2 * half) for lane in (pair, pair + 2 * half)]
    lower, upper = (
        ir.Constant(ir.VectorType(INT32, 2 * half), part)
        for part in (order[: 2 * half], order[2 * half :])
    )
    return [
        builder.shuffle_vector(a, b, mask)
        for a, b in zip(vectors[:half], vectors[half:], strict=True)
        for mask in (lower, upper)
    ]


simd.register(
    transpose,
    _type_transpose,
    _lower_transpose,
    *(Memory, types.Integer, types.Integer) * 2,
)
