"""``odyssey example``: list the examples, and copy one out to run and to change."""

import ast
import os
import shlex
from pathlib import Path

import click

import odyssey
from odyssey.cli.choice import Choice
from odyssey.cli.command import Command
from odyssey.cli.option import debug_option
from odyssey.cli.program import exit_statuses
from odyssey.errors import InputError
from odyssey.weights.files import make_directory, temporary_directory, write_new_file

#: The files of an example: programs, recipes and pages, but no results of runs, and no
#: shell script, which is for a checkout.  In the wheel, setup.py puts the same.
PLACES = ("*", "configs/*")
SUFFIXES = (".py", ".yml", ".md")


def examples() -> dict[str, Path]:
    """Return the folders of the examples, in the package or beside it in a checkout."""
    package = Path(odyssey.__file__).parent
    for place in (package / "examples", package.parent / "examples"):
        found = {path.parent.name: path.parent for path in place.glob("*/model.py")}
        if found:
            return dict(sorted(found.items()))
    return {}


def about(folder: Path) -> str:
    """Return the first line of what an example's model says of itself."""
    text = (folder / "model.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]


def copy(name: str, directory: Path) -> Path:
    """Copy an example into a folder, which is made if need be; return the copy.

    The copy is there whole or not at all, and can be changed also where what is
    installed cannot.

    Raises
    ------
    InputError
        If something of that name is there already.
    OSError
        If it cannot be written.
    """
    target, folder = directory / name, examples()[name]
    if os.path.lexists(target):
        raise InputError(f"{target} is there already; it is left as it is")
    make_directory(directory)
    with temporary_directory(directory, name) as staging:
        for path in (path for place in PLACES for path in sorted(folder.glob(place))):
            if path.suffix in SUFFIXES:
                copied = staging / path.relative_to(folder)
                copied.parent.mkdir(exist_ok=True)
                write_new_file(copied, path.read_bytes())
        os.rename(staging, target)
    return target


@click.command("example", cls=Command)
@click.argument("name", metavar="[NAME]", required=False, type=Choice(examples()))
@click.argument(
    "directory",
    metavar="[DIR]",
    default=".",
    type=click.Path(file_okay=False, path_type=Path),
)
@debug_option
def main(name: str | None, directory: Path, debug: bool) -> None:
    """Copy an example into DIR, or list the examples there are.

    Without NAME the examples are listed.  The copy is a folder NAME in DIR, by default
    the current folder: a network with its explicit forward and backward, recipes, and
    the programs that train it and classify with it.
    """
    with exit_statuses(debug):
        if name is None:
            for known, folder in examples().items():
                click.echo(f"{known:20} {about(folder)}")
            click.echo("\nodyssey example NAME copies one into the current folder")
            return
        target = copy(name, directory)
        click.echo(f"copied to {target}; next:")
        for program, options in (("train", " --epochs 3"), ("inference", "")):
            path = shlex.quote(str(target / f"{program}.py"))
            click.echo(f"  python {path} --dataset synthetic{options}")
