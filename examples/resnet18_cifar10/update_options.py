"""The options of the loss, of the update that follows, and of the average kept."""

from collections.abc import Callable

import click

from odyssey.training.program import FiniteFloat
from odyssey.training.recipe import Recipe

OPTIONS = [
    click.option("--momentum", type=FiniteFloat(0, 1, max_open=True), default=0.9),
    click.option(
        "--nesterov/--no-nesterov", default=False, help="Nesterov's momentum."
    ),
    click.option("--weight-decay", type=FiniteFloat(0), default=5e-4),
    click.option(
        "--norm-weight-decay",
        type=FiniteFloat(0),
        show_default="as --weight-decay",
        help="That of batch norm's gamma and beta, and of biases.",
    ),
    click.option(
        "--label-smoothing",
        type=FiniteFloat(0, 1),
        default=Recipe.label_smoothing,
        help="Share of all classes alike in the labels trained on.",
    ),
    click.option(
        "--clip-grad-norm",
        type=FiniteFloat(0, min_open=True),
        show_default="not clipped",
        help="The greatest norm of all gradients together.",
    ),
    click.option(
        "--ema-decay",
        "--model-ema-decay",
        "ema_decay",
        type=FiniteFloat(0, 1, max_open=True),
        default=Recipe.ema_decay,
        help="Evaluate and save a moving average of the weights; 0 for none.",
    ),
]


def update_options(command: Callable) -> Callable:
    """Add the options to a command."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command
