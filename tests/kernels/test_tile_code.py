"""The machine code of kernels on tiles, on a processor that has none."""

import json
import os
import platform
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
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64",
    reason="tiles are for Linux on x86-64",
)


def environment(name, features):
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
    settings = environment(binding.get_host_cpu_name(), features)
    monkeypatch.setattr(tiles, "has_amx", lambda: False)
    with subprocess.Popen(program, env=settings, stderr=subprocess.PIPE) as running:
        right = tile_cases.all_products()  # while the other compiles, too
        _, said = running.communicate()
    assert running.returncode == 0, said.decode()
    with np.load(results) as found:
        assert set(found) == {*right, "met"}
        *met, configured = found["met"]
        assert min(met) > 0 and configured == 0  # given back by each thread
        for name, product in right.items():
            np.testing.assert_array_equal(found[name], product, err_msg=name)


@pytest.mark.skipif(not has_amx(), reason="this processor has no tiles")
def test_tiles_give_the_bits_of_the_array(monkeypatch):
    found = tile_cases.all_products()
    monkeypatch.setattr(tiles, "has_amx", lambda: False)
    for name, product in tile_cases.all_products().items():
        np.testing.assert_array_equal(found[name], product, err_msg=name)


#: Compiles the innermost loops, and prints how often an instruction is in each.
COMPILE = """
import re, sys
from numba import typeof, types
from odyssey.kernels import conv_tiles, conv_tiles_grad_kernel
from odyssey.kernels.simd import Memory

def buffers(module, **others):
    fields = [others.get(name, WORDS) for name in module.Buffers._fields]
    return types.NamedTuple([TILES, *fields[1:]], module.Buffers)

TILES, WORDS, number = Memory(types.uint8), Memory(types.float32), types.intp
block = typeof(conv_tiles.Block(*[0] * 8, True))
phase = typeof(conv_tiles.Phase(*[0] * 9))
ours = buffers(conv_tiles, numbers=Memory(types.uint16), offsets=Memory(number))
others = buffers(conv_tiles_grad_kernel)
for kernel, kinds in (
    (conv_tiles.sum_block, (ours, block, phase, number, types.boolean, number)),
    (conv_tiles_grad_kernel.add_steps, (others, *[number] * 8)),
):
    kernel.compile(kinds)
    code = "\\n".join(kernel.inspect_asm().values())
    print([len(re.findall(rf"\\t{name}\\t", code)) for name in sys.argv[1:]])
"""


def test_the_loops_for_sapphire_rapids_are_made_of_tile_instructions(tmp_path):
    named = "amx-tile amx-bf16 avx512f avx512bw avx512vl avx512dq avx2 fma".split()
    features = ",".join(f"+{name}" for name in named)
    settings = environment("sapphirerapids", features)
    settings["NUMBA_CACHE_DIR"] = str(tmp_path)
    program = [sys.executable, "-c", COMPILE, "tileloadd", "tdpbf16ps"]
    done = subprocess.run(program, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 2
    for loads, dots in lines:
        # 2 x 2 tiles: as many products as loads; at the edges half as many
        assert dots >= 8 and dots <= loads < 2 * dots
