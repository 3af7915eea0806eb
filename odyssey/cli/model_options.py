"""The options that choose a model, the same for every program that makes one."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import click

from odyssey.cli.choice import Choice
from odyssey.cli.example import Example
from odyssey.cli.option import MODEL, option, with_options
from odyssey.cli.option_types import WholeNumber
from odyssey.network import Config, Network


def model_options(example: Example) -> Callable[[Callable], Callable]:
    """Return a decorator that adds the options to a command."""
    network = example.network
    names = ", ".join(network.models)
    usual = network.models[network.usual]

    def add(command: Callable) -> Callable:
        command = option(
            "--num-classes",
            group=MODEL,
            type=WholeNumber(min=1),
            show_default=f"number of classes in the data, {usual.num_classes}",
            help="Number of outputs; at least the number of classes in the data.",
        )(command)
        command = with_options(command, example.model_options)
        return option(
            "--model",
            group=MODEL,
            type=Choice(network.models),
            metavar="NAME",
            default=network.usual,
            help=f"Network to use: {names}. {example.model_help}".strip(),
        )(command)

    return add


def chosen_config(
    example: Example, options: SimpleNamespace, num_classes: int | None = None
) -> Config:
    """Return the config that the options choose.

    Parameters
    ----------
    example : Example
    options : SimpleNamespace
        Of the command line.
    num_classes : int, optional
        How many where the options do not say; by default the model's own number.

    Raises
    ------
    click.UsageError
        If no network has such options.
    """
    config = example.network.models[options.model]
    classes = options.num_classes or num_classes or config.num_classes
    config = example.choose(options, config._replace(num_classes=classes))
    try:
        example.network.check(config)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return config


def recipe_options(
    network: Network, config: Config, num_classes: int
) -> dict[str, Any]:
    """Return what a recipe says of a model besides its name: what is not usual.

    Usual are ``num_classes``, those of the data.  Without the options that are as
    usual, runs from before there were any go on.  ``network.stated`` are there always.
    """
    usual = network.models[network.name_of(config)]._replace(num_classes=num_classes)
    stated = {name: getattr(config, name) for name in network.stated}
    different = {
        name: value
        for name, value in config._asdict().items()
        if value != getattr(usual, name)
    }
    return stated | different
