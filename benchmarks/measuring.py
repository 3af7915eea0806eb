"""Measure time and memory of a task.

Nothing of Odyssey is imported here, so that the memory of a peer's process is its own.
"""

import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

WARM_UPS = 2  # runs before the first that counts: the first one compiles
MOST_RUNS = 200  # of a very short task


class Task(NamedTuple):
    """A function to time, and one that returns what it computes."""

    run: Callable[[], object]
    results: Callable[[object], dict[str, np.ndarray]]  # of what `run` returned
    minus: Callable[[], object] | None = None  # a part of `run` that is not counted


def tensors(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def median_seconds(
    run: Callable, repeat: int, least: float = 0, minus: Callable | None = None
) -> float | None:
    """Return the median time of ``run``, less that of ``minus``, run in turn with it.

    There are ``repeat`` runs, or as many as take ``least`` seconds.  The result is None
    if the difference is smaller than the noise.
    """
    for _ in range(WARM_UPS):
        run()
        if minus:
            minus()
    times = []
    begin = time.perf_counter()
    while len(times) < MOST_RUNS and (
        len(times) < repeat or time.perf_counter() - begin < least
    ):
        seconds = _seconds(run)
        times.append(seconds - _seconds(minus) if minus else seconds)
    median = statistics.median(times)
    return median if median > 0 else None


def _seconds(run: Callable) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def peak_memory_mib() -> float:
    """Return the largest resident memory of this process so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would include the process that started this one
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
