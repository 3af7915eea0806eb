"""Kernels are compiled in several processes, each of them once."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import odyssey
from odyssey import compiling_together, warmup
from odyssey.kernel_cache import KernelCache

ROOT = Path(__file__).resolve().parent.parent

X = np.array([-1, 2], np.float32)

#: Warms up two small operations from an empty folder, and once more.
PROGRAM = """
from functools import partial
import numpy as np
from odyssey import add, compiling_together, relu, threads, warmup

def calls(dtype):
    x = np.array([-1, 2], dtype)
    return [partial(relu, x), partial(add, x, x)]

warmup.calls = calls
threads.default_threads = lambda: 2
print(warmup.warm_up(["float32", "float64"]))
print(compiling_together.missing(compiling_together.combinations(calls("float64"))))
print(warmup.counts(), relu(np.array([-1, 2], np.float32)))
"""


def by_name(found):
    return {kernel.__name__: [str(t) for t in types] for kernel, types in found.items()}


def test_types_are_noted_and_no_kernel_runs():
    param, grad, velocity = (np.full(2, n, np.float32) for n in (7, 1, 0))
    update = partial(odyssey.sgd_momentum_update_inplace, param, grad, velocity, 0.5)
    relu = [partial(odyssey.relu, X.astype(dtype)) for dtype in ("f", "f", "d")]
    found = by_name(compiling_together.combinations([update, *relu]))
    assert list(found) == ["sgd_momentum", "relu_forward"]
    assert ["float64" in types for types in found["relu_forward"]] == [False, True]
    assert param.tolist() == [7, 7]
    update()  # and from then on they run
    assert param.tolist() == [6.5, 6.5]


def test_a_call_that_fails_over_it_leaves_the_others():
    def fail():
        odyssey.add(X, X)
        raise ValueError("unlike any result")

    found = compiling_together.combinations([fail, partial(odyssey.relu, X)])
    assert list(by_name(found)) == ["add_forward", "relu_forward"]


def test_all_that_a_warm_up_compiles_is_found():
    calls = [call for dtype in ("float32", "float64") for call in warmup.calls(dtype)]
    found = compiling_together.combinations(calls)
    parallel = {
        kernel
        for name, kernel in warmup.all_kernels().items()
        if kernel.targetoptions.get("parallel")
        and not name.startswith(("conv_tiles", "tile_"))  # of bfloat16 alone
    }
    assert set(found) == parallel
    for call in calls:
        call()
    for kernel, several in found.items():
        assert set(several) <= set(kernel.signatures), kernel


def test_what_is_kept_is_not_missing_and_large_kernels_come_first(monkeypatch):
    calls = [partial(odyssey.relu, X), partial(odyssey.conv2d, np.ones((1, 3, 4, 4)))]
    calls[1] = partial(calls[1], np.ones((2, 3, 3, 3)), method="direct")
    for call in calls:
        call()
    found = compiling_together.combinations(calls)
    assert compiling_together.missing(found) == {}
    monkeypatch.setattr(KernelCache, "holds", lambda *_: False)
    missing = list(by_name(compiling_together.missing(found)))
    assert set(missing) == set(by_name(found))
    assert missing.index("conv_forward") < missing.index("relu_forward")
    assert missing[0] == "conv_forward"


def test_processes_compile_for_the_folder_of_all(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    *lines, total, missing, last = result.stdout.splitlines()
    assert total == "(4, 0)"
    assert missing == "{}"
    assert last == "(0, 4) [0. 2.]"  # this process itself has only loaded them
    assert sorted(line.split()[1] for line in lines) == [
        "add_forward:",
        "relu_forward:",
    ]
    kept = list(tmp_path.rglob("elementwise.*_forward*.nbc"))
    assert len(kept) == 4


@pytest.mark.parametrize("program", ["", "print('no number')", "no Python"])
def test_processes_that_end_leave_the_work_to_the_caller(monkeypatch, program):
    monkeypatch.setattr(compiling_together, "PROGRAM", program)
    found = compiling_together.combinations([partial(odyssey.relu, X)])
    assert list(compiling_together.compile_all(found, 2)) == []
