"""BLAS inside kernels: which library it is, and how it is limited to one thread.

Inside a kernel ``np.dot`` is Numba's, which calls the BLAS that comes with SciPy.  The
threads of the kernel already keep every core busy, so threads of BLAS would only slow
them down: BLAS is limited to one thread while such a kernel runs.
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
_limiter: Any = None  # of threadpoolctl, while BLAS is limited


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread; the last of several callers restores its threads."""
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
