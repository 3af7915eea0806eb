"""The options that choose a model, shared by all programs that build one."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
from click.core import ParameterSource

from odyssey.cli.choice import Choice
from odyssey.cli.example import Example
from odyssey.cli.option import MODEL, option, with_options
from odyssey.cli.option_types import FiniteFloat, WholeNumber
from odyssey.data.dataset import Dataset
from odyssey.errors import InputError
from odyssey.network import Config, Network


def model_options(example: Example) -> Callable[[Callable], Callable]:
    """Return a decorator that adds the options to a command."""
    network = example.network
    names = ", ".join(network.models)
    usual = network.models[network.usual]
    model = option(
        "--model",
        group=MODEL,
        type=Choice(network.models),
        metavar="NAME",
        default=network.usual,
        help=f"Network to use: {names}. {example.model_help}".strip(),
    )
    num_classes = option(
        "--num-classes",
        group=MODEL,
        type=WholeNumber(min=1),
        show_default=f"number of classes in the data, {usual.num_classes}",
        help="Number of outputs; at least the number of classes in the data.",
    )
    return with_options([model, *example.model_options, num_classes])


def if_given(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Return the value if the user gave it, else None: the model's default counts."""
    default = ctx.get_parameter_source(param.name or "") == ParameterSource.DEFAULT
    return None if default else value


def width_option(width: int, of: str, *, show_default: str = "") -> Callable:
    """Return a decorator that adds ``--width``.

    Parameters
    ----------
    width : the default of most models
    of : what is as wide as this, for the help
    show_default : text, if some models have another default
    """
    return option(
        "--width",
        group=MODEL,
        type=WholeNumber(min=1),
        default=width,
        show_default=show_default or True,
        callback=if_given,
        help=of,
    )


def dropout_option(dropout: float, of: str) -> Callable:
    """Return a decorator that adds ``--dropout``; ``of`` says what is dropped."""
    return option(
        "--dropout",
        group=MODEL,
        type=FiniteFloat(0, 1, max_open=True),
        default=dropout,
        help=f"Probability of dropping {of} in training. 0 turns it off.",
    )


def chosen_config(
    example: Example, options: SimpleNamespace, num_classes: int | None = None
) -> Config:
    """Return the config that the command line's options choose.

    Each option of the name of a field of the model's config replaces that field, unless
    its value is None: then that of the model counts.  Without ``--num-classes`` there
    are ``num_classes`` classes, by default the number in the model's own config.

    Raises
    ------
    click.UsageError
        If no network has such options.
    """
    config = example.network.models[options.model]
    given = {name: getattr(options, name, None) for name in config._fields}
    given["num_classes"] = options.num_classes or num_classes
    config = config._replace(**{n: v for n, v in given.items() if v is not None})
    try:
        example.network.check(config)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return config


def recipe_options(
    network: Network, config: Config, num_classes: int
) -> dict[str, Any]:
    """Return the options of a model that go into a recipe, besides its name.

    These are the options of ``network.stated``, and all that differ from the defaults
    of the named model with ``num_classes``, the number of classes in the data.
    Defaults are left out so that runs from before an option existed can be resumed.
    """
    usual = network.models[network.name_of(config)]._replace(num_classes=num_classes)
    stated = {name: getattr(config, name) for name in network.stated}
    different = {
        name: value
        for name, value in config._asdict().items()
        if value != getattr(usual, name)
    }
    return stated | different


def check_image_shape(network: Network, config: Config, data: Dataset) -> None:
    """Raise unless a network can be trained on images of the data's shape.

    Two images of zeros are tried, in the backward too: the forward of a network may
    pass over what does not fit into a window of pooling.
    """
    shape = data.image_shape
    params, state = network.initialize(config, 0)
    try:
        x, rng = np.zeros((2, *shape), np.float32), np.random.default_rng(0)
        logits, _, cache = network.run_training(params, state, x, config, rng)
        network.run_backward(np.zeros_like(logits), cache, params, config)
    except ValueError as error:
        size = " x ".join(map(str, shape))
        raise InputError(
            f"{network.name_of(config)} takes no images of {size} ({error})"
        ) from error
