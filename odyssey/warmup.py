"""Compile the kernels ahead of their use, and keep them for later runs.

Numba compiles a kernel when it is first called, anew for each combination of types.
So every public function is called here once, with arrays as small as they may be, as
the ``kernel_calls`` of its module say.  The memory layout makes no further combination:
kernels see all arrays in the same one.
``tests/test_warmup.py`` sees that no kernel is left out.
"""

import importlib
import pkgutil
import shutil
import sys
import time
from collections.abc import Iterable
from functools import partial

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher
from numpy.typing import DTypeLike
from tqdm import tqdm

from odyssey import kernels, ops
from odyssey.compiling import Silence, reporting
from odyssey.errors import ProgramError
from odyssey.kernel_cache import can_keep, kernel_modules
from odyssey.output import say

#: Modules besides the operations that use kernels.
OTHERS = ("odyssey.optim", "odyssey.data.augment")


def calls(dtype: DTypeLike) -> list[partial]:
    """Return calls that between them reach every kernel.

    They are those of the modules' ``kernel_calls``; of `odyssey.ops`, all modules are
    asked.
    """
    names = [m.name for m in pkgutil.walk_packages(ops.__path__, f"{ops.__name__}.")]
    modules = map(importlib.import_module, [*names, *OTHERS])
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
    """Return the folder that kernels are kept in, None if there is none."""
    folders = {kernel.stats.cache_path for kernel in all_kernels().values()}
    return min(folders - {None}, default=None)


def counts() -> tuple[int, int]:
    """Return how many kernels this process has compiled, and loaded from the folder.

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
    """Compile or load every kernel, with a bar on a terminal, else with lines.

    Returns
    -------
    compiled, loaded : int
        Those that were new, and those that an earlier run had kept.
    """
    before = counts()
    work = [(call, np.dtype(d).name) for d in dtypes for call in calls(d)]
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    columns, rows = shutil.get_terminal_size()
    with (
        reporting(Silence()),
        tqdm(
            total=len(work),
            desc="compiling",
            bar_format="{desc} |{bar}| {n_fmt}/{total_fmt} {elapsed}",
            ncols=columns,
            nrows=rows,
            leave=False,
            disable=not is_terminal,
        ) as bar,
    ):
        for number, (call, dtype) in enumerate(work, 1):
            name = f"{dtype} {_describe(call)}"
            bar.set_description_str(name)
            start, (compiled, _) = time.perf_counter(), counts()
            call()
            seconds = time.perf_counter() - start
            if not is_terminal and counts()[0] > compiled:
                say(f"{number}/{len(work)} {name}: {seconds:.1f} s")
            bar.update()
    after = counts()
    return after[0] - before[0], after[1] - before[1]


def _describe(call: partial) -> str:
    """Return the name of a function, and which of its ways a call goes."""
    variant = call.keywords.get("method", "")
    if "stride" in call.keywords:
        variant += f", stride {call.keywords['stride']}"
    if call.keywords.get("training") is False:
        variant = "inference"
    if "randaugment_ops" in call.keywords:
        variant = "RandAugment"
    return call.func.__name__ + (f" ({variant})" if variant else "")


def run(dtypes: Iterable[DTypeLike]) -> None:
    """Warm up, and say how much was to do, how long it took and where it is kept."""
    if numba.config.DISABLE_JIT:
        raise ProgramError("nothing is compiled while NUMBA_DISABLE_JIT is set")
    if folder() is None:
        raise ProgramError("nothing was compiled, for it could not be kept")
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
