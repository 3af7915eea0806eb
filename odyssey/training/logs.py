"""The two logs of a run: a JSON line for each step, a CSV row for each epoch.

Both only ever grow at their end.  A run that resumes from a checkpoint first takes back
what was logged after it, by shortening the file to the last line that still holds: one
system call, which no crash can leave half done.  A log that was damaged, or written by
another program, is set aside under another name, and what of it is intact goes on.
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
    listed,
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
    """A text file of complete lines, written through at once.

    Parameters
    ----------
    path : path
    read : returns what the content of an older file says
    done : steps or epochs of which the lines still hold; later ones are taken back
    unit : what a line is of, for `warning`
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
        #: What a user should know of lines that were lost, None if there is nothing.
        self.warning: str | None = None
        old = read_log(path) if path.exists() else b""
        # There may be nothing yet, or half a header.
        begun = old.startswith(header) or not header.startswith(old)
        log = read(old) if begun else Log([], [])
        kept = [line for line in log.lines if line.place <= done]
        content = b"".join([header * begun, *(line.text for line in kept)])
        self.kept = len(kept)
        if lost := missing((line.place for line in kept), done):
            which = f"{len(lost)} of {done} {unit} missing: {listed(lost)}"
            self.warning = f"{path}: {which}"
        damaged = _damaged_before_the_rest(log, done)
        if damaged or not old.startswith(content):
            aside = set_aside(path, old)
            atomic_write_bytes(path, content)
            why = describe(damaged) or "changed by another program"
            self.warning = (
                f"{path}: {why}; {len(kept)} of {done} {unit} are intact and kept, the "
                f"file as it was is {aside.name}"
            )
        elif len(old) > len(content):
            os.truncate(path, len(content))
        self._file = open(path, "ab")
        if not content:
            self._file.write(header)
            self._file.flush()

    def write(self, line: str) -> None:
        """Append a line and hand it to the operating system."""
        with naming(self.path):
            self._file.write(line.encode())
            self._file.flush()

    def sync(self) -> None:
        """Bring all lines to the disk itself."""
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
        """Append the row of one epoch and bring it to the disk."""
        self.write(csv_line([row[column] for column in self.columns]))
        self.sync()


def set_aside(path: Path, content: bytes) -> Path:
    """Keep ``content`` beside ``path`` as ``NAME.old``, and return where.

    No file is overwritten: the name has a number if need be.  What lies there already,
    word for word, is not written again.
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
    """Return the damage in front of the lines that are to be taken back.

    These begin after the line of ``done``, or with the first that is later.
    """
    if not done:
        return []
    damaged = [*log.damaged, log.torn] if log.torn else log.damaged
    ends = [line.number for line in log.lines if line.place > done][:1]
    ends += [line.number for line in log.lines if line.place == done]
    return [line for line in damaged if not ends or line.number < min(ends)]
