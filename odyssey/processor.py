"""What the processor offers kernels: the width of its vectors, and what was taken away.

Numba compiles for the features of this processor, or for those that its own variables
name; the width of the kernels' vectors follows from the same features.  The variable
ODYSSEY_DISABLE takes features away, for comparison: ``avx512``.
"""

import os
from functools import cache
from pathlib import Path

from llvmlite import binding
from numba.core import config

#: What ODYSSEY_DISABLE may name.
FEATURES = ("avx512",)


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
