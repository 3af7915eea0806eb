"""The options of a residual network besides its name and the number of its classes."""

from functools import partial
from types import SimpleNamespace

import click
from click.core import ParameterSource

from odyssey.cli.choice import Choice
from odyssey.cli.option import MODEL, option
from odyssey.cli.option_types import FiniteFloat, WholeNumber
from resnet18_cifar10.architecture import ResNetConfig


def _given(ctx: click.Context, param: click.Parameter, value: int) -> int | None:
    """Return the value if the user gave it, else None: the model's default counts."""
    default = ctx.get_parameter_source(param.name) == ParameterSource.DEFAULT
    return None if default else value


_option = partial(option, group=MODEL)

OPTIONS = [
    _option(
        "--width",
        type=WholeNumber(min=1),
        default=ResNetConfig().width,
        show_default=f"{ResNetConfig().width}; 16 for the narrow ones",
        callback=_given,
        help="Channels of the first stage; they double from stage to stage.",
    ),
    _option(
        "--pre-activation",
        is_flag=True,
        help="Put batch norm and relu before each convolution (ResNet v2).",
    ),
    _option(
        "--shortcut",
        type=Choice("AB"),
        show_default="B; A for the narrow ones",
        help="Shortcut where a block changes the shape: A takes every second pixel and "
        "adds zero channels, B is a 1x1 convolution.",
    ),
    _option(
        "--normalize/--no-normalize",
        default=True,
        help="Use batch norm; without it, convolutions have biases.",
    ),
    _option(
        "--zero-gamma",
        is_flag=True,
        help="Start each residual branch at zero, so that it adds nothing at first.",
    ),
    _option(
        "--drop-path",
        type=FiniteFloat(0, 1, max_open=True),
        default=0.0,
        help="Stochastic depth: probability of skipping the last block's branch in "
        "training; it grows linearly from the first block to the last. 0 turns it off.",
    ),
    _option(
        "--dropout",
        type=FiniteFloat(0, 1, max_open=True),
        default=0.0,
        help="Probability of dropping a feature before the linear layer in training. "
        "0 turns it off.",
    ),
]


def choose(options: SimpleNamespace, config: ResNetConfig) -> ResNetConfig:
    """Return ``config`` with the values of the options."""
    return config._replace(
        width=options.width or config.width,
        shortcut=options.shortcut or config.shortcut,
        pre_activation=options.pre_activation,
        normalize=options.normalize,
        zero_gamma=options.zero_gamma,
        drop_path=options.drop_path,
        dropout=options.dropout,
    )
