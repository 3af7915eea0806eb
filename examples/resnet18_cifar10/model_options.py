"""The options that choose a model, the same for every program that makes one."""

from types import SimpleNamespace

import click
from architecture import MODELS, ResNetConfig, model_name
from click.core import ParameterSource

from odyssey.cli.choice import Choice
from odyssey.cli.option import MODEL, option
from odyssey.training.option_types import FiniteFloat, WholeNumber


def _given(ctx: click.Context, param: click.Parameter, value: int) -> int | None:
    """Return the value if the user gave it; else None, and the model has its own."""
    default = ctx.get_parameter_source(param.name) == ParameterSource.DEFAULT
    return None if default else value


_NAMES = ", ".join(MODELS)

OPTIONS = [
    option(
        "--model",
        group=MODEL,
        type=Choice(MODELS),
        metavar="NAME",
        default="resnet18",
        help=f"Network to use: {_NAMES}. resnet20, 32, 44, 56 and 110 are the "
        "ResNet paper's narrow networks for CIFAR-10.",
    ),
    option(
        "--width",
        group=MODEL,
        type=WholeNumber(min=1),
        default=ResNetConfig().width,
        show_default=f"{ResNetConfig().width}; 16 for the narrow ones",
        callback=_given,
        help="Channels of the first stage; they double from stage to stage.",
    ),
    option(
        "--pre-activation",
        group=MODEL,
        is_flag=True,
        help="Put batch norm and relu before each convolution (ResNet v2).",
    ),
    option(
        "--shortcut",
        group=MODEL,
        type=Choice("AB"),
        show_default="B; A for the narrow ones",
        help="Shortcut where a block changes the shape: A takes every second pixel and "
        "adds zero channels, B is a 1x1 convolution.",
    ),
    option(
        "--normalize/--no-normalize",
        group=MODEL,
        default=True,
        help="Use batch norm; without it, convolutions have biases.",
    ),
    option(
        "--num-classes",
        group=MODEL,
        type=WholeNumber(min=1),
        show_default=f"number of classes in the data, {ResNetConfig().num_classes}",
        help="Number of outputs; at least the number of classes in the data.",
    ),
    option(
        "--zero-gamma",
        group=MODEL,
        is_flag=True,
        help="Start each residual branch at zero, so that it adds nothing at first.",
    ),
    option(
        "--drop-path",
        group=MODEL,
        type=FiniteFloat(0, 1, max_open=True),
        default=0.0,
        help="Stochastic depth: probability of skipping the last block's branch in "
        "training; it grows linearly from the first block to the last. 0 turns it off.",
    ),
    option(
        "--dropout",
        group=MODEL,
        type=FiniteFloat(0, 1, max_open=True),
        default=0.0,
        help="Probability of dropping a feature before the linear layer in training. "
        "0 turns it off.",
    ),
]


def model_options(command):
    """Add the options to a command."""
    for one in reversed(OPTIONS):
        command = one(command)
    return command


def chosen_config(
    options: SimpleNamespace, num_classes: int = ResNetConfig().num_classes
) -> ResNetConfig:
    """Return the config that the options choose, of ``num_classes`` if they do not."""
    config = MODELS[options.model]
    return config._replace(
        width=options.width or config.width,
        shortcut=options.shortcut or config.shortcut,
        num_classes=options.num_classes or num_classes,
        pre_activation=options.pre_activation,
        normalize=options.normalize,
        zero_gamma=options.zero_gamma,
        drop_path=options.drop_path,
        dropout=options.dropout,
    )


def recipe_options(config: ResNetConfig, num_classes: int) -> dict:
    """Return what a recipe says of a model besides its name: width, and what differs.

    Usual are ``num_classes``, those of the data.  Without the options that are as
    usual, runs from before there were any go on.
    """
    usual = MODELS[model_name(config)]._replace(num_classes=num_classes)
    different = {
        name: value
        for name, value in config._asdict().items()
        if value != getattr(usual, name)
    }
    return {"width": config.width, **different}
