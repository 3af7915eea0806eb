"""Logs beside those that every run writes: their options and observers."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import click

from odyssey.training.observers import Observer
from odyssey.training.recipe import Recipe
from odyssey.training.tensorboard import TensorBoard

OPTIONS = [
    click.option(
        "--tensorboard",
        type=click.Path(file_okay=False),
        help="Write events for TensorBoard into this folder.",
    ),
    click.option(
        "--tensorboard-every",
        type=click.IntRange(min=1),
        default=100,
        help="Steps between two writings of loss, norms and histograms.",
    ),
]


def log_options(command: Callable) -> Callable:
    """Add the options of this module to a command."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def make_observers(
    options: SimpleNamespace, recipe: Recipe, class_names: Sequence[str]
) -> list[Observer]:
    """Return what is to watch the run; nothing of an older run is touched yet."""
    if options.tensorboard is None:
        return []
    return [
        TensorBoard(
            options.tensorboard,
            recipe,
            class_names,
            every=options.tensorboard_every,
            goes_on=options.resume or options.overwrite,
        )
    ]
