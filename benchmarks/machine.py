"""The machine and software of a benchmark: processor, threads, versions, BLAS."""

import os
import platform
import sys
from importlib import metadata
from pathlib import Path

import numpy  # noqa: F401  (loads its BLAS, so that it is listed)
from contenders import is_installed
from threadpoolctl import threadpool_info

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

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
        "vectors": info.vectors(),
        "blas": blas_libraries(),
        "versions": info.versions() | peers,
    }


def blas_libraries() -> list[dict]:
    """Return name, version and architecture of each BLAS that is loaded."""
    return [
        {
            "name": library["internal_api"],
            "version": library["version"],
            "architecture": library.get("architecture"),
        }
        for library in threadpool_info()
        if library["user_api"] == "blas"
    ]


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
        f"vectors of {machine['vectors']}; NumPy's BLAS: {', '.join(blas) or 'none'}"
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
