"""What the processor offers kernels: vectors, tiles, and what was taken away.

Numba compiles for the features of this processor, or for those that its own variables
name; the width of the kernels' vectors follows from the same features.  The variable
ODYSSEY_DISABLE takes features away, for comparison: ``avx512``, ``amx``.
"""

import ctypes
import os
import platform
import sys
from functools import cache
from pathlib import Path

from llvmlite import binding
from numba.core import config

#: What ODYSSEY_DISABLE may name.
FEATURES = ("avx512", "amx")

#: How Linux is asked for the right to use tiles: arch_prctl of x86-64, its request
#: ARCH_REQ_XCOMP_PERM, and the number of the tiles' state, XFEATURE_XTILEDATA.
ARCH_PRCTL, REQUEST_PERMISSION, TILE_STATE = 158, 0x1023, 18


def disabled() -> frozenset[str]:
    """Return what the environment variable ODYSSEY_DISABLE takes away.

    Raises
    ------
    ValueError
        If it names something else than the `FEATURES`.
    """
    names = os.environ.get("ODYSSEY_DISABLE", "").lower().replace(",", " ").split()
    for name in names:
        if name not in FEATURES:
            raise ValueError(
                f"ODYSSEY_DISABLE: expected {' or '.join(FEATURES)}, got {name!r}"
            )
    return frozenset(names)


def compiled_for() -> frozenset[str]:
    """Return the features that Numba compiles for, by LLVM's names."""
    if config.CPU_FEATURES is not None:
        signed = config.CPU_FEATURES.split(",")
        return frozenset(name[1:] for name in signed if name.startswith("+"))
    try:
        host = binding.get_host_cpu_features()
    except RuntimeError:  # LLVM does not know this processor
        return frozenset()
    return frozenset(
        name
        for name, there in host.items()
        if there and (config.ENABLE_AVX or not name.startswith("avx"))
    )


def vector_bytes() -> int:
    """Return how many bytes a vector of the kernels has: 64, 32 or 16."""
    features = compiled_for()
    if {"avx512f", "avx512bw", "avx512vl"} <= features and "avx512" not in disabled():
        return 64
    return 32 if {"avx2", "fma"} <= features else 16


@cache
def why_no_amx() -> str:
    """Return why bfloat16 is not multiplied on tiles (AMX), an empty text if it is.

    Linux lends a process the tiles' registers when it asks for them, and ends one that
    has not asked at its first tile instruction.  So this asks, once: the right is for
    all threads of the process and what is forked from it, a program that is started
    asks anew.  Linux refuses where the processor has no tiles, whatever Numba is told,
    where a container's filter does, and where a thread has set up a stack for signals
    that has no room for the tiles.
    """
    if "amx" in disabled():
        return "taken away by ODYSSEY_DISABLE"
    if config.DISABLE_JIT:
        return "nothing is compiled (NUMBA_DISABLE_JIT)"
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "for Linux on x86-64 alone"
    if not {"amx-tile", "amx-bf16"} <= compiled_for():
        return "this processor has none, or Numba compiles for one without"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ARCH_PRCTL, REQUEST_PERMISSION, TILE_STATE):
        return f"Linux refuses them ({os.strerror(ctypes.get_errno())})"
    return ""


def has_amx() -> bool:
    """Tell whether kernels may use tiles: the processor has them, Linux lends them."""
    return not why_no_amx()


@cache
def cache_bytes(level: int) -> int:
    """Return the size of a core's data cache of level 1 or 2, in bytes.

    Where the system does not tell, it is that of common processors.
    """
    sizes = {1: 32 * 1024, 2: 1024 * 1024}
    for entry in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            found, kind, size = (
                (entry / name).read_text().strip() for name in ("level", "type", "size")
            )
        except OSError:
            continue
        if int(found) == level and kind != "Instruction" and size.endswith("K"):
            return int(size[:-1]) * 1024
    return sizes[level]
