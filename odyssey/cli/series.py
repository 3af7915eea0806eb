"""The program that trains a series of ablations and compares the results.

Each run is the example's train.py with ``--resume``, in its own process and folder.  So
train.py decides what to do about the folder: start a run, continue one, find it
finished, or refuse one with another recipe.
"""

import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numba

from odyssey.cli.command import unexpected
from odyssey.cli.config_option import new_schedule
from odyssey.cli.example import Example
from odyssey.cli.lr_options import learning_rate
from odyssey.cli.option import debug_option
from odyssey.cli.program import exit_statuses
from odyssey.cli.series_options import SeveralValues, series_options
from odyssey.cli.train import train_program
from odyssey.data.sets import usual_data_dir
from odyssey.errors import ProgramError
from odyssey.output import goes_on_unheard
from odyssey.series.results import report
from odyssey.series.rows import Ablations, words
from odyssey.series.runner import Run, train_all
from odyssey.weights.files import make_directory

TRAIN = "train.py"  # the example's program that is run
OWN = ("--seed", "--epochs", "--model", "--weights-dir")  # set for each run


def chosen_rows(ablations: Ablations, options: SimpleNamespace) -> list[str]:
    """Return the names of the chosen rows, without duplicates."""
    if options.all:
        return list(ablations.rows)
    sets = (ablations.sets.get(name, [name]) for name in options.config)
    return list(dict.fromkeys(name for names in sets for name in names))


def shared(options: SimpleNamespace) -> list[str]:
    """Return the words of the options that all runs share and that change numbers."""
    names = ("epochs", "model", "dataset", "image_size", "limit_train", "val_split")
    given = {name: getattr(options, name) or None for name in names}
    return [*words(given), *options.more]


def planned(
    example: Example, ablations: Ablations, options: SimpleNamespace
) -> list[Run]:
    """Return the runs of a series: all rows with the first seed, then the next."""
    common = {
        "dataset": options.dataset,
        "data_dir": options.data_dir or usual_data_dir(options.dataset),
        "image_size": options.image_size,
        "limit_train": options.limit_train,
        "val_split": options.val_split or None,
        "threads": options.threads,
    }
    runs = []
    for seed in dict.fromkeys(options.seeds or [options.seed]):
        for name in chosen_rows(ablations, options):
            folder = Path(options.results_dir) / f"{name}-seed{seed}"
            own = {"seed": seed, "weights_dir": folder, "resume": True}
            made = ablations.options(name, options.epochs, options.model) | common | own
            given = [*words(made), *options.more]
            runs.append(Run(name, seed, folder, given, example.folder / TRAIN))
    return runs


def check(train_command: click.Command, runs: list[Run]) -> None:
    """Refuse, before the first run, options that train.py would refuse.

    Raises
    ------
    click.UsageError
        With train.py's own message.
    """
    threads = numba.get_num_threads()  # parsing --threads changes it
    try:
        for run in runs:
            words = list(run.options)
            place = words.index("--weights-dir")  # checked by the run itself
            del words[place : place + 2]
            with train_command.make_context(run.program.name, words) as context:
                learning_rate(context.params | new_schedule(context))
    except click.UsageError as error:
        message = f"{run.name}: train.py: {error.format_message()}"
        raise click.UsageError(message) from None
    finally:
        numba.set_num_threads(threads)


def run_series(
    example: Example, ablations: Ablations, options: SimpleNamespace
) -> None:
    """Print the commands, or run them and report the results."""
    runs = planned(example, ablations, options)
    check(train_program(example), runs)
    if options.dry_run:
        click.echo("\n".join(shlex.join(run.command) for run in runs))
        return
    folder = Path(options.results_dir)
    make_directory(folder)
    results = train_all(runs, options.epochs, ablations.rows)
    report(results, folder, shlex.join(shared(options)), ablations.source)
    failed = sum(result.wanted - len(result.runs) for result in results)
    if failed:
        raise ProgramError(f"{failed} of {len(runs)} runs failed")


def series_program(example: Example, ablations: Ablations) -> click.Command:
    """Return the command that trains an example's ablations."""

    @click.command(cls=SeveralValues)
    @series_options(example, ablations)
    @debug_option
    @click.argument("more", nargs=-1, metavar="[-- OPTIONS OF train.py]")
    def main(debug: bool, **options: Any) -> None:
        """Train ablations of a network and compare them.

        Finished runs are not repeated and interrupted ones are resumed, so the same
        command can be given until all runs are done.  The exit status is 1 if a run
        failed.

        \b
        Examples:
          python examples/resnet18_cifar10/run_ablations.py --list
          python examples/resnet18_cifar10/run_ablations.py --all --epochs 4
          python examples/resnet18_cifar10/run_ablations.py --all -- --width 16
        """  # noqa: D301  (click wants the backspace itself)
        chosen = SimpleNamespace(**options)
        if chosen.list_:
            click.echo(ablations.describe())
            return
        if chosen.more and not chosen.more[0].startswith("-"):
            context = click.get_current_context()
            raise click.UsageError(unexpected(chosen.more[0], context))
        if chosen.all == bool(chosen.config):
            raise click.UsageError(
                "Give either --config NAME... or --all (see --list)."
            )
        for name in (word.partition("=")[0] for word in chosen.more):
            if name in OWN:
                raise click.UsageError(
                    f"{name} cannot come after --: the series sets it for each run."
                )
        with goes_on_unheard(), exit_statuses(debug):
            run_series(example, ablations, chosen)

    main.train_command = train_program(example)
    return main
