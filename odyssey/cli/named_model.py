"""The arguments of commands about a model that is named, and not trained.

MODEL is a name that ``--model`` of an example's train.py knows; the words after it that
the command does not know are options of that model, such as ``--width 32``.
"""

from types import SimpleNamespace
from typing import Any

import click

from odyssey.cli.command import Command
from odyssey.cli.example import Example
from odyssey.cli.model_options import chosen_config, model_options
from odyssey.cli.option import with_options
from odyssey.network import Config

#: Settings of such a command: what it does not know is left for the model.
SETTINGS = {"ignore_unknown_options": True}

named_model = with_options(
    [
        click.argument("model"),
        click.argument(
            "rest", metavar="[MODEL'S OPTIONS]", nargs=-1, type=click.UNPROCESSED
        ),
    ]
)


def config_of_words(
    ctx: click.Context, example: Example, model: str, rest: tuple[str, ...]
) -> Config:
    """Return the options of a model of an example, given by the words ``rest``."""

    @click.command(ctx.info_name, cls=Command)
    @model_options(example)
    def own(**options: Any) -> None:
        """Hold the options."""

    words = ["--model", model, *rest]
    params = own.make_context(ctx.info_name, words, ctx.parent).params
    return chosen_config(example, SimpleNamespace(**params))
