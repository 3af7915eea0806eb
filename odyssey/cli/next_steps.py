"""What a command prints last: the commands that use what it has made."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from odyssey.errors import one_line

if TYPE_CHECKING:
    from odyssey.cli.example import Example

#: The example whose programs are named where any would do.
USUAL = "resnet18_cifar10"

ODYSSEY = ("python", "-m", "odyssey")
#: Opens the address that follows.
BROWSER = ("python", "-m", "webbrowser")


def say_next(*commands: Sequence[str]) -> None:
    """Print commands, each as its words, under the line ``next:``."""
    click.echo("next:")
    for words in commands:
        click.echo(f"  {one_line(shlex.join(map(str, words)))}")


def given_options(*left_out: str) -> list[str]:
    """Return the options on the running command's line as words, in the help's order.

    ``left_out`` are names of options, as the function of the command has them.
    """
    context, words = click.get_current_context(), list[str]()
    for param in context.command.get_params(context):
        name = param.name or ""
        given = context.get_parameter_source(name) == ParameterSource.COMMANDLINE
        if not given or name in left_out or not isinstance(param, click.Option):
            continue
        value = context.params[name]
        if param.is_flag:
            words.append((param.opts if value else param.secondary_opts)[0])
        elif isinstance(value, tuple) and param.nargs == 1:
            words += [param.opts[0], ",".join(map(str, value))]
        else:
            values = value if isinstance(value, tuple) else (value,)
            words += [param.opts[0], *map(str, values)]
    return words


def program(path: Path) -> tuple[str, str]:
    """Return the words that run a program, named from the current folder if below."""
    place = os.path.relpath(path)
    return "python", str(path) if place.startswith(os.pardir) else place


def shown_program(example: "Example", name: str) -> str:
    """Return how the help calls a program of an example."""
    return f"python examples/{example.folder.name}/{name}"


def training(*options: str) -> tuple[str, ...]:
    """Return the words that train with options.

    If the examples are not below the current folder, they are those that copy one.
    """
    from odyssey.cli.copy_example import examples

    folder = examples().get(USUAL)
    if folder is None or os.path.relpath(folder).startswith(os.pardir):
        return *ODYSSEY, "example", USUAL
    return *program(folder / "train.py"), *options
