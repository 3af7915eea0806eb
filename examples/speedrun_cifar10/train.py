"""Train the network of the speed run on CIFAR-10, once for each seed.

python examples/speedrun_cifar10/train.py --seeds 5
"""

import sys
from pathlib import Path

_EXAMPLES = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_EXAMPLES))
if (_EXAMPLES.parent / "odyssey" / "cli").is_dir():  # a checkout, perhaps not installed
    sys.path.insert(0, str(_EXAMPLES.parent))

if __name__ == "__main__":
    from odyssey.cli import startup

    startup.prepare()

from types import SimpleNamespace
from typing import Any

import click

from odyssey.cli.command import Command
from odyssey.cli.data_options import dataset_options, subset_options
from odyssey.cli.init_option import init_option
from odyssey.cli.option import DATA, LOGGING, debug_option, option, with_options
from odyssey.cli.option_types import WholeNumber
from odyssey.cli.precision_option import precision_option
from odyssey.cli.program import exit_statuses, threads_option
from odyssey.cli.rank_options import rank_options
from odyssey.cli.run_options import run_options
from odyssey.distributed.join import join
from odyssey.output import goes_on_unheard
from odyssey.training.signals import StopFlag
from speedrun_cifar10 import recipe as speedrun
from speedrun_cifar10.example import OPTIONS
from speedrun_cifar10.runs import train_seeds


@click.command(cls=Command)
@option(
    "--seed",
    type=WholeNumber(0, 2**63 - 1),
    default=0,
    help="Seed of the first run; the same seed gives the same run.",
)
@option(
    "--seeds",
    type=WholeNumber(1),
    default=1,
    help="Number of runs, each with the next seed.",
)
@option(
    "--epochs",
    type=WholeNumber(1),
    default=speedrun.EPOCHS,
    help="Number of passes over the training images.",
)
@option(
    "--batch-size",
    group=DATA,
    type=WholeNumber(1),
    default=speedrun.BATCH_SIZE,
    help="Number of images in a batch; a short last one of an epoch is left out.",
)
@with_options(OPTIONS)  # --width
@init_option  # --init-from
@precision_option
@dataset_options  # --dataset, --data-dir
@subset_options  # --limit-train, --limit-test, --val-split
@run_options("speedrun_weights")  # --weights-dir, --resume, --overwrite ...
@rank_options  # --sync-batch-norm ...
@option(
    "--log-interval",
    group=LOGGING,
    type=WholeNumber(1),
    default=5,
    help="Steps from one printed line to the next.",
)
@option(
    "--no-progress",
    group=LOGGING,
    is_flag=True,
    help="Print lines instead of a progress bar on a terminal too.",
)
@threads_option
@debug_option
def main(debug: bool, **options: Any) -> None:
    """Train the network of the speed run, once for each of --seeds.

    The run of seed S is in seedS of --weights-dir.  With --resume, runs that are
    finished are kept, one that was stopped continues, and the others begin.  The table
    of all runs is printed, and written to results.md and results.csv.

    \b
    Examples:
      python examples/speedrun_cifar10/train.py
      python examples/speedrun_cifar10/train.py --seeds 5 --resume
    """  # noqa: D301  (click wants the backspace itself)
    if options["resume"] and options["overwrite"]:
        raise click.UsageError("--resume and --overwrite exclude each other.")
    with goes_on_unheard(), exit_statuses(debug, ranks=True), StopFlag() as stop:
        train_seeds(SimpleNamespace(**options), stop, join())


if __name__ == "__main__":
    startup.run(main)
