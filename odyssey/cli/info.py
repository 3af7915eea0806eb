"""``odyssey info``: what Odyssey runs on, or what a file of tensors holds."""

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from odyssey.cli.command import Command
from odyssey.cli.next_steps import ODYSSEY, say_next
from odyssey.cli.option import LOGGING, debug_option, option
from odyssey.cli.program import exit_statuses
from odyssey.distributed import placement
from odyssey.distributed.join import join
from odyssey.errors import one_line
from odyssey.formats.tensor_file import TensorFile

MOST_METADATA = 300  # characters of one value that are shown
#: What is said of each tensor: columns of the table, keys in JSON.
_ENTRY = ("name", "dtype", "shape", "bytes")


@click.command(
    "info", cls=Command, short_help="Say what runs here, or what a file holds."
)
@click.argument("path", metavar="[FILE]", required=False, type=click.Path(exists=True))
@option("--json", "as_json", group=LOGGING, is_flag=True, help="Print one JSON object.")
@debug_option
def main(path: str | None, as_json: bool, debug: bool) -> None:
    """Print versions, threads, BLAS and the kernels' cache folder; or a file's tensors.

    Under mpiexec the MPI library and the CPUs of each rank are printed too.

    FILE is a file of PyTorch, safetensors or NumPy (.npz), whatever its name, or a
    folder of hex files.  Its tensors are listed with names, dtypes, shapes and bytes.
    The whole file is read and checked, and nothing in it is executed.

    \b
    Examples:
      python -m odyssey info
      python -m odyssey info resnet18.pth
      python -m odyssey info weights/ --json
    """  # noqa: D301  (click wants the backspace itself)
    with exit_statuses(debug, ranks=True):
        if path is None:
            _print_environment(as_json)
            return
        from odyssey.formats.files import read_tensors

        file = read_tensors(path)
        if as_json:
            click.echo(json.dumps(as_dict(file), indent=1))
        else:
            for line in described(file, path):
                click.echo(line)
            say_next(next_step(path))


def totals(tensors: dict[str, np.ndarray]) -> tuple[int, int, int]:
    """Return how many tensors there are, their numbers, and their bytes."""
    found = tensors.values()
    return len(tensors), sum(t.size for t in found), sum(t.nbytes for t in found)


def summary(file: TensorFile, path: str) -> str:
    """Return what a file holds in one line."""
    count, numbers, size = totals(file.tensors)
    return one_line(
        f"{path}: {file.kind}, {count:,} tensors, {numbers:,} numbers, {size:,} bytes"
    )


def described(file: TensorFile, path: str) -> list[str]:
    """Return the lines about a file: its tensors, its metadata, notes."""
    rows = [_ENTRY] + [
        (one_line(name, 120), str(t.dtype), str(t.shape), f"{t.nbytes:,}")
        for name, t in file.tensors.items()
    ]
    wide, dtype, shape, size = (
        max(map(len, column)) for column in zip(*rows, strict=True)
    )
    lines = [summary(file, path)]
    lines += [
        f"  {a:{wide}}  {b:{dtype}}  {c:{shape}}  {d:>{size}}" for a, b, c, d in rows
    ]
    for key, value in file.metadata.items():
        text = value if isinstance(value, str) else json.dumps(value)
        lines.append(f"{one_line(key, 80)}: {one_line(text, MOST_METADATA)}")
    return [*lines, *(one_line(f"note: {note}") for note in file.notes)]


def next_step(path: str) -> tuple[str, ...]:
    """Return the words of the command that converts a file, or a folder."""
    source = Path(path)
    target = f"{source.stem}_weights/" if source.is_file() else "model.safetensors"
    return (*ODYSSEY, "convert", path, "--to", target)


def as_dict(file: TensorFile) -> dict[str, Any]:
    """Return what a file holds as values of JSON."""
    count, numbers, size = totals(file.tensors)
    return {
        "kind": file.kind,
        "tensors": [
            dict(zip(_ENTRY, (name, str(t.dtype), t.shape, t.nbytes), strict=True))
            for name, t in file.tensors.items()
        ],
        "total": {"tensors": count, "numbers": numbers, "bytes": size},
        "metadata": file.metadata,
        "notes": file.notes,
    }


def _print_environment(as_json: bool) -> None:
    from odyssey.info import collect, describe
    from odyssey.threads import num_threads

    ranks = join()
    if ranks.size > 1:
        placement.summary(ranks, num_threads())  # so that each knows all threads
    known = collect()
    click.echo(json.dumps(known, indent=2) if as_json else describe(known))
