"""``odyssey example``: list the examples, and copy one out to run and to change."""

import ast
import os
import posixpath
import re
import shlex
from collections.abc import Container
from pathlib import Path

import click

import odyssey
from odyssey.cli.choice import Choice
from odyssey.cli.command import Command
from odyssey.cli.option import debug_option
from odyssey.cli.program import exit_statuses
from odyssey.errors import InputError
from odyssey.weights.files import make_directory, temporary_directory, write_new_file

#: The files that are copied: programs, recipes and pages, but no results of runs and no
#: shell script, which needs a checkout.  setup.py puts the same ones into the wheel.
PLACES = ("*", "configs/*")
SUFFIXES = (".py", ".yml", ".md")

#: A Markdown link or image whose target is a file of the project.
_LINK = re.compile(r"!?\[([^\]]*)\]\(\s*(?!\w+:)([^)#\s]+)[^)]*\)")


def examples() -> dict[str, Path]:
    """Return the examples' folders: in the package, or beside it in a checkout."""
    package = Path(odyssey.__file__).parent
    for place in (package / "examples", package.parent / "examples"):
        found = {path.parent.name: path.parent for path in place.glob("*/model.py")}
        if found:
            return dict(sorted(found.items()))
    return {}


def about(folder: Path) -> str:
    """Return the first line of the docstring of an example's model.py."""
    text = (folder / "model.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]


def copy(name: str, directory: Path) -> Path:
    """Copy an example into a folder, created if necessary; return the copy.

    The copy is complete or not there at all.  It can be changed even if the installed
    files are read-only.

    Raises
    ------
    InputError
        If ``directory`` already has something of that name.
    OSError
        If the copy cannot be written.
    """
    target, folder = directory / name, examples()[name]
    if os.path.lexists(target):
        raise InputError(f"{target} is already there; it is not changed")
    files = {
        path.relative_to(folder).as_posix(): path
        for place in PLACES
        for path in sorted(folder.glob(place))
        if path.suffix in SUFFIXES
    }
    make_directory(directory)
    with temporary_directory(directory, name) as staging:
        for place, path in files.items():
            content = path.read_bytes()
            if path.suffix == ".md":
                content = page_of_copy(content.decode(), name, files).encode()
            (staging / place).parent.mkdir(exist_ok=True)
            write_new_file(staging / place, content)
        os.rename(staging, target)
    return target


def page_of_copy(text: str, name: str, files: Container[str]) -> str:
    """Return a page without the links that lead out of an example's copied files.

    ``[shapes](../../docs/synthetic.md)`` becomes: shapes (`docs/synthetic.md` in the
    repository).
    """

    def linked(link: re.Match) -> str:
        words, target = link.groups()
        if target in files:
            return link[0]
        place = posixpath.normpath(f"examples/{name}/{target}")
        return f"{words} (`{place}` in the repository)"

    return _LINK.sub(linked, text)


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
    """Copy an example into DIR, or list the examples.

    Without NAME the examples are listed.  The copy is a folder NAME in DIR, by default
    in the current folder.  It holds a network with its explicit forward and backward,
    recipes, and the programs that train the network and classify images with it.

    \b
    Examples:
      python -m odyssey example
      python -m odyssey example lenet5_cifar10
      python -m odyssey example resnet18_cifar10 my_networks
    """  # noqa: D301  (click wants the backspace itself)
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
