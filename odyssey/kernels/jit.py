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

Numba's cache knows a kernel by the source of its own file, not by that of helpers it
imports: so a kernel and the jitted helpers it calls stand in the same file.
"""

from numba import njit

FASTMATH = frozenset({"reassoc", "contract", "nsz", "arcp", "afn"})

_COMMON = {"cache": True, "error_model": "numpy", "fastmath": set(FASTMATH)}

#: Compiles a helper that runs in the calling thread.
serial = njit(**_COMMON, nogil=True)

#: Compiles a kernel whose ``prange`` loops run over the cores.
parallel = njit(**_COMMON, parallel=True)
