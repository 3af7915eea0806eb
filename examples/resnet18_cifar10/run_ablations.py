"""Train a series of ablations, one run after the other, and compare what comes out.

    python examples/resnet18_cifar10/run_ablations.py --list
    python examples/resnet18_cifar10/run_ablations.py --config published --seeds 1 2 3
    python examples/resnet18_cifar10/run_ablations.py --all --epochs 5 --dry-run

Rows are in ``ablations.py``, tables and figure in ``ablation_results.py``.  A run is
``train.py --resume`` in a process and a folder of its own.  So it is ``train.py`` that
judges what lies there: nothing yet, a run to go on with, one with nothing left to do,
or one with another recipe, which it refuses.
"""

if __name__ == "__main__":
    import os
    import sys

    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # not with python -P
    import startup

    startup.prepare()

import shlex
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import click
import numba
from ablation_process import Child
from ablation_results import Epochs, Result, read_epochs, report
from ablations import ROWS, SETS, describe, row_options, words
from series_options import SeveralValues, series_options
from train import main as train_command

from odyssey.cli.command import unexpected
from odyssey.cli.option import debug_option
from odyssey.training.errors import InputError, Interrupted, ProgramError, os_reason
from odyssey.training.log_lines import listed, missing
from odyssey.training.lr_options import learning_rate
from odyssey.training.output import goes_on_unheard
from odyssey.training.program import exit_statuses
from odyssey.training.signals import StopRequested
from odyssey.weights.files import make_directory

TRAIN = Path(__file__).with_name("train.py")
LAST_LINES = 5  # of the log of a run that failed
OWN = ("--seed", "--epochs", "--model", "--weights-dir")  # what tells runs apart


class Run(NamedTuple):
    """One run of the series, and the options of train.py that make it."""

    name: str
    seed: int
    folder: Path
    options: list[str]

    @property
    def command(self) -> list[str]:
        """The words of the command, to which no shell adds anything."""
        return [sys.executable, str(TRAIN), *self.options]


def chosen_rows(options: SimpleNamespace) -> list[str]:
    """Return the names of the rows asked for, each once."""
    if options.all:
        return list(ROWS)
    sets = (SETS.get(name, [name]) for name in options.config)
    return list(dict.fromkeys(name for names in sets for name in names))


def shared(options: SimpleNamespace) -> list[str]:
    """Return what all runs are given that can change their numbers, as words."""
    names = ("epochs", "model", "dataset", "limit_train", "val_split")
    given = {f"--{n.replace('_', '-')}": getattr(options, n) or None for n in names}
    return [*words(given), *options.more]


def planned(options: SimpleNamespace) -> list[Run]:
    """Return the runs of a series: all rows with the first seed, then with the next."""
    common = {
        "--dataset": options.dataset,
        "--data-dir": options.data_dir,
        "--limit-train": options.limit_train,
        "--val-split": options.val_split or None,
        "--threads": options.threads,
    }
    runs = []
    for seed in dict.fromkeys(options.seeds or [options.seed]):
        for name in chosen_rows(options):
            folder = Path(options.results_dir) / f"{name}-seed{seed}"
            own = {"--seed": seed, "--weights-dir": folder, "--resume": True}
            made = row_options(name, options.epochs, options.model) | common | own
            runs.append(Run(name, seed, folder, [*words(made), *options.more]))
    return runs


def epochs_of(run: Run) -> tuple[Epochs, str]:
    """Return the epochs of a run, and why there are none if they cannot be read."""
    try:
        return read_epochs(run.folder), ""
    except InputError as error:
        return [], str(error)
    except OSError as error:
        return [], os_reason(error)


def check(runs: list[Run]) -> None:
    """Refuse before the first run what train.py would refuse in one of them.

    Raises
    ------
    click.UsageError
        With train.py's own message.
    """
    threads = numba.get_num_threads()  # --threads sets it when it is read
    try:
        for run in runs:
            words = list(run.options)
            place = words.index("--weights-dir")  # what lies there is the run's affair
            del words[place : place + 2]
            with train_command.make_context(TRAIN.name, words) as context:
                learning_rate(context.params)
    except click.UsageError as error:
        message = f"{run.name}: train.py: {error.format_message()}"
        raise click.UsageError(message) from None
    finally:
        numba.set_num_threads(threads)


