"""Compile the kernels ahead of their use, and keep them for later runs.

Numba compiles a kernel when it is first called, anew for each combination of types.
So every public function is called here once, with arrays as small as they may be.  The
memory layout makes no further combination: kernels see all arrays in the same one.
``tests/test_warmup.py`` sees that no kernel is left out.
"""

import importlib
import shutil
import sys
import time
from collections.abc import Iterable
from functools import partial

import click
import numba
import numpy as np
from numba.core.dispatcher import Dispatcher
from numpy.typing import DTypeLike
from tqdm import tqdm

from odyssey import kernels
from odyssey.compiling import Silence, reporting
from odyssey.data.augment import augment_batch, normalize_batch
from odyssey.kernel_cache import can_keep, kernel_modules
from odyssey.ops.activation import relu, relu_backward
from odyssey.ops.addition import add, add_backward
from odyssey.ops.batch_norm import batch_norm2d, batch_norm2d_backward
from odyssey.ops.conv import conv2d, conv2d_backward
from odyssey.ops.linear import linear, linear_backward
from odyssey.ops.pooling import (
    avgpool2d,
    avgpool2d_backward,
    global_avgpool2d,
    global_avgpool2d_backward,
    maxpool2d,
    maxpool2d_backward,
)
from odyssey.optim import clip_grad_norm_inplace, sgd_momentum_update_inplace
from odyssey.training.errors import ProgramError


def calls(dtype: DTypeLike) -> list[partial]:
    """Return calls that between them reach every kernel."""
    x = np.ones((2, 3, 4, 4), dtype)
    kernel = np.ones((3, 3, 3, 3), x.dtype)
    c = np.ones(3, x.dtype)  # one value a channel
    rows, weights = np.ones((2, 3), x.dtype), np.ones((3, 3), x.dtype)
    pixel = x[:, :, :1, :1]
    images, out = np.zeros(x.shape, np.uint8), np.empty_like(x)
    found = []
    for method in ("direct", "winograd"):
        found += [
            partial(conv2d, x, kernel, c, padding=1, method=method),
            partial(conv2d_backward, x, x, kernel, padding=1, method=method),
        ]
    strided = {"stride": 2, "padding": 1, "method": "winograd"}
    found += [
        partial(conv2d, x, kernel, c, **strided),
        partial(conv2d_backward, x[:, :, :2, :2], x, kernel, **strided),
    ]
    for training in (True, False):
        found += [
            partial(batch_norm2d, x, c, c, c, c, training=training),
            partial(batch_norm2d_backward, x, x, c, c, c, c, training=training),
        ]
    return [
        *found,
        partial(relu, x),
        partial(relu_backward, x, x),
        partial(add, x, x),
        partial(add_backward, x, x, x),
        partial(avgpool2d, x, 4),
        partial(avgpool2d_backward, pixel, x, 4),
        partial(maxpool2d, x, 4),
        partial(maxpool2d_backward, pixel, x, 4),
        partial(global_avgpool2d, x),
        partial(global_avgpool2d_backward, pixel, x),
        partial(linear, rows, weights, c),
        partial(linear_backward, rows, rows, weights),
        partial(sgd_momentum_update_inplace, x.copy(), x, x.copy(), 0.1),
        partial(clip_grad_norm_inplace, [x.copy()], 1.0),
        partial(normalize_batch, images, out),
        partial(augment_batch, images, np.arange(2), out, seed=0, epoch=0),
        partial(
            augment_batch,
            images,
            np.arange(2),
            out,
            seed=0,
            epoch=0,
            randaugment_ops=1,
        ),
    ]


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
                click.echo(f"{number}/{len(work)} {name}: {seconds:.1f} s")
            bar.update()
    after = counts()
    return after[0] - before[0], after[1] - before[1]


def _describe(call: partial) -> str:
    """Return the name of a function, and which of its ways a call goes."""
    way = call.keywords.get("method")
    if "stride" in call.keywords:
        way += f", stride {call.keywords['stride']}"
    if call.keywords.get("training") is False:
        way = "inference"
    if "randaugment_ops" in call.keywords:
        way = "RandAugment"
    return call.func.__name__ + (f" ({way})" if way else "")


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
    click.echo(f"{done} ({seconds:.1f} s); they are kept in {folder()}")
