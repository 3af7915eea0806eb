"""A run's folder: its lock, and the files of an earlier run.

::

    <weights-dir>/
      *.weights, manifest.json     the model: every few epochs, at a stop, at the end
      recipe.yml                   all choices that decide the run's numbers
      metrics.csv  steps.jsonl     the measurements
      checkpoints/step-00001234/   everything that a resume needs
      evaluation.npz  environment.json  profile.json   for the report, see keepsakes.py
      report.html                  by ``python -m odyssey report``
      .lock                        held by the running trainer
"""

import os
import shutil
from pathlib import Path

from odyssey.errors import InputError, ProgramError, remedy
from odyssey.training.logs import naming
from odyssey.weights.files import (
    TEMPORARY,
    WeightsError,
    make_directory,
    remove_leftovers,
    take_lock,
)
from odyssey.weights.folder import PENDING, read_listed

#: The files for the report, and the report.
EVALUATION, ENVIRONMENT = "evaluation.npz", "environment.json"
PROFILE, REPORT = "profile.json", "report.html"


class RunFolder:
    """The folder of one run, locked from `open` until `close`."""

    def __init__(self, directory: str | os.PathLike) -> None:
        self.path = Path(directory)
        self.recipe = self.path / "recipe.yml"
        self.metrics = self.path / "metrics.csv"
        self.steps = self.path / "steps.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self._lock = self.path / ".lock"
        self._lock_fd: int | None = None

    def open(self) -> "RunFolder":
        """Create the folder if needed, take its lock and check that it is writable.

        Raises
        ------
        ProgramError
            If another process trains here; the message has its pid.
        OSError
            If the folder cannot be created or written.
        """
        make_directory(self.path)
        try:
            with naming(self._lock):
                self._take_lock()
            remove_leftovers(self.path)  # of a process killed while it wrote
            probe = self.path / f".tmp-probe-{os.getpid()}"
            try:
                with naming(probe), open(probe, "wb") as file:
                    file.write(b"\n")
            finally:
                probe.unlink(missing_ok=True)
        except BaseException:
            self.close()
            raise
        return self

    def _take_lock(self) -> None:
        self._lock_fd = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            take_lock(self._lock_fd, self.path, wait=False)
        except BlockingIOError:
            holder = os.pread(self._lock_fd, 32, 0).decode("ascii", "replace").strip()
            raise ProgramError(
                f"{self.path}: another trainer is at work in this folder "
                f"(pid {holder or 'unknown'})"
            ) from None
        # The pid is only for that message: the kernel releases the lock when its holder
        # ends, however it ends.
        os.ftruncate(self._lock_fd, 0)
        os.pwrite(self._lock_fd, b"%d\n" % os.getpid(), 0)

    def close(self) -> None:
        """Release the lock."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def __enter__(self) -> "RunFolder":
        return self.open()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def saved_position(self) -> tuple[int, int] | None:
        """Return step and epoch of the weights here, None unless they are intact."""
        try:
            manifest = read_listed(self.path, with_tensors=False).manifest
        except (WeightsError, OSError):
            return None
        return manifest.get("step", -1), manifest.get("epoch", -1)

    def old_run(self) -> list[Path]:
        """Return the files and folders that a run has left here."""
        kept = [self.path / n for n in (EVALUATION, ENVIRONMENT, PROFILE, REPORT)]
        logs = [self.metrics, self.steps, self.recipe, *kept]
        logs = [p for p in logs if p.exists()]
        weights = sorted(self.path.glob("*.weights"))
        manifests = [self.path / "manifest.json", self.path / PENDING]
        manifests = [p for p in manifests if p.exists()]
        # Temporary names are not of a run: the next save deletes them.
        checkpoints = sorted(
            (p for p in self.checkpoints.glob("*") if not p.name.startswith(TEMPORARY)),
            reverse=True,
        )
        return [*checkpoints, *logs, *weights, *manifests]

    def refuse_old_run(self) -> None:
        """Raise `InputError` if the folder holds a run already."""
        if found := self.old_run():
            names = ", ".join(str(p.relative_to(self.path)) for p in found[:3])
            raise InputError(
                f"{self.path} already holds a run ({names}{', …' * (len(found) > 3)})"
                + remedy("a run is there")
            )

    def clear(self) -> None:
        """Delete the run in this folder, and nothing else.

        Manifests go last: while one exists, an incomplete set of weights does not load.
        """
        for path in self.old_run():
            with naming(path):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
