"""What Odyssey runs on: versions, threads, vectors, and where kernels are kept."""

import os
import platform
import tempfile
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core.registry import cpu_target

import odyssey
from odyssey import processor
from odyssey.cpu_quota import cpu_quota
from odyssey.distributed import placement
from odyssey.distributed.join import versions as mpi_versions
from odyssey.distributed.placement import named, plural
from odyssey.kernel_cache import settings
from odyssey.threads import how_threads_wait, num_threads, process_cores

#: Vector instructions that matter to the kernels, as LLVM calls them.
SIMD = {
    "AVX2": "avx2",
    "FMA": "fma",
    "AVX-512F": "avx512f",
    "AVX-512BW": "avx512bw",
    "AVX-512DQ": "avx512dq",
    "AVX-512VL": "avx512vl",
    "NEON": "neon",
    "SVE": "sve",
}


def versions() -> dict[str, str]:
    """Return the versions of Odyssey, Python and the packages that kernels use."""
    return {
        "odyssey": odyssey.__version__,
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "Numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
    }


def vectors() -> str:
    """Return how wide the vectors of kernels are, and whether they could be wider."""
    size = processor.vector_bytes()
    words = f"{size} bytes, {size // 4} float32"
    gone = "avx512" in processor.disabled()
    return f"{words} (without avx512: ODYSSEY_DISABLE)" if gone else words


def environment() -> str:
    """Return threads, vectors and versions as one line, for a run's first line."""
    name, *others = (f"{name} {version}" for name, version in versions().items())
    threads = f"{num_threads()} threads"
    wide = f"vectors of {processor.vector_bytes()} bytes"
    return ", ".join([name, threads, wide, *others])


def collect() -> dict[str, Any]:
    """Return all facts, as values that JSON can hold."""
    from odyssey.kernels.elementwise import relu_forward

    x = np.zeros(1, np.float32)
    try:
        relu_forward(x, x)  # the threading layer is chosen when a kernel runs
        layer, threads = numba.threading_layer(), numba.get_num_threads()
    except ValueError as error:  # the layer is not installed, or NUMBA_DISABLE_JIT
        layer, threads = f"none: {' '.join(str(error).split())}", 1
    _, cpu, features = cpu_target.target_context.codegen().magic_tuple()
    features = features.split(",")
    folder = getattr(getattr(relu_forward, "stats", None), "cache_path", None)
    return {
        "versions": versions(),
        "platform": platform.platform(),
        "cores": {
            "machine": os.cpu_count(),
            "process": process_cores(),
            "quota": cpu_quota(),
        },
        "threads": threads,
        "threading_layer": layer,
        "threads_wait": how_threads_wait(),
        "vector_bytes": processor.vector_bytes(),
        "cpu": cpu,
        "simd": [name for name, flag in SIMD.items() if f"+{flag}" in features],
        "tiles": {
            "used": processor.has_amx(),
            "why_not": processor.why_no_amx() or None,
        },
        "settings": {name: str(value) for name, value in settings().items()},
        "cache": {"folder": folder, "writable": _is_writable(folder)},
        "mpi": _mpi(),
    }


def _mpi() -> dict[str, Any] | None:
    """Return MPI's versions, and where each rank runs; None for a process alone."""
    places, counts = placement.places(), placement.threads()
    if not places:
        return None
    ranks = [
        {"rank": rank, "host": place.host, "cpus": place.cpus, "threads": count}
        for rank, (place, count) in enumerate(zip(places, counts, strict=True))
    ]
    line = placement.described(places, counts)
    return {**mpi_versions(), "summary": line, "ranks": ranks}


def describe(known: dict[str, Any]) -> str:
    """Return the facts of ``collect`` as lines of text."""
    cores, cache = known["cores"], known["cache"]
    folder = f"{cache['folder']}, {'' if cache['writable'] else 'not '}writable"
    if cache["folder"] is None:
        folder = "no folder can be written to; NUMBA_CACHE_DIR can name one"
    if numba.config.DISABLE_JIT:
        folder = "nothing is compiled (NUMBA_DISABLE_JIT)"
    unusual = [f"{name}={value}" for name, value in known["settings"].items()]
    tiles = "yes" if known["tiles"]["used"] else f"no: {known['tiles']['why_not']}"
    of_process = f"{cores['machine']}, {cores['process']} of them for this process"
    if cores["quota"] is not None:
        of_process += f", granted the time of {cores['quota']:g}"
    rows = [
        *known["versions"].items(),
        ("platform", known["platform"]),
        ("cores", of_process),
        ("threads", known["threads"]),
        ("threading layer", known["threading_layer"]),
        ("threads wait", known["threads_wait"]),
        ("CPU", known["cpu"]),
        ("SIMD", ", ".join(known["simd"]) or "none of " + ", ".join(SIMD)),
        ("vectors", vectors()),
        ("tiles (AMX)", tiles),
        ("code settings", ", ".join(unusual) or "all as usual"),
        ("kernel cache", folder),
        *_rows_of_mpi(known["mpi"]),
    ]
    return "\n".join(f"{name:<16} {value}" for name, value in rows)


def _rows_of_mpi(mpi: dict[str, Any] | None) -> list[tuple[str, str]]:
    if mpi is None:
        return []
    return [
        ("MPI", f"{mpi['library']}, mpi4py {mpi['mpi4py']}"),
        ("launcher", mpi["launcher"]),
        ("ranks", mpi["summary"]),
        *(
            (
                f"rank {of['rank']}",
                f"{of['host']}, {named(of['cpus'])}, {plural(of['threads'], 'thread')}",
            )
            for of in mpi["ranks"]
        ),
    ]


def _is_writable(folder: str | None) -> bool:
    if folder is None:
        return False
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True
