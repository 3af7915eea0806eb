"""The options of the loss, of the update and of the average of the weights."""

from functools import partial

from odyssey.cli.option import UPDATE, option, with_options
from odyssey.cli.option_types import FiniteFloat
from odyssey.training.recipe import Recipe

_option = partial(option, group=UPDATE)

_OPTIONS = [
    _option(
        "--momentum",
        type=FiniteFloat(0, 1, max_open=True),
        default=0.9,
        help="Momentum of SGD.",
    ),
    _option(
        "--nesterov/--no-nesterov",
        default=False,
        help="Use Nesterov's momentum.",
    ),
    _option(
        "--weight-decay",
        type=FiniteFloat(0),
        default=5e-4,
        help="L2 penalty: this times each weight is added to its gradient.",
    ),
    _option(
        "--norm-weight-decay",
        type=FiniteFloat(0),
        show_default="as --weight-decay",
        help="Weight decay of batch norm's gamma and beta, and of biases.",
    ),
    _option(
        "--label-smoothing",
        type=FiniteFloat(0, 1),
        default=Recipe.label_smoothing,
        help="Fraction of each training label that is spread evenly over all classes.",
    ),
    _option(
        "--clip-grad-norm",
        type=FiniteFloat(0, min_open=True),
        show_default="no clipping",
        help="Scale the gradients down when the norm of all of them together exceeds "
        "this.",
    ),
    _option(
        "--ema-decay",
        "--model-ema-decay",
        "ema_decay",
        type=FiniteFloat(0, 1, max_open=True),
        default=Recipe.ema_decay,
        help="Evaluate and save an exponential moving average of the weights, with "
        "this decay at each update; 0 for none.",
    ),
]
update_options = with_options(_OPTIONS)
