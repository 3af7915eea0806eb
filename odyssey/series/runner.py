"""Does the runs of a series, each in a process of its own."""

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from odyssey.errors import InputError, Interrupted, os_reason
from odyssey.output import say
from odyssey.series.process import Child
from odyssey.series.results import Epochs, Result, read_epochs
from odyssey.series.rows import Row
from odyssey.training.log_lines import first_and_last, missing
from odyssey.training.signals import StopRequested

LAST_LINES = 5  # of the log of a run that failed


class Run(NamedTuple):
    """One run of the series."""

    name: str
    seed: int
    folder: Path
    options: list[str]  # of the program
    program: Path  # train.py

    @property
    def command(self) -> list[str]:
        """The words of the command, which is run without a shell."""
        return [sys.executable, str(self.program), *self.options]


def epochs_of(run: Run) -> tuple[Epochs, str]:
    """Return the epochs of a run; if they cannot be read, [] and the reason."""
    try:
        return read_epochs(run.folder), ""
    except InputError as error:
        return [], str(error)
    except OSError as error:
        return [], os_reason(error)


def train_one(run: Run, number: str, epochs: int, child: Child) -> Epochs | None:
    """Do a run and print its outcome; return its epochs, None if it failed.

    Raises
    ------
    StopRequested
        If a signal came.
    """
    log = run.folder.with_name(f"{run.folder.name}.log")
    before, _ = epochs_of(run)
    say(f"{number} {run.folder.name}: starting, output in {log}")
    status, output = child.run(run.command, log)
    metrics, damage = epochs_of(run)
    lost = missing((row["epoch"] for row in metrics), epochs)
    if status == 0 and len(metrics) == epochs and not lost:
        outcome = "was finished before" if metrics == before else "done"
        accuracy = metrics[-1]["test_accuracy"]
        say(f"{number} {run.folder.name}: {outcome}, last test accuracy {accuracy:.2%}")
        return metrics
    reason = f"exit status {status}"
    if status == 0:
        without = f", without {first_and_last(lost)}" if lost else ""
        counted = f"metrics.csv has {len(metrics)} of {epochs} epochs{without}"
        reason = damage or counted
    elif status < 0:
        reason = f"killed by {signal.Signals(-status).name}"
    say(f"{number} {run.folder.name}: FAILED, {reason}")
    for line in output.splitlines()[-LAST_LINES:]:
        say(f"    {line}")
    return None


def train_all(runs: list[Run], epochs: int, rows: Mapping[str, Row]) -> list[Result]:
    """Do all runs, even if some fail; return the result of each row.

    Raises
    ------
    Interrupted
        After a signal, when the current run has saved its checkpoint.
    """
    results = {r.name: Result(r.name, 0, {}, rows[r.name].published) for r in runs}
    with Child() as child:
        for number, run in enumerate(runs, 1):
            try:
                metrics = train_one(run, f"{number}/{len(runs)}", epochs, child)
            except StopRequested:
                advice = "the same command continues from there"
                assert child.signum is not None  # it caused StopRequested
                raise Interrupted(child.signum, advice) from None
            result = results[run.name]
            done = result.runs | ({run.seed: metrics} if metrics else {})
            results[run.name] = result._replace(wanted=result.wanted + 1, runs=done)
    return list(results.values())
