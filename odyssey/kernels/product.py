"""Products of small matrices, summed in registers.

A matrix product of M x K by K x N numbers reads each number many times, so what limits
it is where the numbers are read from.  Here a *panel* of the result, a few rows by two
vectors, stays in registers until its sums are complete:

    for k: b0, b1 = B[k, two vectors]
        for row of the panel: sums[row] += A[row, k] * (b0, b1)

For each k a panel of 14 rows loads 16 times and multiplies 28 times, and all loads are
from the first cache: 32 columns of B, 4 bytes each, are 32 KB at 256 rows.  With 32
registers of AVX-512 there is room for 14 rows: 28 sums, two vectors of B and a number
of A.  With 16 registers it is 6 rows.

`Matrix` says where a factor lies in memory, so that a factor may be transposed, a part
of another one, or have gaps between its rows.
"""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from odyssey.kernels import simd
from odyssey.kernels.jit import serial
from odyssey.kernels.simd import INT64, Vector
from odyssey.processor import cache_bytes

#: Rows of a panel, the most first: what is left over goes by smaller panels.
ROWS = (14, 8, 4, 2, 1) if simd.BYTES == 64 else (6, 4, 3, 2, 1)
#: Terms that are summed at a time: two vectors of each fill half of the first cache.
TERMS = cache_bytes(1) // 2 // (2 * simd.BYTES)


class Matrix(NamedTuple):
    """Where a matrix lies: element (i, j) is data[start + i*row + j*column]."""

    data: np.ndarray  # flat
    start: int
    row: int
    column: int


def _panel_of(rows: int) -> Any:
    """Return the function that multiplies ``rows`` rows by one or two vectors."""

    def panel(
        a: Matrix, b: Matrix, c: Matrix, vectors: int, terms: int, add: bool
    ) -> None:
        """Write a @ b to ``c``, or add it: c[rows, vectors], terms numbers a sum."""
        columns = vectors * simd.width(c.data)
        left = _view(a, rows, terms)
        sums = _view(c, rows, columns)
        product = left @ _view(b, terms, columns)
        sums[...] = sums + product if add else product

    def typer(a: Any, b: Any, c: Any, vectors: Any, terms: Any, add: Any) -> Any:
        return types.none if isinstance(a, types.NamedTuple) else None

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        two = ir.Constant(args[3].type, 2)
        is_double = builder.icmp_signed("==", args[3], two)
        with builder.if_else(is_double) as (then, otherwise):
            for block, vectors in ((then, 2), (otherwise, 1)):
                with block:
                    _Panel(context, builder, sig, args, rows, vectors).emit()
        return context.get_dummy_value()

    kinds = (types.NamedTuple,) * 3 + (types.Integer, types.Integer, types.Boolean)
    simd.register(panel, typer, lower, *kinds)
    return panel


def _view(matrix: Matrix, rows: int, columns: int) -> np.ndarray:
    data = matrix.data[matrix.start :]
    steps = matrix.row * data.itemsize, matrix.column * data.itemsize
    return np.lib.stride_tricks.as_strided(data, (rows, columns), steps)


class _Rolled(ir.MDValue):
    """LLVM's mark of a loop that is not to be unrolled: a node that names itself."""

    def __init__(self, module: ir.Module) -> None:
        name = ir.MetaDataString(module, "llvm.loop.unroll.disable")
        mark = module.add_metadata([name])
        super().__init__(module, [self, mark], str(len(module.metadata)))

    def descr(self, parts: list[str]) -> None:
        nodes = ", ".join(node.get_reference() for node in self.operands)
        parts += ("distinct !{ ", nodes, " }\n")

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


