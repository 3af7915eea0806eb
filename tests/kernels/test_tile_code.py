"""The machine code of kernels on tiles, on a processor that has none."""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tile_cases
from llvmlite import binding

from odyssey.ops.conv import tiles
from odyssey.processor import has_amx

FOLDER = Path(__file__).resolve().parent
#: What the instructions are called in assembly, in the order of tile_trap.c.
INSTRUCTIONS = "ldtilecfg tilerelease tilezero tileloadd tilestored tdpbf16ps".split()

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64",
    reason="tiles are for Linux on x86-64",
)


def environment(tmp_path, name, features):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ODYSSEY")}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join([str(FOLDER.parent), str(FOLDER.parent.parent)]),
        "NUMBA_CPU_NAME": name,
        "NUMBA_CPU_FEATURES": features,
    }


def test_the_instructions_give_the_bits_of_the_array(tmp_path, monkeypatch):
    """The processor has none, so a signal's handler does what they do."""
    compiler, host = shutil.which("cc"), binding.get_host_cpu_features()
    if has_amx():
        pytest.skip("this processor has tiles")
    if compiler is None or not host.get("fma"):
        pytest.skip("emulated by what a C compiler makes for a processor with FMA")
    library, results = tmp_path / "tile_trap.so", tmp_path / "results.npz"
    flags = "-O2 -Wall -Wextra -Werror -mfma -ffp-contract=off -shared -fPIC".split()
    source = FOLDER / "tile_trap.c"
    subprocess.run([compiler, *flags, "-o", library, source, "-lm"], check=True)
    features = host.flatten() + ",+amx-tile,+amx-bf16"
    program = [sys.executable, tile_cases.__file__, library, results]
    settings = environment(tmp_path, binding.get_host_cpu_name(), features)
    done = subprocess.run(program, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    monkeypatch.setattr(tiles, "has_amx", lambda: False)
    right = tile_cases.all_products()
    with np.load(results) as found:
        assert set(found) == {*right, "met"}
        *met, configured = found["met"]
        assert dict(zip(INSTRUCTIONS, met, strict=True)).items() >= {
            ("ldtilecfg", met[1]),
        }
        assert min(met) > 0 and configured == 0  # given back by each thread
        for name, product in right.items():
            np.testing.assert_array_equal(found[name], product, err_msg=name)


@pytest.mark.skipif(not has_amx(), reason="this processor has no tiles")
def test_tiles_give_the_bits_of_the_array(monkeypatch):
    found = tile_cases.all_products()
    monkeypatch.setattr(tiles, "has_amx", lambda: False)
    for name, product in tile_cases.all_products().items():
        np.testing.assert_array_equal(found[name], product, err_msg=name)


#: Compiles kernels, and prints how often an instruction is in each.
COMPILE = """
import inspect, re, sys
import numpy as np
from numba import typeof
from odyssey.kernels import conv_tiles, conv_tiles_grad_kernel
from odyssey.ops.conv import tiles
from tile_cases import SHAPES, products

def compile_only(module, name):
    kernel = getattr(module, name)
    def stand_in(*given, **named):
        bound = inspect.signature(kernel.py_func).bind(*given, **named)
        kernel.compile(tuple(typeof(value) for value in bound.args))
        code = "\\n".join(kernel.inspect_asm().values())
        print(name, [len(re.findall(rf"\\t{i}\\t?", code)) for i in sys.argv[1:]])
    setattr(module, name, stand_in)

compile_only(conv_tiles, "convolve_tiles")
compile_only(conv_tiles_grad_kernel, "grad_kernel_tiles")
conv_tiles_grad_kernel.totals_to_gradient = lambda totals, columns, out: out.fill(0)
tiles._lay_out = lambda *given: True
tiles.has_amx = lambda: True
products(SHAPES[0])
"""


def test_the_code_for_sapphire_rapids_is_made_of_tile_instructions(tmp_path):
    named = "amx-tile amx-bf16 avx512f avx512bw avx512vl avx512dq avx2 fma".split()
    settings = environment(
        tmp_path, "sapphirerapids", ",".join(f"+{name}" for name in named)
    )
    settings["NUMBA_CACHE_DIR"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", COMPILE, *INSTRUCTIONS],
        env=settings,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("\n")
    for name in ("convolve_tiles", "grad_kernel_tiles"):
        (line,) = (line for line in lines if line.startswith(name))
        counts = [int(number) for number in re.findall(r"\d+", line)]
        assert min(counts) > 0, line
        loads, dots = counts[3], counts[5]
        assert dots >= 8 and loads < 2 * dots, line
