"""The only Numba decorators of the package, so that its flags are in one place.

``fastmath=True`` would let LLVM assume that NaN and Inf never occur, and a NaN loss
would then go unseen; and it would let LLVM regroup sums.  LLVM compiles a loop twice,
with SIMD, and without it for arrays that overlap or nearly do.  Were the two versions
grouped differently, the same sum would have other bits, depending on where its arrays
happen to lie.  So sums are added up as they are written; a sum that should use several
lanes is written with several.  Two flags are left:

- ``contract``: ``a * b + c`` may become one fused multiply-add
- ``nsz``: -0.0 and 0.0 need not be told apart

``error_model="numpy"`` makes 1/0 give Inf instead of raising, as in NumPy.

Compiled kernels are kept in a folder for the next run, see ``odyssey.kernel_cache``.
"""

from collections.abc import Callable

from numba import njit
from numba.core.dispatcher import Dispatcher

import odyssey.compiling  # noqa: F401  (tells of what is compiled)
from odyssey import threads
from odyssey.kernel_cache import KernelCache, warn_that_nothing_is_kept

threads.wait_briefly()
FASTMATH = frozenset({"contract", "nsz"})


def _compiler(**chosen: bool) -> Callable[[Callable], Callable]:
    """Return a decorator that compiles a function when it is first called."""
    options = {"error_model": "numpy", "fastmath": set(FASTMATH), **chosen}

    def decorate(function: Callable) -> Callable:
        kernel = njit(**options)(function)
        if isinstance(kernel, Dispatcher):  # and not the function (NUMBA_DISABLE_JIT)
            try:
                kernel._cache = KernelCache(function)  # Numba has no public name for it
            except RuntimeError:  # no folder that can be written to
                warn_that_nothing_is_kept()
            except (AttributeError, TypeError):  # a Numba that is made in another way
                kernel.enable_caching()
        if options.get("parallel"):
            threads.adopt(kernel)
        return kernel

    return decorate


#: Compiles a helper that runs in the calling thread.
serial = _compiler(nogil=True)

#: Compiles a kernel whose ``prange`` loops run over the cores.
parallel = _compiler(parallel=True)