class _Panel:
    """The instructions of a panel's product."""

    def __init__(
        self,
        context: Any,
        builder: Any,
        sig: Any,
        args: Any,
        rows: int,
        vectors: int,
    ) -> None:
        self.builder, self.rows, self.vectors = builder, rows, vectors
        kind = simd.vector_of(sig.args[2].types[0])
        assert isinstance(kind, Vector)
        self.vector = simd.llvm_type(kind)
        self.bytes = kind.dtype.bitwidth // 8
        self.terms = context.cast(builder, args[4], sig.args[4], types.intp)
        self.add = args[5]
        self.a, self.a_row, self.a_step = self._unpack(context, sig.args[0], args[0])
        self.b, self.b_step, _ = self._unpack(context, sig.args[1], args[1])
        self.c, self.c_row, _ = self._unpack(context, sig.args[2], args[2])

    def _unpack(self, context: Any, kind: Any, value: Any) -> tuple[Any, Any, Any]:
        """Return the address of a matrix, and the bytes between rows and columns."""
        parts = cgutils.unpack_tuple(self.builder, value, 4)
        start, row, column = (
            self._scaled(context.cast(self.builder, part, given, types.intp))
            for part, given in zip(parts[1:], kind.types[1:], strict=True)
        )
        data = self.builder.bitcast(parts[0], ir.IntType(8).as_pointer())
        return self.builder.gep(data, [start]), row, column

    def _scaled(self, number: Any) -> Any:
        return self.builder.mul(number, ir.Constant(INT64, self.bytes))

    def emit(self) -> None:
        """Emit the loop over the terms, and then what becomes of the sums."""
        builder, rows = self.builder, self.rows
        zero = ir.Constant(self.vector, None)
        # x86 adds a register and twice another to an address at no cost: so a pointer
        # serves three rows
        starts = [self._row(self.a, self.a_row, row) for row in range(0, rows, 3)]
        entry = builder.block
        loop, after = (builder.append_basic_block(name) for name in ("terms", "sums"))
        first = [
            ir.Constant(INT64, 0),
            self.b,
            *starts,
            *[zero] * (rows * self.vectors),
        ]
        builder.cbranch(
            builder.icmp_signed(">", self.terms, ir.Constant(INT64, 0)), loop, after
        )
        builder.position_at_end(loop)
        before = self._merge(first, entry)
        k, b, pointers = before[0], before[1], before[2 : 2 + len(starts)]
        sums = self._add_term(b, pointers, before[2 + len(starts) :])
        k = builder.add(k, ir.Constant(INT64, 1))
        b = builder.gep(b, [self.b_step])
        pointers = [builder.gep(pointer, [self.a_step]) for pointer in pointers]
        for phi, value in zip(before, [k, b, *pointers, *sums], strict=True):
            phi.add_incoming(value, loop)
        again = builder.cbranch(builder.icmp_signed("<", k, self.terms), loop, after)
        again.set_metadata("llvm.loop", _Rolled(builder.module))
        builder.position_at_end(after)
        totals = self._merge(first[2 + len(starts) :], entry)
        for phi, value in zip(totals, sums, strict=True):
            phi.add_incoming(value, loop)
        self._store(totals)

    def _merge(self, values: list[Any], block: Any) -> list[Any]:
        """Return values that come from ``block``, and later from elsewhere too."""
        merged = [self.builder.phi(value.type) for value in values]
        for phi, value in zip(merged, values, strict=True):
            phi.add_incoming(value, block)
        return merged

    def _add_term(self, b: Any, pointers: list[Any], sums: list[Any]) -> list[Any]:
        """Return the sums with one term more."""
        vectors = [self._load(self._vector(b, j)) for j in range(self.vectors)]
        added = []
        for row in range(self.rows):
            place = self._row(pointers[row // 3], self.a_row, row % 3)
            place = self.builder.bitcast(place, self.vector.element.as_pointer())
            number = self._load(place)
            factor = simd.splat(self.builder, number, self.vector.count)
            for j in range(self.vectors):
                total = sums[row * self.vectors + j]
                added.append(simd.emit_fma(self.builder, factor, vectors[j], total))
        return added

    def _store(self, sums: list[Any]) -> None:
        with self.builder.if_else(self.add) as (then, otherwise):
            for block, add in ((then, True), (otherwise, False)):
                with block:
                    for row in range(self.rows):
                        start = self._row(self.c, self.c_row, row)
                        for j in range(self.vectors):
                            place = self._vector(start, j)
                            total = sums[row * self.vectors + j]
                            if add:
                                total = self.builder.fadd(self._load(place), total)
                            self.builder.store(total, place).align = self.bytes

    def _row(self, pointer: Any, step: Any, row: int) -> Any:
        offset = self.builder.mul(step, ir.Constant(INT64, row))
        return self.builder.gep(pointer, [offset])

    def _vector(self, pointer: Any, j: int) -> Any:
        """Return the address of the j-th vector from ``pointer`` on."""
        offset = ir.Constant(INT64, j * self.vector.count * self.bytes)
        place = self.builder.gep(pointer, [offset])
        return self.builder.bitcast(place, self.vector.as_pointer())

    def _load(self, place: Any) -> Any:
        loaded = self.builder.load(place)
        loaded.align = self.bytes
        return loaded


panel_0, panel_1, panel_2, panel_3, panel_4 = (_panel_of(rows) for rows in ROWS)
ROWS_0, ROWS_1, ROWS_2, ROWS_3, _ = ROWS


@serial
def multiply(a, b, c, rows, columns, terms, add):
    """Write the product of ``a`` (rows, terms) and ``b`` (terms, columns) to ``c``.

    for piece of the terms: for two vectors of columns: for panel of rows:
        c[panel, vectors] = a[panel, piece] @ b[piece, vectors]

    With ``add``, and from the second piece on, the product is added to what is there.
    ``columns`` is a multiple of a vector's; a row's lie side by side in b and c.
    """
    lanes = simd.width(c.data)
    for k in range(0, max(terms, 1), TERMS):
        count, more = min(TERMS, terms - k), add or k > 0
        for j in range(0, columns, 2 * lanes):
            vectors = min(2, (columns - j) // lanes)
            right = Matrix(b.data, b.start + k * b.row + j, b.row, 1)
            i = 0
            while i < rows:
                start = a.start + i * a.row + k * a.column
                left = Matrix(a.data, start, a.row, a.column)
                sums = Matrix(c.data, c.start + i * c.row + j, c.row, 1)
                if rows - i >= ROWS_0:
                    panel_0(left, right, sums, vectors, count, more)
                    i += ROWS_0
                elif rows - i >= ROWS_1:
                    panel_1(left, right, sums, vectors, count, more)
                    i += ROWS_1
                elif rows - i >= ROWS_2:
                    panel_2(left, right, sums, vectors, count, more)
                    i += ROWS_2
                elif rows - i >= ROWS_3:
                    panel_3(left, right, sums, vectors, count, more)
                    i += ROWS_3
                else:
                    panel_4(left, right, sums, vectors, count, more)
                    i += 1
