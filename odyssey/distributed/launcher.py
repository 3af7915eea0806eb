"""Who started this process: an mpiexec, as which of how many ranks, or nobody.

This is read from the environment alone.  So it is known before MPI is there, costs
nothing, and a process that no mpiexec started imports nothing.

=================== ====================================================================
mpiexec of          sets for each rank
=================== ====================================================================
MPICH, Intel MPI    PMI_RANK, PMI_SIZE and a pipe to the launcher, PMI_FD (Hydra)
Open MPI            OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE
MVAPICH             MV2_COMM_WORLD_RANK, MV2_COMM_WORLD_SIZE (its mpirun_rsh)
Slurm (srun)        PMI_RANK and PMI_SIZE by its interface pmi2, for MPICH; by pmix,
                    for Open MPI, PMIX_RANK, with the size in SLURM_STEP_NUM_TASKS.
                    Without either (none, often the default) the tasks know nothing of
                    each other: each is alone, which `warning` says.
=================== ====================================================================
"""

import functools
import os
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import NamedTuple, NoReturn

MPICH = "MPICH"
OPEN_MPI = "Open MPI"
SRUN = "srun"

#: Seconds that a launcher is given to forward a message before the job ends.
FORWARDING = 0.1
#: Seconds within which rank 0 says what all ranks would say.
RANK_0_FIRST = 1.0


class Launch(NamedTuple):
    """How this process was started as a rank.

    Attributes
    ----------
    launcher : the name of the program that started it
    library : the family of MPI libraries that understand it; None if several do
    rank : number of this rank, from 0
    size : number of ranks; None if the launcher does not say
    pmix : whether the ranks can find each other by PMIx alone
    """

    launcher: str
    library: str | None
    rank: int
    size: int | None
    pmix: bool = False


#: Variables with the rank and the size, who sets them, and for which libraries.
_PAIRS = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "Open MPI's mpiexec", OPEN_MPI),
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MVAPICH's mpirun_rsh", MPICH),
)
#: What Hydra sets, the mpiexec of MPICH and of Intel MPI.
_OF_HYDRA = ("HYDI_CONTROL_FD", "MPI_LOCALNRANKS")


def launch_of(environ: Mapping[str, str]) -> Launch | None:
    """Return what an environment says of the launcher; None if there was none."""
    for rank, size, launcher, library in _PAIRS:
        if found := _numbers(environ, rank, size):
            return Launch(launcher, library, *found)
    slurm = "SLURM_STEP_ID" in environ
    if found := _numbers(environ, "PMI_RANK", "PMI_SIZE"):
        if any(name in environ for name in _OF_HYDRA):
            return Launch("MPICH's mpiexec", MPICH, *found)
        return Launch(SRUN if slurm else "an mpiexec", None, *found)
    if "PMIX_NAMESPACE" in environ:
        if slurm:
            if found := _numbers(environ, "PMIX_RANK", "SLURM_STEP_NUM_TASKS"):
                return Launch(SRUN, None, *found, pmix=True)
        elif found := _numbers(environ, "PMIX_RANK", "PMIX_RANK"):
            return Launch("an mpiexec", None, found[0], None, pmix=True)
    return None


def _numbers(environ: Mapping[str, str], *names: str) -> tuple[int, int] | None:
    """Return a rank and a size; None unless both are there, as whole numbers."""
    try:
        rank, size = (int(environ[name]) for name in names)
    except (KeyError, ValueError):
        return None
    return rank, size


def warning(environ: Mapping[str, str]) -> str:
    """Return what is wrong with how processes were started; "" if nothing is.

    One of them is told: srun's task 0.
    """
    if launch_of(environ) is not None or environ.get("SLURM_PROCID") != "0":
        return ""
    found = _numbers(environ, "SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS")
    if found is None or found[1] == 1:
        return ""
    return (
        f"srun started {found[1]} tasks that know nothing of each other: each does the "
        "whole work. srun --mpi=pmi2 (MPICH) or --mpi=pmix (Open MPI) joins them"
    )


@functools.cache
def launched() -> Launch | None:
    """Return how this process was started as one of several ranks; None if it is alone.

    A process is alone too if mpiexec started only one, and if a rank started it, as a
    program of its own: it has the rank's environment, but not the pipe to the launcher.
    """
    found = launch_of(os.environ)
    if found is None or found.size == 1:
        return None
    pipe = os.environ.get("PMI_FD", "")
    return found if not pipe.isdecimal() or _is_open(int(pipe)) else None


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def speaks() -> bool:
    """Return whether this process prints: rank 0 does, and who is alone."""
    found = launched()
    return found is None or found.rank == 0


def fail(message: str, status: int) -> NoReturn:
    """End the job before MPI has begun, with a message and an exit status.

    The ranks cannot speak with each other yet, but most of what can fail here fails on
    all of them alike.  So rank 0 speaks at once and ends the job, and the others speak
    only if they are still there a second later: then rank 0 has not failed.
    """
    found = launched()
    if found is not None and found.rank > 0:
        time.sleep(RANK_0_FIRST)
        message = f"rank {found.rank}: {message}"
    print(message, file=sys.stderr, flush=True)
    if found is None:
        sys.exit(status)
    time.sleep(FORWARDING)
    quit_job(status)


def quit_job(status: int) -> NoReturn:
    """End this process at once, and with it the job, whose MPI may not have begun.

    MPICH's mpiexec does not end a job because a rank has left before it began MPI: the
    others would wait for it forever.  It does if the rank asks for it, on its pipe.
    srun does so only if it was told (--kill-on-bad-exit); what its pipe understands
    before MPI has begun is another language.
    """
    pipe, found = os.environ.get("PMI_FD", ""), launched()
    if found is not None and found.launcher != SRUN and pipe.isdecimal():
        try:
            os.write(int(pipe), f"cmd=abort exitcode={status}\n".encode())
        except OSError:
            pass
    os._exit(status)


def end_job_at_uncaught() -> None:
    """Make an exception that nobody catches end the job, not this rank alone."""
    show = sys.excepthook

    def hook(
        kind: type[BaseException],
        error: BaseException,
        traceback: TracebackType | None,
    ) -> None:
        show(kind, error, traceback)
        time.sleep(FORWARDING)
        quit_job(130 if issubclass(kind, KeyboardInterrupt) else 1)

    if launched() is not None:
        sys.excepthook = hook
