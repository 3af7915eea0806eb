"""On processors with AVX-512 kernels use the whole registers, also on Intel's servers.

Kernels are compiled for those processors, in a process of its own, and not run.
"""

import json
import os
import subprocess
import sys

import pytest

FEATURES = (
    "+sse4.2,+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+popcnt,"
    "+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx512cd"
)
#: Kernels without a loop over threads, in which the vectors are, and what they take.
SOURCE = """
import json, re, sys
from numba import types
from odyssey.kernels import batch_norm, conv_direct, elementwise, ending, gelu
from odyssey.kernels import packing, pooling, product
from odyssey.kernels import simd, winograd_strided_transforms, winograd_transforms
from odyssey.kernels.simd import Memory
from odyssey.kernels.tiles import Moments, Pixels, Target
from odyssey.kernels.batch_norm import Totals

i, yes, index = types.intp, types.boolean, Memory(types.int64)

def calls(number):
    f = Memory(types.float32)  # what is summed in
    m = Memory(number)  # what is stored
    wide = Memory(types.float64)
    matrix = types.NamedTuple((f, i, i, i), product.Matrix)
    pixels = types.NamedTuple((m, i, index, i), Pixels)
    end = types.NamedTuple((m, i, f, m, yes, yes, yes), ending.Ending)
    moments = types.NamedTuple((wide, i, i), Moments)
    target = types.NamedTuple((end, index, f, moments), Target)
    affine = types.NamedTuple((f, f, f, yes, yes), batch_norm.Affine)
    image = types.NamedTuple((m, i, i, i), pooling.Image)
    window = types.NamedTuple((i, i, i, i), pooling.Window)
    few = types.Array(types.float32, 2, "C")
    totals = types.NamedTuple((wide, wide, few), Totals)
    line = types.NamedTuple((f, f, f, yes), batch_norm.Line)
    one, two = winograd_transforms, winograd_strided_transforms
    return [
        (product.multiply, (matrix, matrix, matrix, i, i, i, yes)),
        (one.patch_to_places, (pixels, i, f, f, i, i)),
        (one.gradient_to_places, (pixels, i, f, f, i, i)),
        (one.places_to_pixels, (f, i, i, f, target, i, yes)),
        (two.patch_to_places, (pixels, i, yes, f, f, index, i)),
        (two.gradient_to_places, (pixels, i, f, f, index, i)),
        (two.places_to_pixels, (f, index, i, yes, f, target, i, yes)),
        (packing.copy, (m, i, f, i, i)),
        (batch_norm.block_statistics, (m, i, i, i, wide, wide)),
        (batch_norm.scale_shift_rows, (m, i, i, i, affine, m)),
        (batch_norm.add_gradients, (m, m, i, i, i, affine, totals)),
        (batch_norm.combine_rows, (m, m, i, i, i, affine, line, m)),
        (conv_direct.add_rows, (m, i, i, i, wide)),
        (pooling.pool_sum, (image, window, types.float64, m, i, yes)),
        (pooling.pool_max, (image, window, m, i, yes)),
        (pooling.give, (image, window, m, i, m, yes)),
        (pooling.share_out, (image, window, m, i, wide, i)),
        (gelu.pass_share, (m, yes, i, i, m, yes)),
        (gelu.pass_gradient, (m, m, yes, i, i, m, yes)),
        (elementwise.gate, (m, m, i, i, m, yes)),
        (elementwise.add, (m, m, i, i, m, yes)),
    ]

found = {}
for number in (types.float32, types.uint16):
    for kernel, kinds in calls(number):
        kernel.compile(kinds)
        assembly = kernel.inspect_asm(kinds)
        name = f"{kernel.__module__}.{kernel.__name__} {number}"
        code = kernel.inspect_llvm(kinds)
        found[name] = {
            "registers": assembly.count("zmm"),
            "sums": assembly.count("vfmadd"),
            "spilled": len(re.findall(r"%zmm\\d+, -?\\d*\\(%rsp\\)", assembly)),
            "counted": code.count("call void @NRT_incref"),
        }
json.dump([simd.BYTES, found], sys.stdout)
"""


@pytest.mark.parametrize("processor", ["sapphirerapids", "znver4"])
def test_kernels_use_whole_registers(processor, tmp_path):
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": processor,
        "NUMBA_CPU_FEATURES": FEATURES,
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    environment.pop("ODYSSEY_DISABLE", None)
    run = [sys.executable, "-c", SOURCE]
    result = subprocess.run(run, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    width, found = json.loads(result.stdout)
    assert width == 64
    assert len(found) == 42
    for name, counts in found.items():
        assert counts["registers"] > 4, name
        # references of arrays: two atomic operations each, in the innermost loops
        assert counts["counted"] == 0, name
    product = found["odyssey.kernels.product.multiply float32"]
    assert product["sums"] >= 2 * (14 + 8 + 4 + 2)  # 28 a step in the largest panel
    assert product["spilled"] == 0  # all of them are in registers
