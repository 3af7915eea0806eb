"""The two logs of a run: a JSON line for each step, a CSV row for each epoch.

Both only ever grow at their end.  A run that resumes from a checkpoint first takes back
what was logged after it, by shortening the file to the last line that still holds: one
system call, which no crash can leave half done.
"""

import contextlib
import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

METRICS = (
    "epoch",
    "lr",
    "train_loss",
    "train_accuracy",
    "test_loss",
    "test_accuracy",
    "seconds",
    "images_per_second",
)
VALIDATION = ("val_loss", "val_accuracy")


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
    keep : callable
        ``keep(index, line)`` tells whether a line of an older file still holds; the
        first that does not, and all below it, are taken back.
    """

    def __init__(self, path: Path, keep: Callable[[int, bytes], bool]) -> None:
        self.path = path
        self.lines_kept = 0
        end = 0
        if path.exists():
            with open(path, "rb") as old:
                for index, line in enumerate(old):
                    if not (line.endswith(b"\n") and keep(index, line)):
                        break
                    end += len(line)
                    self.lines_kept += 1
            os.truncate(path, end)
        self._file = open(path, "ab")

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
        super().__init__(
            path,
            lambda index, line: index < steps_done and _step_of(line) == index + 1,
        )

    def append(self, step: int, epoch: int, lr: float, loss: float) -> None:
        """Append the line of one step."""
        record = {"step": step, "epoch": epoch, "lr": lr, "loss": loss}
        record["loss_hex"] = loss.hex()
        self.write(json.dumps(record) + "\n")


class MetricsLog(AppendLog):
    """``metrics.csv``: a header, then one row for each epoch (from 1).

    Accuracies are fractions; floats are written so that they read back exactly.
    """

    def __init__(self, path: Path, rows_done: int, validation: bool) -> None:
        self.columns = METRICS + (VALIDATION if validation else ())
        header = _csv_line(self.columns)
        super().__init__(
            path,
            lambda index, line: (
                line == header.encode()
                if index == 0
                else index <= rows_done and line.startswith(b"%d," % index)
            ),
        )
        self.rows_kept = max(0, self.lines_kept - 1)
        if not self.lines_kept:
            self.write(header)

    def append(self, row: Mapping[str, int | float | str]) -> None:
        """Append the row of one epoch and bring it to the disk."""
        self.write(_csv_line([row[column] for column in self.columns]))
        self.sync()


def _step_of(line: bytes) -> int | None:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return None


def _csv_line(values: object) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
