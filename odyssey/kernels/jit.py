"""The only Numba decorators of the package, so that its flags are in one place.

``fastmath=True`` would let LLVM assume that NaN and Inf never occur, so that a NaN loss
would not be noticed.  It would also let LLVM reorder sums.  LLVM compiles a loop twice:
with SIMD, and without it for arrays that overlap or nearly overlap.  With different
orders in the two versions, the bits of a sum would depend on the addresses of its
arrays.  So sums are computed in the order in which they are written, and a sum that is
to use several SIMD lanes is written as several sums.

None of its single flags is used either.  With ``contract`` LLVM may fuse a product with
a sum, and chooses where: of ``a*b + c*d`` either product, or none if they are computed
in another block.  It chooses anew whenever code is linked and optimised again, so that
a kernel had other bits in the process that compiled it than where it was loaded from
the cache (Numba 0.68.1).  What is to be fused is written as ``simd.fma``.

``error_model="numpy"`` makes 1/0 give Inf instead of raising, as in NumPy.

Compiled kernels are kept in a folder for the next run, see ``odyssey.kernel_cache``.
"""

from collections.abc import Callable

from numba import njit
from numba.core.dispatcher import Dispatcher

import odyssey.compiling  # noqa: F401  (reports what is compiled)
from odyssey import threads
from odyssey.kernel_cache import KernelCache, warn_that_nothing_is_kept

threads.wait_briefly()
OPTIONS = {"error_model": "numpy"}


def _compiler(**chosen: bool) -> Callable[[Callable], Callable]:
    """Return a decorator that compiles a function when it is first called."""
    options = {**OPTIONS, **chosen}

    def decorate(function: Callable) -> Callable:
        kernel = njit(**options)(function)
        if isinstance(kernel, Dispatcher):  # and not the function (NUMBA_DISABLE_JIT)
            try:
                kernel._cache = KernelCache(function)  # Numba has no public name for it
            except RuntimeError:  # there is no folder that can be written
                warn_that_nothing_is_kept()
            except (
                AttributeError,
                TypeError,
            ):  # a version of Numba with other internals
                kernel.enable_caching()
        if options.get("parallel"):
            threads.adopt(kernel)
        return kernel

    return decorate


#: Compiles a helper that runs in the calling thread.
serial = _compiler(nogil=True)

#: Compiles a kernel whose ``prange`` loops run over the cores.
parallel = _compiler(parallel=True)
