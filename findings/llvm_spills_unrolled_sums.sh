#!/usr/bin/env bash
# llvmlite 0.50.0: unrolling the inner loop of a matrix product by 4 makes LLVM keep half of
# its sums in memory, where the loop as it stands keeps all of them in registers.
#
# Expected: 28 sums in 28 of the 32 registers of AVX-512, a row's number and two vectors in
#   the others; unrolled, the same instructions four times over, with less to count.
# Seen: the scheduler moves the loads of all four steps to the front, and there are not
#   enough registers for what they loaded: sums are stored and loaded again at each step.
#   On one core of a Zen 5 that is 130 instead of 250 GFLOP/s.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check llvmlite==0.50.0

cat > product.py <<'PY'
import re
import sys

import llvmlite
from llvmlite import binding, ir

ROWS = 14
V, I = ir.VectorType(ir.FloatType(), 16), ir.IntType(64)


def assembly(unroll):
    module = ir.Module()
    pointer = ir.FloatType().as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer, I, pointer, I, pointer, I])
    function = ir.Function(module, kind, "panel")
    a, row, b, step, c, terms = function.args
    b0 = ir.IRBuilder(function.append_basic_block("entry"))
    loop, end = (function.append_basic_block(name) for name in ("loop", "end"))
    zero = ir.Constant(V, None)
    entry = b0.block
    rows = [b0.gep(a, [b0.mul(row, I(i))]) for i in range(0, ROWS, 3)]
    b0.branch(loop)
    b0.position_at_end(loop)
    first = [I(0), b, *rows, *[zero] * (2 * ROWS)]
    state = [b0.phi(value.type) for value in first]
    for phi, value in zip(state, first):
        phi.add_incoming(value, entry)
    k, place, pointers, sums = state[0], state[1], state[2:7], state[7:]
    for _ in range(unroll):
        vectors = []
        for j in range(2):
            at = b0.bitcast(b0.gep(place, [I(16 * j)]), V.as_pointer())
            vectors.append(b0.load(at))
            vectors[-1].align = 4
        added = []
        for i in range(ROWS):
            number = b0.load(b0.gep(pointers[i // 3], [b0.mul(row, I(i % 3))]))
            wide = b0.insert_element(ir.Constant(V, ir.Undefined), number, I(0))
            lanes = ir.Constant(ir.VectorType(ir.IntType(32), 16), [0] * 16)
            wide = b0.shuffle_vector(wide, ir.Constant(V, ir.Undefined), lanes)
            for j in range(2):
                product = b0.fmul(wide, vectors[j], flags=("contract",))
                added.append(b0.fadd(product, sums[2 * i + j], flags=("contract",)))
        sums = added
        place = b0.gep(place, [step])
        pointers = [b0.gep(p, [I(1)]) for p in pointers]
    k = b0.add(k, I(unroll))
    for phi, value in zip(state, [k, place, *pointers, *sums]):
        phi.add_incoming(value, loop)
    b0.cbranch(b0.icmp_signed("<", k, terms), loop, end)
    b0.position_at_end(end)
    for i, total in enumerate(sums):
        at = b0.bitcast(b0.gep(c, [I(16 * i)]), V.as_pointer())
        b0.store(total, at).align = 4
    b0.ret_void()
    parsed = binding.parse_assembly(str(module))
    target = binding.Target.from_triple("x86_64-unknown-linux-gnu")
    machine = target.create_target_machine(cpu="znver5", opt=3)
    return machine.emit_assembly(parsed)


binding.initialize_all_targets()
binding.initialize_all_asmprinters()
moved = {}
for unroll in (1, 4):
    lines = assembly(unroll).splitlines()
    stores = [line for line in lines if re.search(r"%zmm\d+, -?\d*\(%rsp\)", line)]
    sums = sum("vfmadd" in line for line in lines)
    moved[unroll] = len(stores)
    print(f"unrolled by {unroll}: {sums} sums, {len(stores)} registers put into memory")
print(f"llvmlite {llvmlite.__version__}, LLVM {'.'.join(map(str, binding.llvm_version_info))}")
sys.exit(0 if moved[1] == 0 and moved[4] > 20 else f"changed: {moved}")
PY
venv/bin/python product.py
