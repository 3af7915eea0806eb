"""The only Numba decorators of the package, so that its flags are in one place.

``fastmath=True`` would let LLVM assume that NaN and Inf never occur, and a NaN loss
would then go unseen.  The flags below are the ones that vectorise sums without that
assumption:

- ``reassoc``: sums may be regrouped, which lets a reduction use SIMD lanes
- ``contract``: ``a * b + c`` may become one fused multiply-add
- ``nsz``: -0.0 and 0.0 need not be told apart
- ``arcp``: division by a common value may become multiplication by its reciprocal
- ``afn``: elementary functions may be approximated

``nnan`` and ``ninf`` are left out on purpose.  ``error_model="numpy"`` makes 1/0 give
Inf instead of raising, as in NumPy.

Compiled kernels are kept in a folder for the next run.  Numba knows them by the source
of their own file, not by that of helpers it imports: so a kernel and the jitted helpers
it calls stand in the same file.
"""

import functools
import warnings
from collections.abc import Callable

from numba import njit

FASTMATH = frozenset({"reassoc", "contract", "nsz", "arcp", "afn"})


def _compiler(**options: bool) -> Callable[[Callable], Callable]:
    """Return a decorator that compiles a function when it is first called."""
    options = {"error_model": "numpy", "fastmath": set(FASTMATH), **options}

    def decorate(function: Callable) -> Callable:
        try:
            return njit(**options, cache=True)(function)
        except RuntimeError:  # no folder that can be written to
            _warn_that_nothing_is_kept()
            return njit(**options)(function)

    return decorate


@functools.cache
def _warn_that_nothing_is_kept() -> None:
    warnings.warn(
        "there is no folder to keep compiled kernels in, so every run compiles its "
        "own; the environment variable NUMBA_CACHE_DIR can name one",
        RuntimeWarning,
        stacklevel=3,
    )


#: Compiles a helper that runs in the calling thread.
serial = _compiler(nogil=True)

#: Compiles a kernel whose ``prange`` loops run over the cores.
parallel = _compiler(parallel=True)
