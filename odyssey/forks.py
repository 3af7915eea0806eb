"""Whether this process was forked from one in which GNU OpenMP had begun.

OpenMP does not survive that, see ``odyssey.threads``.  This stands apart from it, to be
there from ``import odyssey`` on, which does not import Numba.
"""

import os
import sys

#: Whether OpenMP cannot work in this process.
openmp_is_lost = False


def openmp_vendor() -> str | None:
    """Return whose OpenMP runs Numba's loops, None if none does so far."""
    parallel = sys.modules.get("numba.np.ufunc.parallel")
    if getattr(parallel, "_threading_layer", None) != "omp":
        return None
    pool = sys.modules.get("numba.np.ufunc.omppool")
    return getattr(pool, "openmp_vendor", "unknown")


def _after_fork() -> None:
    global openmp_is_lost
    openmp_is_lost = openmp_is_lost or openmp_vendor() == "GNU"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
