"""``odyssey learn stepper``: write the page that shows an operation step by step."""

import os
from pathlib import Path

import click

from odyssey.cli.choice import Choice
from odyssey.cli.command import Command
from odyssey.cli.learn_shared import statuses
from odyssey.cli.next_steps import BROWSER, say_next
from odyssey.cli.option import debug_option, option
from odyssey.errors import InputError, one_line
from odyssey.learn.steppers import NAMES, build
from odyssey.weights.files import atomic_write_text


def write(name: str, output: Path, *, force: bool = False) -> None:
    """Write the stepper of an operation.

    Raises
    ------
    InputError
        If ``output`` is there already and ``force`` is not given.
    OSError
        If it cannot be written.
    """
    if os.path.lexists(output) and not force:
        raise InputError(f"{output}: is there already; --force replaces it")
    atomic_write_text(output, build(name))


@click.command(
    "stepper", cls=Command, short_help="Write a page that shows an operation in steps."
)
@click.argument("name", metavar="NAME", type=Choice(NAMES))
@option(
    "--output",
    metavar="FILE.html",
    type=click.Path(dir_okay=False, path_type=Path),
    show_default="NAME.html in this folder",
    help="File to write.",
)
@option("--force", is_flag=True, help="Replace what is there already.")
@debug_option
def main(name: str, output: Path | None, force: bool, debug: bool) -> None:
    """Write a page on which an operation is computed step by step.

    NAME is conv2d, maxpool2d, batch_norm2d, softmax_cross_entropy or residual_block.
    The page shows forward and backward on small arrays, whose values can be changed.
    It needs a browser, and neither a network nor another file.

    \b
    Examples:
      python -m odyssey learn stepper conv2d
      python -m odyssey learn stepper batch_norm2d --output norm.html

    \b
    Exit status:
      0    written
      1    cannot be written
      2    no such stepper, or the file is there already
      130  stopped by Ctrl-C
    """  # noqa: D301  (click wants the backspace itself)
    output = Path(f"{name}.html") if output is None else output
    if output.suffix.lower() not in (".html", ".htm"):
        raise click.BadParameter("must end in .html.", param_hint="--output")
    with statuses(debug):
        write(name, output, force=force)
        click.echo(one_line(f"stepper written to {output}"))
        say_next((*BROWSER, output.absolute().as_uri()))
