"""Compile all kernels before they are needed, and store them for later runs.

Numba compiles a kernel when it is first called, once for each combination of types.
So every public function that uses kernels is called here on tiny arrays, by the
``kernel_calls`` of its module.  The memory layout adds no combination: kernels get all
arrays in the same layout.  ``tests/test_warmup.py`` checks that no kernel is missing.

Kernels that are not stored yet are compiled first, with a process for each core, see
``odyssey.compiling_together``.
"""

import importlib
import pkgutil
import sys
import time
from collections.abc import Iterable
from functools import partial

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher
from numpy.typing import DTypeLike
from tqdm import tqdm

from odyssey import compiling_together, kernels, ops, threads
from odyssey.bfloat16 import is_bfloat16
from odyssey.compiling import Reporter, reporting
from odyssey.errors import ProgramError
from odyssey.kernel_cache import can_keep, kernel_modules
from odyssey.output import is_terminal, progress_bar, say

#: Modules besides the operations that use kernels.
OTHERS = (
    "odyssey.optim",
    "odyssey.muon",
    "odyssey.data.augment",
    "odyssey.distributed.wire",
)
#: Modules that use no kernels on bfloat16: what they do is done in float32.
WITHOUT_BFLOAT16 = ("odyssey.ops.dropout", "odyssey.ops.loss", *OTHERS)


def calls(dtype: DTypeLike) -> list[partial]:
    """Return calls that together use every kernel.

    They are the ``kernel_calls`` of all modules of `odyssey.ops` and of `OTHERS`.
    """
    names = [m.name for m in pkgutil.walk_packages(ops.__path__, f"{ops.__name__}.")]
    names += OTHERS
    if is_bfloat16(np.dtype(dtype)):
        names = [name for name in names if name not in WITHOUT_BFLOAT16]
    modules = map(importlib.import_module, names)
    found = [module for module in modules if hasattr(module, "kernel_calls")]
    return [call for module in found for call in module.kernel_calls(dtype)]


def all_kernels() -> dict[str, Dispatcher]:
    """Return every compiled function of ``odyssey.kernels``, by module and name."""
    found = {}
    for home in kernel_modules():
        module = importlib.import_module(f"{kernels.__name__}.{home}")
        for name, value in vars(module).items():
            if isinstance(value, Dispatcher) and value.__module__ == module.__name__:
                found[f"{home}.{name}"] = value
    return found


def folder() -> str | None:
    """Return the folder that stores the kernels, None if there is none."""
    folders = {kernel.stats.cache_path for kernel in all_kernels().values()}
    return min(folders - {None}, default=None)


def counts() -> tuple[int, int]:
    """Return how many kernels this process has compiled, and how many it has loaded.

    A kernel counts once for each combination of types.  Serial helpers do not count:
    they become part of the kernels that call them.
    """
    stats = [
        kernel.stats
        for kernel in all_kernels().values()
        if kernel.targetoptions.get("parallel")
    ]
    compiled = sum(sum(kernel.cache_misses.values()) for kernel in stats)
    loaded = sum(sum(kernel.cache_hits.values()) for kernel in stats)
    return compiled, loaded


def warm_up(dtypes: Iterable[DTypeLike] = (np.float32,)) -> tuple[int, int]:
    """Compile or load every kernel, and return how many of each.

    The progress is shown as a bar on a terminal, otherwise as lines.
    """
    work = [(call, np.dtype(d).name) for d in dtypes for call in calls(d)]
    with reporting(Reporter()):  # the bars say more
        together = _compile_missing([call for call, _ in work])
        before = counts()
        with _bar(len(work)) as bar:
            for number, (call, dtype) in enumerate(work, 1):
                name = f"{dtype} {_describe(call)}"
                bar.set_description_str(name)
                start, (compiled, _) = time.perf_counter(), counts()
                call()
                seconds = time.perf_counter() - start
                if bar.disable and counts()[0] > compiled:
                    say(f"{number}/{len(work)} {name}: {seconds:.1f} s")
                bar.update()
    after = counts()
    return together + after[0] - before[0], after[1] - before[1] - together


def _compile_missing(calls: list[partial]) -> int:
    """Compile the kernels of calls that are not stored, if there are several cores."""
    cores = threads.default_threads()
    if cores < 2 or folder() is None:
        return 0
    missing = compiling_together.missing(compiling_together.combinations(calls))
    if len(missing) < 2:
        return 0
    total = 0
    with _bar(len(missing)) as bar:
        done = compiling_together.compile_all(missing, cores)
        for number, (kernel, compiled, seconds) in enumerate(done, 1):
            total += compiled
            bar.set_description_str(kernel.__name__)
            if bar.disable:
                say(f"{number}/{len(missing)} {kernel.__name__}: {seconds:.1f} s")
            bar.update()
    return total


def _bar(total: int) -> tqdm:
    """Return a progress bar, which is shown only on a terminal."""
    return progress_bar(
        total=total,
        desc="compiling",
        bar_format="{desc} |{bar}| {n_fmt}/{total_fmt} {elapsed}",
        disable=not is_terminal(sys.stderr),
    )


def _describe(call: partial) -> str:
    """Return the name of the function that is called, and the variant of its kernel."""
    variant = call.keywords.get("method", "")
    if "stride" in call.keywords:
        variant += f", stride {call.keywords['stride']}"
    if call.keywords.get("training") is False:
        variant = "inference"
    if "randaugment_ops" in call.keywords:
        variant = "RandAugment"
    return call.func.__name__ + (f" ({variant})" if variant else "")


def run(dtypes: Iterable[DTypeLike]) -> None:
    """Warm up; print how many kernels were compiled, the time and the folder."""
    if numba.config.DISABLE_JIT:
        raise ProgramError("nothing is compiled while NUMBA_DISABLE_JIT is set")
    if folder() is None:
        raise ProgramError("nothing was compiled, because it could not be kept")
    start = time.perf_counter()
    compiled, loaded = warm_up(dtypes)
    seconds = time.perf_counter() - start
    if compiled:
        done = f"{compiled} kernels compiled"
        done += f", {loaded} others were there" if loaded else ""
    else:
        done = f"all {loaded} kernels were there"
    if compiled and not can_keep():
        raise ProgramError(f"{done} ({seconds:.1f} s), but not all could be kept")
    say(f"{done} ({seconds:.1f} s); they are kept in {folder()}")
