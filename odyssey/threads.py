"""Threads of the kernels: how many, how they wait, and when they cannot run.

Numba runs the loops of parallel kernels on a threading layer, usually GNU OpenMP.  This
module avoids four problems of these layers.

- They start a thread for each core, even if a container is granted the time of only a
  few (``odyssey.cpu_quota``).  Odyssey starts as many as the quota allows.
- GNU OpenMP's threads spin for about 10 ms while they wait for work.  If other programs
  use the same cores, spinning takes time from threads that have work: two threads are
  then five to ten times slower than one.  So they are told to spin briefly and then to
  sleep, unless the environment sets how they wait.
- A child process that was forked after OpenMP started is ended by SIGTERM at its first
  kernel; a grandchild hangs.  Here both get a Python error.
- The layer "workqueue" ends the process if two Python threads run kernels at once.
  Here they take turns.

None of this costs time when a kernel is called: the kernels' class is changed instead,
at the first call of any kernel and after a fork.
"""

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numba
from numba.core import config
from numba.core.registry import CPUDispatcher
from numba.np.ufunc import parallel

from odyssey import forks
from odyssey.cpu_quota import cores_of_quota, cpu_quota
from odyssey.distributed import placement

#: Turns of GNU OpenMP's waiting loop before a thread sleeps; its default is 300,000.
#: On an idle machine this is as fast, see docs/PERFORMANCE.md.
SPIN_COUNT = 1_000

#: Environment variables that set how OpenMP's threads wait.
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")

_kernels: list[CPUDispatcher] = []
_class: type[CPUDispatcher]
_turn = threading.RLock()  # reentrant: a signal handler may run a kernel too
_waits_briefly = False


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
    """Return the default number of threads: as many as the quota allows, or all.

    A rank that has joined others gets its share of the CPUs that it may use.

    NUMBA_NUM_THREADS was set by the user, so it takes precedence over the quota.
    """
    cores = available_cores()
    if "NUMBA_NUM_THREADS" in os.environ:
        return cores
    if share := placement.share():
        return min(share, cores)
    return cores_of_quota(cpu_quota(), cores)


def num_threads() -> int:
    """Return how many threads a kernel called now will use."""
    start()
    return numba.get_num_threads()


def adopt(kernel: Any) -> None:
    """Register a parallel kernel; other functions are ignored."""
    if type(kernel) is CPUDispatcher:
        _kernels.append(kernel)
        kernel.__class__ = _class


def kernels() -> tuple[CPUDispatcher, ...]:
    """Return the parallel kernels that have been imported."""
    return tuple(_kernels)


def start() -> None:
    """Start the threads of the kernels if they have not been started.

    Raises
    ------
    ValueError
        If the threading layer that the settings ask for is not installed.
    """
    if _class is _First:
        started = getattr(parallel, "_is_initialized", True)  # by other code
        numba.get_num_threads()  # makes Numba choose a layer
        if not started and "NUMBA_NUM_THREADS" not in os.environ:
            numba.set_num_threads(default_threads())
        in_turns = numba.threading_layer() == "workqueue"
        _become(_InTurns if in_turns else CPUDispatcher)


def _become(kind: type[CPUDispatcher]) -> None:
    global _class
    _class = kind
    for kernel in _kernels:
        kernel.__class__ = kind


@contextlib.contextmanager
def called_as(kind: type[CPUDispatcher]) -> Iterator[None]:
    """Give all kernels the class ``kind``, which decides their calls, for a while."""
    start()
    usual = _class
    _become(kind)
    try:
        yield
    finally:
        _become(usual)


def _after_fork() -> None:
    global _turn
    _turn = threading.RLock()  # a thread that was not forked may hold the old one
    if forks.openmp_is_lost:
        _become(_Forked)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def wait_briefly() -> None:
    """Load GNU OpenMP so that its threads spin briefly, unless the user decided.

    OpenMP reads the environment when it is loaded.  So the variable is set for that
    moment only, and does not affect programs started later or other packages' OpenMP.
    """
    global _waits_briefly
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

        _waits_briefly = True
    except ImportError:  # Numba chooses another layer
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
        return "as the threading layer does"
    chosen = [f"{name}={os.environ[name]}" for name in WAITING if name in os.environ]
    if chosen:
        return f"as the environment says ({', '.join(chosen)})"
    if _waits_briefly:
        return f"spin briefly, then sleep (GOMP_SPINCOUNT={SPIN_COUNT})"
    return f"as {vendor} OpenMP does by default"
