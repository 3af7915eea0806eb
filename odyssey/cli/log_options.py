"""The options of what is printed and logged, and the observers that they ask for."""

from functools import partial
from types import SimpleNamespace

import click

from odyssey.cli.option import LOGGING, option, with_options
from odyssey.cli.option_types import WholeNumber
from odyssey.data.dataset import Dataset
from odyssey.training.observers import Observer
from odyssey.training.recipe import Recipe
from odyssey.training.tensorboard import TensorBoard

_option = partial(option, group=LOGGING)

_OPTIONS = [
    _option(
        "--log-interval",
        type=WholeNumber(1),
        default=20,
        help="Steps from one printed line to the next.",
    ),
    _option(
        "--tensorboard",
        type=click.Path(file_okay=False),
        help="Also write events for TensorBoard into this folder (needs the extra "
        "odyssey-by-hand[tensorboard]).",
    ),
    _option(
        "--tensorboard-every",
        type=WholeNumber(min=1),
        default=100,
        help="Steps between writes of loss, norms and histograms to TensorBoard.",
    ),
    _option(
        "--no-progress",
        is_flag=True,
        help="Print lines instead of a progress bar on a terminal too.",
    ),
]
log_options = with_options(_OPTIONS)


def make_observers(
    options: SimpleNamespace, recipe: Recipe, data: Dataset
) -> list[Observer]:
    """Return the observers of a run; they do not touch an older run yet."""
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
