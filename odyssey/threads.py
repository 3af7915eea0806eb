"""Threads of the kernels: how many, how they wait, and where they must not run.

Numba leaves the loops of parallel kernels to a threading layer, most often to GNU
OpenMP.  Four things about those layers would surprise a user of this library.

- They start a thread for each core, also where a container is granted the time of few
  (``odyssey.cpu_quota``): what Odyssey starts fits the quota.
- GNU OpenMP's threads spin for some 10 ms while they wait for work.  Beside other work
  on the same cores that takes from those that have something to do: two threads are
  then a fifth to a tenth as fast as one.  So they are told to spin briefly and then to
  sleep, unless the environment says how they shall wait.
- A child process that was forked after OpenMP had begun is ended by SIGTERM at its
  first kernel, a grandchild waits for ever.  Here both get a Python error.
- The layer "workqueue" ends the process where two Python threads run kernels at once.
  Here they take turns.

A kernel looks nothing up for that when it is called: what changes is its class, at the
first call of any kernel and after a fork.
"""

import ctypes
import os
import sys
import threading
from typing import Any

import numba
from numba.core import config
from numba.core.registry import CPUDispatcher
from numba.np.ufunc import parallel

from odyssey import forks
from odyssey.cpu_quota import cores_of_quota, cpu_quota

#: Turns of GNU OpenMP's waiting loop before a thread sleeps; its own are 300,000.  On
#: a quiet machine nothing is lost by it, see docs/PERFORMANCE.md.
SPIN_COUNT = 1_000

#: Variables by which a user says how OpenMP's threads shall wait.
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")

_kernels: list[CPUDispatcher] = []
_class: type[CPUDispatcher]
_turn = threading.RLock()  # a signal's handler may run a kernel too
_briefly = False


class _First(CPUDispatcher):
    """A kernel before the first call of any: starts the threads."""

    def __call__(self, *args: Any, **named: Any) -> Any:
        start()
        return self(*args, **named)


class _InTurns(CPUDispatcher):
    """A kernel of the layer "workqueue"."""

    def __call__(self, *args: Any, **named: Any) -> Any:
        with _turn:
            return super().__call__(*args, **named)


class _Forked(CPUDispatcher):
    """A kernel in a process in which OpenMP cannot work any more."""

    def __call__(self, *args: Any, **named: Any) -> Any:
        raise RuntimeError(
            "kernels cannot run in a process forked from one that has run kernels: "
            "GNU OpenMP does not survive a fork; start the process by the method "
            "'spawn' or 'forkserver' of multiprocessing, or set "
            "NUMBA_THREADING_LAYER=workqueue before"
        )


_class = _Forked if forks.openmp_is_lost else _First


def process_cores() -> int:
    """Return how many cores this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def available_cores() -> int:
    """Return how many threads kernels may use on this machine."""
    return min(process_cores(), config.NUMBA_NUM_THREADS)


def default_threads() -> int:
    """Return how many threads kernels use unless they are told: a quota's, or all.

    NUMBA_NUM_THREADS has been told, so that it stands above the quota.
    """
    cores = available_cores()
    if "NUMBA_NUM_THREADS" in os.environ:
        return cores
    return cores_of_quota(cpu_quota(), cores)


def num_threads() -> int:
    """Return how many threads a kernel called now will use."""
    start()
    return numba.get_num_threads()


def adopt(kernel: Any) -> None:
    """Take care of a parallel kernel, if it is one and no plain function."""
    if type(kernel) is CPUDispatcher:
        _kernels.append(kernel)
        kernel.__class__ = _class


def kernels() -> tuple[CPUDispatcher, ...]:
    """Return the parallel kernels that have been imported."""
    return tuple(_kernels)


def start() -> None:
    """Start the threads of the kernels, unless that is done.

    Raises
    ------
    ValueError
        If the threading layer that is asked for is not there.
    """
    if _class is _First:
        begun = getattr(parallel, "_is_initialized", True)  # and set by somebody else
        numba.get_num_threads()  # has Numba choose a layer
        if not begun and "NUMBA_NUM_THREADS" not in os.environ:
            numba.set_num_threads(default_threads())
        in_turns = numba.threading_layer() == "workqueue"
        _become(_InTurns if in_turns else CPUDispatcher)


def _become(kind: type[CPUDispatcher]) -> None:
    global _class
    _class = kind
    for kernel in _kernels:
        kernel.__class__ = kind


def _after_fork() -> None:
    global _turn
    _turn = threading.RLock()  # the old one may be held by a thread that is not here
    if forks.openmp_is_lost:
        _become(_Forked)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def wait_briefly() -> None:
    """Load GNU OpenMP so that its threads spin briefly, if nobody has said otherwise.

    It reads the environment when it is loaded, so that the variable is set for that
    moment only: programs started later, and the OpenMP that other packages bring, keep
    their own way.
    """
    global _briefly
    layer = str(config.THREADING_LAYER).lower()
    if (
        sys.platform != "linux"
        or layer not in ("default", "omp", "threadsafe")
        or any(name in os.environ for name in WAITING)
        or _is_loaded("libgomp.so.1")
    ):
        return
    os.environ["GOMP_SPINCOUNT"] = str(SPIN_COUNT)
    try:
        import numba.np.ufunc.omppool  # noqa: F401

        _briefly = True
    except ImportError:  # Numba will do with another layer
        pass
    finally:
        del os.environ["GOMP_SPINCOUNT"]


def _is_loaded(library: str) -> bool:
    try:
        ctypes.CDLL(library, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
    except OSError:
        return False
    return True


def how_threads_wait() -> str:
    """Return in words how the threads of the kernels wait for work."""
    vendor = forks.openmp_vendor()
    if vendor is None:
        return "as the threading layer has it"
    chosen = [f"{name}={os.environ[name]}" for name in WAITING if name in os.environ]
    if chosen:
        return f"as the environment says ({', '.join(chosen)})"
    if _briefly:
        return f"spin briefly, then sleep (GOMP_SPINCOUNT={SPIN_COUNT})"
    return f"as {vendor} OpenMP has it"
