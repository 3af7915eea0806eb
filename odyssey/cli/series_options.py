"""The command line of a series of runs; options of train.py come last, after --."""

from collections.abc import Callable

import click

from odyssey.cli.choice import Choice
from odyssey.cli.command import Command
from odyssey.cli.data_options import DATASET_OPTIONS, limit_train_option
from odyssey.cli.example import Example
from odyssey.cli.option import DATA, MODEL, option, option_names, with_options
from odyssey.cli.option_types import WholeNumber
from odyssey.series.rows import Ablations
from odyssey.threads import available_cores


class SeveralValues(Command):
    """A command whose repeatable options take several values at once.

    The words after ``--`` are options of train.py, ``train_command``.
    """

    train_command: click.Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Make ``--seeds 1 2`` into ``--seeds 1 --seeds 2``, up to a ``--``."""
        several = {o for p in self.params if p.multiple for o in p.opts}
        end = args.index("--") if "--" in args else len(args)
        spread, taking = [], None
        for previous, word in zip(["", *args], args[:end], strict=False):
            if word.startswith("-"):
                taking = word if word in several else None
            elif taking and previous != taking:
                spread.append(taking)
            spread.append(word)
        try:
            return super().parse_args(ctx, [*spread, *args[end:]])
        except click.NoSuchOption as error:
            name = error.option_name
            if name not in option_names(click.Context(self.train_command)):
                raise
            message = f"No such option: {name}; options of train.py come after --"
            raise click.NoSuchOption(name, message, ctx=ctx) from None


def place_options(folder: str) -> list[Callable[[Callable], Callable]]:
    """Return the options --results-dir, by default ``folder``, and --threads."""
    return [
        option(
            "--results-dir",
            type=click.Path(file_okay=False),
            default=folder,
            help="Folder for the runs, the table and the figure.",
        ),
        option(
            "--threads",
            type=WholeNumber(1, available_cores()),
            show_default="all cores",
            help="Number of CPU threads of each run; results do not depend on it.",
        ),
    ]


COUNT = WholeNumber(min=1)
SEED = WholeNumber(0, 2**63 - 1)


def series_options(
    example: Example, ablations: Ablations
) -> Callable[[Callable], Callable]:
    """Return a decorator that adds the options to a command."""
    network = example.network
    return with_options(
        [
            option(
                "--list",
                "list_",
                is_flag=True,
                help="Print the rows there are.",
            ),
            option(
                "--config",
                type=Choice([*ablations.rows, *ablations.sets]),
                multiple=True,
                metavar="NAME...",
                help="Rows to run, or sets of rows; --list prints their names.",
            ),
            option("--all", is_flag=True, help="Run all rows."),
            option("--seed", type=SEED, default=0, help="Seed of the runs."),
            option(
                "--seeds",
                type=SEED,
                multiple=True,
                metavar="N...",
                help="Run every row once with each of these seeds, instead of --seed.",
            ),
            option(
                "--dry-run",
                is_flag=True,
                help="Print the commands and run nothing.",
            ),
            option(
                "--epochs",
                type=COUNT,
                default=ablations.epochs,
                help="Number of epochs of each run.",
            ),
            option(
                "--model",
                group=MODEL,
                type=Choice(network.models),
                metavar="NAME",
                show_default=network.usual,
                help="Network of the rows that do not name their own: "
                f"{', '.join(network.models)}.",
            ),
            *DATASET_OPTIONS,
            limit_train_option,
            option(
                "--val-split",
                group=DATA,
                type=WholeNumber(min=0),
                default=0,
                help="Number of training images to hold out for validation; with 0 the "
                "table has no best epoch.",
            ),
            *place_options("ablation_results"),
        ]
    )
