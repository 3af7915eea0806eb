"""Compile kernels in several processes at once, each kernel in one of them.

Numba holds a lock while it compiles, so threads cannot compile at once.  Instead each
core gets a process, which takes the next kernel whenever it has finished one, and saves
the compiled kernels in the folder that all processes share.

The combinations of types are found by calling the operations while the kernels only
record the types of their arguments, see `combinations`.
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

#: The program of each process; its arguments are the folders to import from.
PROGRAM = """
import sys
sys.path[:] = sys.argv[1:]
from odyssey import compiling_together
compiling_together.serve()
"""


def combinations(calls: Iterable[Callable]) -> dict[CPUDispatcher, list[Types]]:
    """Return the combinations of types with which calls use each kernel.

    The calls do everything except run kernels, so they compute with uninitialised
    memory.  If a call fails because of that, the kernels after that point are missing.
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
    """Return the combinations that are not in the folder, largest kernels first."""
    kept = {
        kernel: [types for types in several if not _is_kept(kernel, types)]
        for kernel, several in found.items()
    }
    some = [kernel for kernel in kept if kept[kernel]]
    some.sort(key=lambda kernel: -_size(kernel) * len(kept[kernel]))
    return {kernel: kept[kernel] for kernel in some}


def _is_kept(kernel: CPUDispatcher, types: Types) -> bool:
    if not isinstance(kernel._cache, KernelCache):  # no folder can be written to
        return True
    return kernel._cache.holds(types, kernel.targetctx)


def _size(kernel: Dispatcher) -> int:
    """Return the length of the bytecode of a kernel with all its helpers.

    The time to compile is roughly proportional to it.
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
    """Compile kernels; yield each with its number of new versions and the seconds.

    A kernel that a process cannot compile is left out; its first call compiles it.
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
        stderr=subprocess.DEVNULL,  # the caller gets the same errors later
    )


def _hand_out(child: Any, todo: queue.SimpleQueue, done: queue.SimpleQueue) -> None:
    """Give kernels to a process until none is left, or the process has ended."""
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
    """Compile the kernels named on standard input; answer the number of new ones."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # other output must not mix with the answers
    for line in sys.stdin.buffer:
        home, name, several = pickle.loads(base64.b64decode(line))
        __import__(home)
        kernel = getattr(sys.modules[home], name)
        for types in several:
            kernel.compile(types)
        answers.write(f"{sum(kernel.stats.cache_misses.values())}\n")
        answers.flush()
