"""What is printed and logged: the options, and the observers that they ask for."""

from collections.abc import Callable
from types import SimpleNamespace

import click

from odyssey.cli.option import LOGGING, option, with_options
from odyssey.cli.option_types import WholeNumber
from odyssey.data.dataset import Dataset
from odyssey.training.observers import Observer
from odyssey.training.recipe import Recipe
from odyssey.training.tensorboard import TensorBoard

OPTIONS = [
    option(
        "--log-interval",
        group=LOGGING,
        type=WholeNumber(1),
        default=20,
        help="Steps from one printed line to the next.",
    ),
    option(
        "--tensorboard",
        group=LOGGING,
        type=click.Path(file_okay=False),
        help="Also write events for TensorBoard into this folder (needs the extra "
        "odyssey-by-hand[tensorboard]).",
    ),
    option(
        "--tensorboard-every",
        group=LOGGING,
        type=WholeNumber(min=1),
        default=100,
        help="Steps between writes of loss, norms and histograms to TensorBoard.",
    ),
    option(
        "--no-progress",
        group=LOGGING,
        is_flag=True,
        help="Print lines instead of a progress bar on a terminal too.",
    ),
]


def log_options(command: Callable) -> Callable:
    """Add the options of this module to a command."""
    return with_options(command, OPTIONS)


def make_observers(
    options: SimpleNamespace, recipe: Recipe, data: Dataset
) -> list[Observer]:
    """Return what is to watch the run; nothing of an older run is touched yet."""
    if options.tensorboard is None:
        return []
    return [
        TensorBoard(
            options.tensorboard,
            recipe,
            data.class_names,
            every=options.tensorboard_every,
            goes_on=options.resume or options.overwrite,
            mean=data.mean,
            std=data.std,
        )
    ]
