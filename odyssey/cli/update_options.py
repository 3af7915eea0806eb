"""The options of the loss, of the update and of the average of the weights."""

from functools import partial

from odyssey.cli.choice import Choice
from odyssey.cli.option import UPDATE, option, with_options
from odyssey.cli.option_types import FiniteFloat, WholeNumber
from odyssey.training.recipe import OPTIMIZERS, Recipe

_option = partial(option, group=UPDATE)

_OPTIONS = [
    _option(
        "--momentum",
        type=FiniteFloat(0, 1, max_open=True),
        default=Recipe.momentum,
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
        "--beta-lr-factor",
        type=FiniteFloat(0),
        default=Recipe.beta_lr_factor,
        help="Learning rate of batch norm's beta, as a multiple of that of the others.",
    ),
    _option(
        "--optimizer",
        type=Choice(OPTIMIZERS),
        default=Recipe.optimizer,
        help="What moves the kernels of convolutions; all else moves by SGD.",
    ),
    _option(
        "--muon-lr",
        type=FiniteFloat(0),
        default=Recipe.muon_lr,
        help="Highest learning rate of Muon; it follows the schedule of --lr.",
    ),
    _option(
        "--muon-momentum",
        type=FiniteFloat(0, 1, max_open=True),
        default=Recipe.muon_momentum,
        help="Momentum of Muon, in Nesterov's form.",
    ),
    _option(
        "--muon-weight-decay",
        type=FiniteFloat(0),
        default=Recipe.muon_weight_decay,
        help="Share of a kernel, times Muon's learning rate, that a step takes off.",
    ),
    _option(
        "--muon-steps",
        type=WholeNumber(1),
        default=Recipe.muon_steps,
        help="Steps of the iteration that makes an update orthogonal.",
    ),
    _option(
        "--muon-rescale/--no-muon-rescale",
        default=Recipe.muon_rescale,
        help="Scale each kernel to norm sqrt(filters) before a step of Muon; only for "
        "networks with batch norm.",
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
