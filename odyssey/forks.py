"""Whether this process was forked from one in which GNU OpenMP was running.

OpenMP does not survive a fork, see ``odyssey.threads``.  This is a module of its own
because ``import odyssey`` loads it, and must not import Numba.
"""

import os
import sys

#: Whether OpenMP cannot work in this process.
openmp_is_lost = False


def openmp_vendor() -> str | None:
    """Return the vendor of the OpenMP that Numba uses, None if it uses none so far."""
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
