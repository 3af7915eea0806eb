"""``odyssey convert``: weights from one format into another, under the right names."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from odyssey.cli.command import Command
from odyssey.cli.info import summary
from odyssey.cli.next_steps import say_next
from odyssey.cli.option import LOGGING, MODEL, debug_option, option
from odyssey.cli.program import exit_statuses
from odyssey.errors import one_line
from odyssey.formats.files import is_folder
from odyssey.output import goes_on_unheard, is_terminal, progress_bar, say


@click.command(
    "convert",
    cls=Command,
    short_help="Convert weights: PyTorch, safetensors, npz, hex files.",
)
@click.argument("source", metavar="SRC", type=click.Path(exists=True))
@option(
    "--to",
    "target",
    metavar="DST",
    required=True,
    help="File to write, in the format of its suffix: .pth, .pt, .th, .safetensors or "
    ".npz; or a folder of hex files, without a suffix or with a slash at its end.",
)
@option(
    "--model",
    group=MODEL,
    metavar="NAME",
    show_default="recognised by the shapes",
    help="Model that the weights are of, as --model of an example's train.py.",
)
@option(
    "--names",
    group=MODEL,
    metavar="STYLE",
    show_default="odyssey in a folder; in a file the usual of the model, keep if it is "
    "not known",
    help="Names that the tensors get: odyssey, keep (as in SRC), torchvision, or "
    "another style that the model has.",
)
@option(
    "--example",
    "folder",
    group=MODEL,
    type=click.Path(file_okay=False, path_type=Path),
    show_default="found by the model's name, or by the shapes",
    help="Folder of the example that has the model, if it is your own.",
)
@option("--force", is_flag=True, help="Replace what is there already.")
@option("--no-progress", group=LOGGING, is_flag=True, help="Do not show progress.")
@debug_option
def main(
    source: str,
    target: str,
    model: str | None,
    names: str | None,
    folder: Path | None,
    force: bool,
    no_progress: bool,
    debug: bool,
) -> None:
    """Convert weights between PyTorch, safetensors, NumPy (.npz) and hex files.

    SRC is a file of any of them, told by its content and not by its name, or a folder
    of weights, of a run or of a checkpoint.  A checkpoint of PyTorch is read without
    PyTorch, and nothing in it is executed.  The programs of an example can load the
    folder that is written if the model is one of theirs.

    \b
    Examples:
      python -m odyssey convert resnet18.pth --to resnet18/
      python -m odyssey convert ckpt.th --to weights/ --model resnet20
      python -m odyssey convert weights/ --to model.safetensors
      python -m odyssey convert model.safetensors --to model.pth

    docs/formats.md says what each format holds, and what is lost.
    """  # noqa: D301  (click wants the backspace itself)
    with goes_on_unheard(), exit_statuses(debug):
        is_folder(target)  # a suffix of no format is refused before all else
        from odyssey.cli import conversion
        from odyssey.cli.find_example import load_example
        from odyssey.formats.misfits import NamesError, said_apart

        conversion.refuse_target(source, target, force)
        example = load_example(folder) if folder else None
        bar = is_terminal(sys.stderr) and not no_progress
        with _progress(bar, "reading", _size(source)) as advance:
            file, known = conversion.open_source(source, example)
            advance(_size(source))
        _say(summary(file, source))
        _say_notes(file.notes)
        size = sum(tensor.nbytes for tensor in file.tensors.values())
        try:
            with _progress(bar, "writing", size) as advance:
                done = conversion.convert(
                    file,
                    known,
                    source,
                    target,
                    example=example,
                    model=model,
                    names=names,
                    advance=advance,
                )
        except NamesError as error:
            raise said_apart(error) from error
        _say_notes(done.notes)
        _say(conversion.written(done, target))
        if opened_by := conversion.opened_by(target):
            _say(opened_by)
        say_next(*conversion.next_steps(done, target))


def _size(path: str) -> int:
    """Return the bytes of a file, or of the files in a folder."""
    if not os.path.isdir(path):
        return os.path.getsize(path)
    return sum(entry.stat().st_size for entry in os.scandir(path) if entry.is_file())


@contextmanager
def _progress(bar: bool, what: str, size: int) -> Iterator[Callable[[int], object]]:
    """Show a bar of bytes within this context, if ``bar``; yield what moves it on."""
    if not bar:
        yield lambda count: None
        return
    with progress_bar(total=size, desc=what, unit="B", unit_scale=True) as shown:
        yield shown.update


def _say_notes(notes: Iterable[str]) -> None:
    for note in notes:
        _say(f"note: {note}")


def _say(text: str) -> None:
    say(one_line(text))
