"""The machine and software of a benchmark: processor, threads, versions, BLAS."""

import os
import platform
import sys
from importlib import metadata
from pathlib import Path

from contenders import is_installed

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import odyssey.kernels.blas  # noqa: F401  (loads SciPy's, so that it is listed)
from odyssey import info


def describe(threads: int, packages: tuple[str, ...] = ()) -> dict:
    """Return processor, threads, BLAS and the versions of the packages."""
    peers = {name: metadata.version(name) for name in packages if is_installed(name)}
    return {
        "cpu": _cpu_name(),
        "cores": info.process_cores(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": threads,
        "blas": info.blas_libraries(),
        "versions": info.versions() | peers,
    }


def as_text(machine: dict) -> str:
    """Return what `describe` found, as three lines of text."""
    versions = (f"{name} {version}" for name, version in machine["versions"].items())
    blas = (
        f"{library['name']} {library['version']} ({library['architecture']})"
        for library in machine["blas"]
    )
    memory = machine["memory_gib"]
    return (
        f"{machine['cpu']}, {machine['cores']} cores"
        f"{f', {memory:.0f} GiB' if memory else ''}, {machine['system']}; "
        f"{machine['threads']} threads\n{', '.join(versions)}\n"
        f"BLAS: {', NumPy has '.join(blas) or 'none found'}"
    )


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (AttributeError, ValueError, OSError):
        return None