def train_one(run: Run, number: str, epochs: int, child: Child) -> Epochs | None:
    """Bring a run to its end and say how it went; return its epochs, None if it failed.

    Raises
    ------
    StopRequested
        If a signal came.
    """
    log = run.folder.with_name(f"{run.folder.name}.log")
    before, _ = epochs_of(run)
    click.echo(f"{number} {run.folder.name}: starting, output in {log}")
    status, output = child.run(run.command, log)
    metrics, damage = epochs_of(run)
    lost = missing((row["epoch"] for row in metrics), epochs)
    if status == 0 and len(metrics) == epochs and not lost:
        what = "was finished before" if metrics == before else "done"
        accuracy = metrics[-1]["test_accuracy"]
        click.echo(
            f"{number} {run.folder.name}: {what}, {accuracy:.2%} on test at the end"
        )
        return metrics
    reason = f"exit status {status}"
    if status == 0:
        without = f", without {listed(lost)}" if lost else ""
        counted = f"metrics.csv has {len(metrics)} of {epochs} epochs{without}"
        reason = damage or counted
    elif status < 0:
        reason = f"killed by {signal.Signals(-status).name}"
    click.echo(f"{number} {run.folder.name}: FAILED, {reason}")
    for line in output.splitlines()[-LAST_LINES:]:
        click.echo(f"    {line}")
    return None


def train_all(runs: list[Run], epochs: int) -> list[Result]:
    """Do all runs, also after one that fails; return what came of each row.

    Raises
    ------
    Interrupted
        After a signal, when the run at work has saved its checkpoint.
    """
    results = {run.name: Result(run.name, 0, {}) for run in runs}
    with Child() as child:
        for number, run in enumerate(runs, 1):
            try:
                metrics = train_one(run, f"{number}/{len(runs)}", epochs, child)
            except StopRequested:
                goes_on = "the same command goes on where it stopped"
                raise Interrupted(child.signum, goes_on) from None
            name, wanted, done = results[run.name]
            done |= {run.seed: metrics} if metrics else {}
            results[run.name] = Result(name, wanted + 1, done)
    return list(results.values())


def run_series(options: SimpleNamespace) -> None:
    """Do what the options say: print the commands, or run them and report."""
    runs = planned(options)
    check(runs)
    if options.dry_run:
        click.echo("\n".join(shlex.join(run.command) for run in runs))
        return
    make_directory(Path(options.results_dir))
    results = train_all(runs, options.epochs)
    report(results, Path(options.results_dir), shlex.join(shared(options)))
    failed = sum(result.wanted - len(result.runs) for result in results)
    if failed:
        raise ProgramError(f"{failed} of {len(runs)} runs failed")


@click.command(cls=SeveralValues)
@series_options
@debug_option
@click.argument("more", nargs=-1, metavar="[-- OPTIONS OF train.py]")
def main(debug: bool, **options) -> None:
    """Train ablations of a residual network on CIFAR-10, and compare them.

    Finished runs are not repeated and interrupted ones are resumed, so the same command
    can be given until all runs are done.  The exit status is 1 if a run failed.
    """
    chosen = SimpleNamespace(**options)
    if chosen.list_:
        click.echo(describe())
        return
    if chosen.more and not chosen.more[0].startswith("-"):
        raise click.UsageError(unexpected(chosen.more[0], click.get_current_context()))
    if chosen.all == bool(chosen.config):
        raise click.UsageError("Give either --config NAME... or --all (see --list).")
    for name in (word.partition("=")[0] for word in chosen.more):
        if name in OWN:
            raise click.UsageError(
                f"{name} cannot come after --: the series sets it for each run."
            )
    with goes_on_unheard(), exit_statuses(debug):
        run_series(chosen)


if __name__ == "__main__":
    startup.run(main)
