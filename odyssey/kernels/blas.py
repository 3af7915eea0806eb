"""BLAS inside kernels: which library, and how its threads are kept out of the way.

Inside a kernel ``np.dot`` is Numba's, and that calls the BLAS that SciPy brings.  Its
own threads would fight with those of the kernel, which already keep every core busy:
so it is held to one thread while such a kernel runs, and then has its own number again.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import scipy.linalg.cython_blas  # noqa: F401  (loaded, so that the controller sees it)
from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_holders = 0
_limiter: Any = None  # of threadpoolctl, while BLAS is held


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread; the last of several callers to leave restores it."""
    global _holders, _limiter
    with _lock:
        if _holders == 0:
            _limiter = _libraries().limit(limits=1)
        _holders += 1
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            if _holders == 0:
                _limiter.restore_original_limits()
