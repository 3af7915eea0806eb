"""Compile kernels in several processes at once, each kernel in one of them.

A process compiles one kernel after the other, whatever its threads: Numba holds a lock
meanwhile.  So each core gets a process, which takes the next kernel whenever it is done
with one, and keeps what it has compiled in the folder that all share.

Which combinations of types there are is found by calling the operations while the
kernels only note what they are called with, see `combinations`.
"""

import base64
import os
import pickle
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from numba.core.dispatcher import Dispatcher
from numba.core.registry import CPUDispatcher

from odyssey import threads
from odyssey.kernel_cache import KernelCache

#: The types of the arguments of a call.
Types = tuple[Any, ...]

#: What each process runs, with the folders to import from as its arguments.
PROGRAM = """
import sys
sys.path[:] = sys.argv[1:]
from odyssey import compiling_together
compiling_together.serve()
"""


def combinations(calls: Iterable[Callable]) -> dict[CPUDispatcher, list[Types]]:
    """Return the combinations of types that calls need of each kernel.

    The calls do everything but run kernels, so that they compute with what memory
    holds.  Where one trips over that, those of its kernels that would come after it are
    not found.
    """
    found: dict[CPUDispatcher, list[Types]] = {}

    class Noting(CPUDispatcher):
        def __call__(self, *args: Any, **named: Any) -> None:
            given = self._compiler.pysig.bind(*args, **named).args
            types = tuple(self.typeof_pyval(value) for value in given)
            if types not in found.setdefault(self, []):
                found[self].append(types)

    with threads.called_as(Noting), np.errstate(all="ignore"):
        for call in calls:
            with suppress(Exception):
                call()
    return found


def missing(found: dict[CPUDispatcher, list[Types]]) -> dict[CPUDispatcher, list]:
    """Return those combinations that are not in the folder, largest kernels first."""
    kept = {
        kernel: [types for types in several if not _is_kept(kernel, types)]
        for kernel, several in found.items()
    }
    some = [kernel for kernel in kept if kept[kernel]]
    some.sort(key=lambda kernel: -_size(kernel) * len(kept[kernel]))
    return {kernel: kept[kernel] for kernel in some}


def _is_kept(kernel: CPUDispatcher, types: Types) -> bool:
    if not isinstance(kernel._cache, KernelCache):  # where nothing can be kept
        return True
    return kernel._cache.holds(types, kernel.targetctx)


def _size(kernel: Dispatcher) -> int:
    """Return the length of the bytecode of a kernel with all its helpers.

    The time to compile grows about as it does.
    """
    sizes, todo = {}, [kernel]
    while todo:
        function = todo.pop().py_func
        sizes[function] = len(function.__code__.co_code)
        used = map(function.__globals__.get, function.__code__.co_names)
        todo += [
            other
            for other in used
            if isinstance(other, Dispatcher) and other.py_func not in sizes
        ]
    return sum(sizes.values())


def compile_all(
    work: dict[CPUDispatcher, list[Types]], processes: int
) -> Iterator[tuple[CPUDispatcher, int, float]]:
    """Compile kernels, and give each that is done: how often it was, and in how long.

    What a process cannot compile is left out, and compiled where it is called.
    """
    todo: queue.SimpleQueue = queue.SimpleQueue()
    done: queue.SimpleQueue = queue.SimpleQueue()
    for item in work.items():
        todo.put(item)
    children = [_start() for _ in range(min(processes, len(work)))]
    try:
        for child in children:
            arguments = (child, todo, done)
            threading.Thread(target=_hand_out, args=arguments, daemon=True).start()
        for _ in children:
            yield from iter(done.get, None)
    finally:
        for child in children:
            child.kill()
            child.communicate()


def _start() -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *sys.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # what it may complain of, the caller meets too
    )


def _hand_out(child: Any, todo: queue.SimpleQueue, done: queue.SimpleQueue) -> None:
    """Give a process kernels until there are no more, or it has ended."""
    with suppress(queue.Empty, OSError, ValueError):
        while True:
            kernel, several = todo.get_nowait()
            start = time.perf_counter()
            function = kernel.py_func
            message = pickle.dumps((function.__module__, function.__name__, several))
            child.stdin.write(base64.b64encode(message) + b"\n")
            child.stdin.flush()
            number = int(child.stdout.readline())
            done.put((kernel, number, time.perf_counter() - start))
    done.put(None)


def serve() -> None:
    """Compile what standard input names, and answer with how many were not there."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else may be printed
    for line in sys.stdin.buffer:
        home, name, several = pickle.loads(base64.b64decode(line))
        __import__(home)
        kernel = getattr(sys.modules[home], name)
        for types in several:
            kernel.compile(types)
        answers.write(f"{sum(kernel.stats.cache_misses.values())}\n")
        answers.flush()
