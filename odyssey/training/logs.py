"""The two logs of a run: a JSON line for each step, a CSV row for each epoch.

Lines are only appended.  A run that resumes from a checkpoint first removes the lines
logged after it, by truncating the file: one system call, which a crash cannot leave
half done.  A log that was damaged, or changed by another program, is stored under
another name, and its intact lines are written to a new file.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from odyssey.training.log_lines import (
    METRICS,
    VALIDATION,
    Damage,
    Log,
    csv_line,
    describe,
    first_and_last,
    missing,
    read_log,
    read_metrics,
    read_steps,
)
from odyssey.weights.files import atomic_write_bytes


@contextlib.contextmanager
def naming(path: str | os.PathLike) -> Iterator[None]:
    """Add ``path`` to an `OSError` that does not say which file it is about."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = os.fspath(path)
        raise


class AppendLog:
    """A text file of complete lines; each is handed to the system at once.

    Parameters
    ----------
    read : parses the content of an existing file
    done : steps or epochs whose lines are valid; later lines are removed
    unit : "steps" or "epochs", for `warning`
    header : the first line, if there is one
    """

    def __init__(
        self,
        path: Path,
        read: Callable[[bytes], Log],
        done: int,
        unit: str,
        header: bytes = b"",
    ) -> None:
        self.path = path
        #: What the user should know about lost lines; None if there are none.
        self.warning: str | None = None
        old = read_log(path) if path.exists() else b""
        # An earlier run may have written nothing, or part of the header.
        begun = old.startswith(header) or not header.startswith(old)
        log = read(old) if begun else Log([], [])
        kept = [line for line in log.lines if line.place <= done]
        content = b"".join([header * begun, *(line.text for line in kept)])
        self.kept = len(kept)
        if lost := missing((line.place for line in kept), done):
            which = f"{len(lost)} of {done} {unit} missing: {first_and_last(lost)}"
            self.warning = f"{path}: {which}"
        damaged = _damaged_before_the_rest(log, done)
        if damaged or not old.startswith(content):
            aside = set_aside(path, old)
            atomic_write_bytes(path, content)
            why = describe(damaged) or "changed by another program"
            self.warning = (
                f"{path}: {why}; {len(kept)} of {done} {unit} are intact and kept, the "
                f"original is {aside.name}"
            )
        elif len(old) > len(content):
            os.truncate(path, len(content))
        self._file = open(path, "ab")
        if not content:
            self._file.write(header)
            self._file.flush()

    def write(self, line: str) -> None:
        """Append a line and flush it to the operating system."""
        with naming(self.path):
            self._file.write(line.encode())
            self._file.flush()

    def sync(self) -> None:
        """Write all lines to the disk."""
        with naming(self.path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; what could not be written was reported by `write`."""
        with contextlib.suppress(OSError):
            self._file.close()


class StepLog(AppendLog):
    """``steps.jsonl``: step (updates done, from 1), epoch (from 1), lr and loss.

    ``loss_hex`` is ``float.hex()`` of the loss, for comparing runs bit by bit.
    """

    def __init__(self, path: Path, steps_done: int) -> None:
        super().__init__(path, read_steps, steps_done, "steps")

    def append(self, step: int, epoch: int, lr: float, loss: float) -> None:
        """Append the line of one step."""
        record: dict[str, float | str] = {"step": step, "epoch": epoch, "lr": lr}
        record |= {"loss": loss, "loss_hex": loss.hex()}
        self.write(json.dumps(record) + "\n")


class MetricsLog(AppendLog):
    """``metrics.csv``: a header, then one row for each epoch (from 1).

    Accuracies are fractions; floats are written so that they read back exactly.
    """

    def __init__(self, path: Path, rows_done: int, validation: bool) -> None:
        self.columns = METRICS + (VALIDATION if validation else ())
        read = partial(read_metrics, columns=self.columns)
        header = csv_line(self.columns).encode()
        super().__init__(path, read, rows_done, "epochs", header)

    def append(self, row: Mapping[str, int | float | str]) -> None:
        """Append the row of one epoch and write it to the disk."""
        self.write(csv_line([row[column] for column in self.columns]))
        self.sync()


class NoLog:
    """The log of a rank that keeps none."""

    warning = None

    def append(self, *line: object) -> None:
        """Do nothing."""

    def sync(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def set_aside(path: Path, content: bytes) -> Path:
    """Write ``content`` to ``NAME.old`` beside ``path``, and return that path.

    No file is overwritten: if need be, the name gets a number.  A file with the same
    content is not written again.
    """
    number = -1
    while True:
        number += 1
        aside = path.with_name(f"{path.name}.old{number or ''}")
        if not os.path.lexists(aside):
            atomic_write_bytes(aside, content)
            return aside
        with contextlib.suppress(OSError):
            if read_log(aside) == content:
                return aside


def _damaged_before_the_rest(log: Log, done: int) -> list[Damage]:
    """Return the damage before the lines that are to be removed.

    These begin after the line of ``done``, or with the first later one.
    """
    if not done:
        return []
    damaged = [*log.damaged, log.torn] if log.torn else log.damaged
    ends = [line.number for line in log.lines if line.place > done][:1]
    ends += [line.number for line in log.lines if line.place == done]
    return [line for line in damaged if not ends or line.number < min(ends)]
