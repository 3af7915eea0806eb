"""``odyssey example``: list the examples, and copy one out to run and to change."""

import ast
import shutil
from pathlib import Path

import click

import odyssey
from odyssey.cli.choice import Choice
from odyssey.cli.command import Command
from odyssey.cli.option import debug_option
from odyssey.cli.program import exit_statuses
from odyssey.errors import InputError

#: What a copy is without: what runs leave, and the logs of runs that were made.
LEFT_OUT = ("__pycache__", "*.pyc", "results")


def examples() -> dict[str, Path]:
    """Return the folders of the examples, in the package or beside it in a checkout."""
    package = Path(odyssey.__file__).parent
    for place in (package / "examples", package.parent / "examples"):
        found = {path.parent.name: path.parent for path in place.glob("*/train.py")}
        if found:
            return dict(sorted(found.items()))
    return {}


def about(folder: Path) -> str:
    """Return the first line of what an example's model says of itself."""
    text = (folder / "model.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]


def copy(name: str, directory: Path) -> Path:
    """Copy an example into a folder, which is made if need be; return the copy.

    Raises
    ------
    InputError
        If something of that name is there already.
    """
    target = directory / name
    if target.exists() or target.is_symlink():
        raise InputError(f"{target} is there already; it is left as it is")
    ignored = shutil.ignore_patterns(*LEFT_OUT)
    shutil.copytree(examples()[name], target, ignore=ignored)
    return target


@click.command("example", cls=Command)
@click.argument("name", required=False, type=Choice(examples()))
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
        click.echo(
            f"copied to {target}; next:\n"
            f"  python {target / 'train.py'} --dataset synthetic --epochs 3\n"
            f"  python {target / 'inference.py'} --dataset synthetic"
        )
