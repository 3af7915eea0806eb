"""Vectors of several numbers, one to a lane, that an instruction works on at once.

LLVM turns simple loops into such instructions by itself, but on Intel's servers only at
half of the registers' width.  Kernels that use the functions here get the full width on
every processor: 16 float32 in a register of AVX-512, 8 with AVX2, 4 elsewhere.  The
width is chosen once, from the features that Numba compiles for.

Each function stands here twice.  The Python body says what it does, on NumPy arrays,
and serves where NUMBA_DISABLE_JIT is set; what is registered below it tells Numba which
instructions to emit.  ``+``, ``-``, ``*`` and ``/`` work on vectors, and on a vector
and a number; a product and a sum are rounded together only where ``fma`` says so.

Arrays of uint16 hold bfloat16 numbers, the upper halves of float32: they are widened
when they are loaded, and rounded to nearest even when they are stored.  So vectors of
them are float32, and a kernel written for float32 serves them as it is.  A NaN becomes
the quiet NaN of its sign.  Float64 vectors are rounded to float32 before.

Arrays are contiguous, and ``at`` counts elements from an array's first.
"""

import itertools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing import signature
from numba.extending import lower_builtin, models, register_model, type_callable

from odyssey.processor import vector_bytes

#: Bytes of a vector.
BYTES = vector_bytes()
#: float32 lanes of a vector, as many as bfloat16 numbers are loaded at once.
LANES = BYTES // 4

INT16, INT32, INT64 = (ir.IntType(bits) for bits in (16, 32, 64))


class Vector(types.Type):
    """Numba's type of a vector: so many ``lanes`` of float32 or float64."""

    def __init__(self, dtype: types.Float, lanes: int) -> None:
        self.dtype, self.lanes = dtype, lanes
        super().__init__(name=f"Vector({dtype} x {lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, llvm_type(kind))


def llvm_type(kind: Vector) -> ir.VectorType:
    """Return LLVM's type of such a vector."""
    number = ir.FloatType() if kind.dtype == types.float32 else ir.DoubleType()
    return ir.VectorType(number, kind.lanes)


class Memory(types.Type):
    """Numba's type of the numbers of an array, by their address alone."""

    def __init__(self, dtype: types.Type) -> None:
        self.dtype = dtype
        super().__init__(name=f"Memory({dtype})")


@register_model(Memory)
class _MemoryModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Memory) -> None:
        number = manager.lookup(kind.dtype).get_data_type()
        super().__init__(manager, kind, number.as_pointer())


