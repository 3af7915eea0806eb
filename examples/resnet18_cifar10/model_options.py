"""The options that choose a model, the same for every program that makes one."""

from types import SimpleNamespace

import click
from architecture import MODELS, ResNetConfig, model_name
from click.core import ParameterSource

from odyssey.training.program import FiniteFloat


def _given(ctx: click.Context, param: click.Parameter, value: int) -> int | None:
    """Return the value if the user gave it; else None, and the model has its own."""
    default = ctx.get_parameter_source(param.name) == ParameterSource.DEFAULT
    return None if default else value


OPTIONS = [
    click.option(
        "--model",
        type=click.Choice(list(MODELS)),
        default="resnet18",
        help="resnet20, 32, 44, 56 and 110 are the CIFAR networks of the paper.",
    ),
    click.option(
        "--width",
        type=click.IntRange(min=1),
        default=ResNetConfig().width,
        show_default=f"{ResNetConfig().width}, in CIFAR networks 16",
        callback=_given,
        help="Channels of the first stage.",
    ),
    click.option(
        "--pre-activation",
        is_flag=True,
        help="Batch norm and relu before a convolution (v2).",
    ),
    click.option(
        "--shortcut",
        type=click.Choice(["A", "B"]),
        show_default="B, in CIFAR networks A",
        help="Where shapes change: A subsamples and adds zero channels, B projects.",
    ),
    click.option(
        "--normalize/--no-normalize",
        default=True,
        help="Batch norm, or biases of the convolutions instead.",
    ),
    click.option(
        "--num-classes",
        type=click.IntRange(min=1),
        show_default=f"those of the data, {ResNetConfig().num_classes}",
        help="Outputs; more than the data has classes are allowed.",
    ),
    click.option(
        "--zero-gamma",
        is_flag=True,
        help="Start with residual branches that are zero, by their last gamma.",
    ),
    click.option(
        "--drop-path",
        type=FiniteFloat(0, 1, max_open=True),
        default=0.0,
        help="Stochastic depth: chance to leave out the last block's branch, "
        "less for those before in proportion.",
    ),
    click.option(
        "--dropout",
        type=FiniteFloat(0, 1, max_open=True),
        default=0.0,
        help="Chance to leave out a feature before the linear layer.",
    ),
]


def model_options(command):
    """Add the options to a command."""
    for option in reversed(OPTIONS):
        command = option(command)
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
