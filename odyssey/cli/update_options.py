"""The options of the loss, of the update that follows, and of the average kept."""

from collections.abc import Callable

from odyssey.cli.option import UPDATE, option, with_options
from odyssey.cli.option_types import FiniteFloat
from odyssey.training.recipe import Recipe

OPTIONS = [
    option(
        "--momentum",
        group=UPDATE,
        type=FiniteFloat(0, 1, max_open=True),
        default=0.9,
        help="Momentum of SGD.",
    ),
    option(
        "--nesterov/--no-nesterov",
        group=UPDATE,
        default=False,
        help="Use Nesterov's momentum.",
    ),
    option(
        "--weight-decay",
        group=UPDATE,
        type=FiniteFloat(0),
        default=5e-4,
        help="L2 penalty: this times each weight is added to its gradient.",
    ),
    option(
        "--norm-weight-decay",
        group=UPDATE,
        type=FiniteFloat(0),
        show_default="as --weight-decay",
        help="Weight decay of batch norm's gamma and beta, and of biases.",
    ),
    option(
        "--label-smoothing",
        group=UPDATE,
        type=FiniteFloat(0, 1),
        default=Recipe.label_smoothing,
        help="Fraction of each training label that is spread evenly over all classes.",
    ),
    option(
        "--clip-grad-norm",
        group=UPDATE,
        type=FiniteFloat(0, min_open=True),
        show_default="no clipping",
        help="Scale the gradients down when the norm of all of them together exceeds "
        "this.",
    ),
    option(
        "--ema-decay",
        "--model-ema-decay",
        "ema_decay",
        group=UPDATE,
        type=FiniteFloat(0, 1, max_open=True),
        default=Recipe.ema_decay,
        help="Evaluate and save an exponential moving average of the weights, with "
        "this decay at each update; 0 for none.",
    ),
]


def update_options(command: Callable) -> Callable:
    """Add the options to a command."""
    return with_options(command, OPTIONS)