def vector_of(array: Any) -> Vector | None:
    """Return the type of the vectors that an array of this type holds."""
    if isinstance(array, Memory) or (
        isinstance(array, types.Array) and array.layout == "C"
    ):
        if array.dtype in (types.float32, types.uint16):
            return Vector(types.float32, LANES)
        if array.dtype == types.float64:
            return Vector(types.float64, LANES // 2)
    return None


def register(function: Callable, typer: Callable, lower: Callable, *kinds: Any) -> None:
    """Tell Numba the result's type of ``function``, and the code it is compiled to."""
    type_callable(function)(lambda context: typer)
    lower_builtin(function, *kinds)(lower)


# --- how wide ------------------------------------------------------------------------


def width(array: np.ndarray) -> int:
    """Return how many elements of ``array`` a vector has."""
    return LANES // 2 if array.dtype == np.float64 else LANES


def _type_width(array: Any) -> Any:
    return types.intp if vector_of(array) else None


def _lower_width(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    vector = vector_of(sig.args[0])
    assert vector is not None
    return context.get_constant(types.intp, vector.lanes)


for _kind in (types.Array, Memory):
    register(width, _type_width, _lower_width, _kind)


# --- memory --------------------------------------------------------------------------


def flat(array: np.ndarray) -> np.ndarray:
    """Return the elements of a contiguous array, for the functions below.

    An array that is handed on within kernels is counted, and in the innermost loops
    that costs more than they do; this is its address.  So the array must live on: see
    `keep`.
    """
    return array.reshape(-1)


def _type_flat(array: Any) -> Any:
    if isinstance(array, types.Array) and array.layout == "C":
        return Memory(array.dtype)
    return None


def _lower_flat(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return context.make_array(sig.args[0])(context, builder, args[0]).data


register(flat, _type_flat, _lower_flat, types.Array)


def keep(array: np.ndarray) -> None:
    """Do nothing, but let ``array`` live until here.

    Numba frees an array after its last use, and ``flat`` may be that, though the
    address is used long after it: an array made in a kernel is kept behind its loops.
    """


def _lower_keep(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return context.get_dummy_value()


register(keep, lambda array: types.none, _lower_keep, types.Array)


def _type_element(memory: Any, at: Any) -> Any:
    if isinstance(memory, Memory) and isinstance(at, types.Integer):
        return memory.dtype
    return None


def _lower_element(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    at = context.cast(builder, args[1], sig.args[1], types.intp)
    place = builder.gep(args[0], [at])
    return context.unpack_value(builder, sig.return_type, place)


type_callable(operator.getitem)(lambda context: _type_element)
lower_builtin(operator.getitem, Memory, types.Integer)(_lower_element)


def _type_set_element(memory: Any, at: Any, value: Any) -> Any:
    if isinstance(memory, Memory) and isinstance(at, types.Integer):
        return signature(types.none, memory, at, memory.dtype)
    return None


def _lower_set_element(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    at = context.cast(builder, args[1], sig.args[1], types.intp)
    place = builder.gep(args[0], [at])
    context.pack_value(builder, sig.args[2], args[2], place)
    return context.get_dummy_value()


type_callable(operator.setitem)(lambda context: _type_set_element)
lower_builtin(operator.setitem, Memory, types.Integer, types.Any)(_lower_set_element)


def load(array: np.ndarray, at: int) -> np.ndarray:
    """Return the vector of ``array`` that begins at ``at``."""
    lanes = array.reshape(-1)[at : at + width(array)]
    return _widened(lanes) if array.dtype == np.uint16 else lanes.copy()


def load_part(array: np.ndarray, at: int, count: int) -> np.ndarray:
    """Return a vector of which the first ``count`` lanes are loaded, the others 0.

    No lane is loaded if ``count`` is 0 or less, and then ``at`` may lie anywhere.
    """
    lanes = min(max(count, 0), width(array))
    part = array.reshape(-1)[at : at + lanes] if lanes else array.reshape(-1)[:0]
    whole = np.zeros(width(array), array.dtype)
    whole[:lanes] = part
    return load(whole, 0)


def load_if(there: bool, array: np.ndarray, at: int, count: int) -> np.ndarray:
    """Return ``load_part(array, at, count)`` if ``there``, and otherwise zeros."""
    return load_part(array, at, count if there else 0)


def load_beyond(array: np.ndarray, at: int, count: int) -> np.ndarray:
    """Return ``load_part(array, at, count)``, or zeros if ``at`` is beyond the array.

    Beyond it no question is asked: it is loaded from there.  So zeros must lie where it
    points to, `distance` away.
    """
    return load_part(array, at, count if 0 <= at < array.size else 0)


def load_wide(sums: np.ndarray, at: int, array: np.ndarray) -> np.ndarray:
    """Return as many float64 as ``array`` has numbers in a vector."""
    return sums.reshape(-1)[at : at + width(array)].copy()


def store(array: np.ndarray, at: int, vector: np.ndarray) -> None:
    """Write a vector to ``array``, from ``at`` on."""
    store_part(array, at, vector, len(vector))


def prefetch(array: np.ndarray, at: int) -> None:
    """Ask for the line of memory of an element, which may lie outside the array."""


def _type_prefetch(array: Any, at: Any) -> Any:
    return types.none if isinstance(array, Memory) else None


def _lower_prefetch(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    at = context.cast(builder, args[1], sig.args[1], types.intp)
    place = builder.bitcast(builder.gep(args[0], [at]), ir.IntType(8).as_pointer())
    kinds = [place.type, INT32, INT32, INT32]
    function = declare(builder, "llvm.prefetch.p0", ir.VoidType(), kinds)
    to_read, to_keep, data = (ir.Constant(INT32, n) for n in (0, 3, 1))
    builder.call(function, [place, to_read, to_keep, data])
    return context.get_dummy_value()


register(prefetch, _type_prefetch, _lower_prefetch, Memory, types.Integer)


def stream(array: np.ndarray, at: int, vector: np.ndarray) -> None:
    """Write a vector past the caches, to a place that is a multiple of a vector's."""
    store(array, at, vector)


def store_part(array: np.ndarray, at: int, vector: np.ndarray, count: int) -> None:
    """Write the first ``count`` lanes of a vector to ``array``, from ``at`` on."""
    lanes = min(max(count, 0), len(vector))
    values = _narrowed(vector) if array.dtype == np.uint16 else vector
    array.reshape(-1)[at : at + lanes] = values[:lanes]


def _widened(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _narrowed(vector: np.ndarray) -> np.ndarray:
    bits = np.ascontiguousarray(vector, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return np.where(np.isnan(vector), bits >> 16 & 0x8000 | 0x7FC0, rounded).astype(
        np.uint16
    )


def _type_load(array: Any, at: Any, count: Any = types.intp) -> Any:
    return vector_of(array)


def _type_load_if(there: Any, array: Any, at: Any, count: Any) -> Any:
    return vector_of(array)


def _type_load_wide(sums: Any, at: Any, array: Any) -> Any:
    vector = vector_of(array)
    return vector and Vector(types.float64, vector.lanes)


def _type_store(array: Any, at: Any, vector: Any, count: Any = types.intp) -> Any:
    return types.none if isinstance(vector, Vector) else None


def _lower_load(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return emit_load(context, builder, sig.args, args, sig.return_type.lanes)


def emit_load(context: Any, builder: Any, kinds: Any, args: Any, lanes: int) -> Any:
    """Return so many lanes of an array from an element on: ``args``, of ``kinds``."""
    pointer, memory = _place(context, builder, kinds, args, lanes)
    loaded = builder.load(pointer)
    loaded.align = memory.element.get_abi_size(context.target_data)
    return _widen(builder, loaded)


def _lower_load_part(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    lanes = sig.return_type.lanes
    pointer, memory = _place(context, builder, sig.args, args, lanes)
    count = context.cast(builder, args[2], sig.args[2], types.intp)
    return _widen(builder, emit_load_part(context, builder, pointer, memory, count))


def _lower_load_if(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    # no branch, which would often be guessed wrong: zeros are read from elsewhere
    lanes = sig.return_type.lanes
    pointer, memory = _place(context, builder, sig.args[1:], args[1:], lanes)
    count = context.cast(builder, args[3], sig.args[3], types.intp)
    zeros = cgutils.global_constant(builder, "zeros", ir.Constant(memory, None))
    pointer = builder.select(args[0], pointer, zeros)
    return _widen(builder, emit_load_part(context, builder, pointer, memory, count))


def emit_load_part(
    context: Any, builder: Any, pointer: Any, memory: Any, count: Any
) -> Any:
    """Return the first ``count`` lanes at an address, as they are, the others 0."""
    zero = ir.Constant(memory, None)
    with builder.if_else(_is_whole(builder, count, memory), likely=True) as (
        whole,
        part,
    ):
        with whole:
            plain = builder.load(pointer)
            plain.align = memory.element.get_abi_size(context.target_data)
            plain_block = builder.block
        with part:
            name = f"llvm.masked.load.{_suffix(memory)}.p0"
            mask = _mask(builder, count, memory.count)
            kinds = [pointer.type, INT32, mask.type, memory]
            align = ir.Constant(INT32, plain.align)
            function = declare(builder, name, memory, kinds)
            masked = builder.call(function, [pointer, align, mask, zero])
            part_block = builder.block
    loaded = builder.phi(memory)
    loaded.add_incoming(plain, plain_block)
    loaded.add_incoming(masked, part_block)
    return loaded


def emit_store(context: Any, builder: Any, kinds: Any, args: Any, vector: Any) -> Any:
    """Return the instruction that stores a vector, at a multiple of its elements."""
    pointer, memory = _place(context, builder, kinds, args, vector.type.count)
    stored = builder.store(_narrow(builder, vector, memory), pointer)
    stored.align = memory.element.get_abi_size(context.target_data)
    return stored


def _lower_store(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    emit_store(context, builder, sig.args, args, args[2])
    return context.get_dummy_value()


def _lower_stream(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    stored = emit_store(context, builder, sig.args, args, args[2])
    stored.align *= sig.args[2].lanes
    mark = builder.module.add_metadata([ir.Constant(INT32, 1)])
    stored.set_metadata("nontemporal", mark)
    return context.get_dummy_value()


def _lower_store_part(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    lanes = sig.args[2].lanes
    pointer, memory = _place(context, builder, sig.args, args, lanes)
    value = _narrow(builder, args[2], memory)
    count = context.cast(builder, args[3], sig.args[3], types.intp)
    align = memory.element.get_abi_size(context.target_data)
    with builder.if_else(_is_whole(builder, count, memory), likely=True) as (
        whole,
        part,
    ):
        with whole:
            builder.store(value, pointer).align = align
        with part:
            name = f"llvm.masked.store.{_suffix(memory)}.p0"
            mask = _mask(builder, count, memory.count)
            kinds = [memory, pointer.type, INT32, mask.type]
            function = declare(builder, name, ir.VoidType(), kinds)
            builder.call(function, [value, pointer, ir.Constant(INT32, align), mask])
    return context.get_dummy_value()


def _place(
    context: Any, builder: Any, kinds: Any, args: Any, lanes: int
) -> tuple[Any, Any]:
    """Return the address of an array's element, as one of a vector, and that type."""
    kind = kinds[0]
    memory = ir.VectorType(context.get_data_type(kind.dtype), lanes)
    if isinstance(kind, Memory):
        data = args[0]
    else:
        data = context.make_array(kind)(context, builder, args[0]).data
    at = context.cast(builder, args[1], kinds[1], types.intp)
    return builder.bitcast(builder.gep(data, [at]), memory.as_pointer()), memory


def _is_whole(builder: Any, count: Any, memory: Any) -> Any:
    return builder.icmp_signed(">=", count, ir.Constant(count.type, memory.count))


def _mask(builder: Any, count: Any, lanes: int) -> Any:
    """Return a vector of booleans, of which the first ``count`` are true."""
    numbers = ir.VectorType(count.type, lanes)
    steps = ir.Constant(numbers, list(range(lanes)))
    return builder.icmp_signed("<", steps, splat(builder, count, lanes))


def splat(builder: Any, number: Any, lanes: int) -> Any:
    """Return a vector that has ``number`` in all lanes."""
    empty = ir.Constant(ir.VectorType(number.type, lanes), ir.Undefined)
    first = builder.insert_element(empty, number, ir.Constant(INT32, 0))
    zeros = ir.Constant(ir.VectorType(INT32, lanes), [0] * lanes)
    return builder.shuffle_vector(first, empty, zeros)


def _suffix(kind: Any) -> str:
    """Return what LLVM appends to the name of an instruction for this type."""
    letters = {ir.FloatType(): "f32", ir.DoubleType(): "f64"}
    if isinstance(kind, ir.VectorType):
        return f"v{kind.count}{letters.get(kind.element, kind.element)}"
    return letters[kind]


def declare(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    """Return the LLVM function of this name, declared at its first use in a module."""
    function = builder.module.globals.get(name)
    return function or ir.Function(
        builder.module, ir.FunctionType(result, arguments), name
    )


def _widen(builder: Any, vector: Any) -> Any:
    """Return the float32 of which ``vector`` holds the upper halves, if it does."""
    if vector.type.element != INT16:
        return vector
    wide = ir.VectorType(INT32, vector.type.count)
    half = ir.Constant(wide, [16] * wide.count)
    shifted = builder.shl(builder.zext(vector, wide), half)
    return builder.bitcast(shifted, ir.VectorType(ir.FloatType(), wide.count))


def _narrow(builder: Any, vector: Any, memory: Any) -> Any:
    """Return ``vector`` as it is stored: rounded where fewer bits are kept."""
    if memory.element != vector.type.element != ir.FloatType():
        single = ir.VectorType(ir.FloatType(), memory.count)
        vector = builder.fptrunc(vector, single)
    if memory.element != INT16:
        return vector
    wide = ir.VectorType(INT32, memory.count)

    def constant(number: int) -> ir.Constant:
        return ir.Constant(wide, [number] * wide.count)

    bits = builder.bitcast(vector, wide)
    upper = builder.lshr(bits, constant(16))
    last = builder.and_(upper, constant(1))
    rounded = builder.add(bits, builder.add(last, constant(0x7FFF)))
    rounded = builder.lshr(rounded, constant(16))
    sign = builder.and_(upper, constant(0x8000))
    is_nan = builder.fcmp_unordered("uno", vector, vector)
    rounded = builder.select(is_nan, builder.or_(sign, constant(0x7FC0)), rounded)
    return builder.trunc(rounded, memory)


for _kind in (types.Array, Memory):
    _place_kinds = (_kind, types.Integer)
    _part = (*_place_kinds, types.Integer)
    register(load, _type_load, _lower_load, *_place_kinds)
    register(load_part, _type_load, _lower_load_part, *_part)
    register(load_beyond, _type_load, _lower_load_part, *_part)
    register(load_if, _type_load_if, _lower_load_if, types.Boolean, *_part)
    register(load_wide, _type_load_wide, _lower_load, *_place_kinds, Memory)
    register(store, _type_store, _lower_store, *_place_kinds, Vector)
    register(stream, _type_store, _lower_stream, *_place_kinds, Vector)
    register(
        store_part,
        _type_store,
        _lower_store_part,
        *_place_kinds,
        Vector,
        types.Integer,
    )


# --- arithmetic ----------------------------------------------------------------------


def fill(array: np.ndarray, number: float) -> np.ndarray:
    """Return a vector as ``array`` holds them, with ``number`` in every lane."""
    dtype = np.float64 if array.dtype == np.float64 else np.float32
    return np.full(width(array), number, dtype)


def fma(a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c, rounded once where the processor can.

    Each of the three is a vector or a number, and they may all be numbers.
    """
    return a * b + c


def where_positive(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return 0 in the lanes where a <= 0 and b in the others, also where a is NaN."""
    return np.where(a <= 0, b.dtype.type(0), b)


def wide(vector: np.ndarray) -> np.ndarray:
    """Return a vector as float64."""
    return vector.astype(np.float64)


def where_greater(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray
) -> np.ndarray:
    """Return c in the lanes where a > b or a is NaN, and d in the others."""
    return np.where((a > b) | np.isnan(a), c, d)


def where_equal(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray
) -> np.ndarray:
    """Return c in the lanes where a == b or a is NaN, and d in the others."""
    return np.where((a == b) | np.isnan(a), c, d)


def _type_wide(vector: Any) -> Any:
    return Vector(types.float64, vector.lanes) if isinstance(vector, Vector) else None


def _lower_wide(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    if sig.args[0] == sig.return_type:
        return args[0]
    return builder.fpext(args[0], llvm_type(sig.return_type))


def _type_where(a: Any, b: Any, c: Any, d: Any) -> Any:
    return c if isinstance(a, Vector) and a == b and c == d else None


def _lower_where(comparison: str) -> Callable:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        a, b, c, d = args
        holds = builder.fcmp_ordered(comparison, a, b)
        is_nan = builder.fcmp_unordered("uno", a, a)
        return builder.select(builder.or_(holds, is_nan), c, d)

    return lower


def _type_fill(array: Any, number: Any) -> Any:
    return vector_of(array) if isinstance(number, types.Number) else None


def _lower_fill(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    kind = sig.return_type
    number = context.cast(builder, args[1], sig.args[1], kind.dtype)
    return splat(builder, number, kind.lanes)


def _type_both(a: Any, b: Any) -> Any:
    return a if isinstance(a, Vector) and a == b else None


def _lower_where_positive(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    zero = ir.Constant(args[0].type, None)
    is_low = builder.fcmp_ordered("<=", args[0], zero)
    return builder.select(is_low, zero, args[1])


for _kind in (types.Array, Memory):
    register(fill, _type_fill, _lower_fill, _kind, types.Number)
register(wide, _type_wide, _lower_wide, Vector)
register(where_greater, _type_where, _lower_where(">"), *(Vector,) * 4)
register(where_equal, _type_where, _lower_where("=="), *(Vector,) * 4)
register(where_positive, _type_both, _lower_where_positive, Vector, Vector)


def _type_operator(a: Any, b: Any) -> Any:
    if isinstance(a, Vector) and (a == b or isinstance(b, types.Number)):
        return a
    return b if isinstance(b, Vector) and isinstance(a, types.Number) else None


def _lower_operator(method: str) -> Callable:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, method)(*_as_result(context, builder, sig, args))

    return lower


def _as_result(context: Any, builder: Any, sig: Any, args: Any) -> list[Any]:
    """Return the arguments as what the result is: numbers in every lane of a vector."""
    kind, values = sig.return_type, []
    for value, given in zip(args, sig.args, strict=True):
        if isinstance(given, Vector):
            values.append(value)
        elif isinstance(kind, Vector):
            number = context.cast(builder, value, given, kind.dtype)
            values.append(splat(builder, number, kind.lanes))
        else:
            values.append(context.cast(builder, value, given, kind))
    return values


def _type_fma(a: Any, b: Any, c: Any) -> Any:
    kinds = a, b, c
    vectors = [kind for kind in kinds if isinstance(kind, Vector)]
    if vectors:
        return vectors[0] if len(set(vectors)) == 1 else None
    if all(kind == types.float32 for kind in kinds):
        return types.float32
    return types.float64


def _lower_fma(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return emit_fma(builder, *_as_result(context, builder, sig, args))


def emit_fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c of LLVM values, by one instruction where there is one."""
    name = f"llvm.fmuladd.{_suffix(a.type)}"
    return builder.call(declare(builder, name, a.type, [a.type] * 3), [a, b, c])


for _operator, _method in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    type_callable(_operator)(lambda context: _type_operator)
    for _kinds in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(_operator, *_kinds)(_lower_operator(_method))

for _kinds in itertools.product((Vector, types.Number), repeat=3):
    register(fma, _type_fma, _lower_fma, *_kinds)


def _type_negative(a: Any) -> Any:
    return a if isinstance(a, Vector) else None


def _lower_negative(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.fneg(args[0])


register(operator.neg, _type_negative, _lower_negative, Vector)
