"""Options that the benchmarks share."""

import json
import os
from pathlib import Path

import click
import numba

from odyssey.weights.files import atomic_write_text

THREADS = min(2, numba.config.NUMBA_NUM_THREADS)
THREAD_RANGE = click.IntRange(1, numba.config.NUMBA_NUM_THREADS)


def json_option(help: str = "File to write all measurements to."):
    """Add ``--json``, a file for `write_json`, as the argument ``path``."""
    return click.option(
        "--json",
        "path",
        type=click.Path(dir_okay=False, path_type=Path),
        callback=writable,
        help=help,
    )


def size_options(repeat_help: str):
    """Add ``--batch``, ``--threads``, ``--repeat`` and ``--json`` to a command."""
    options = (
        click.option("--batch", type=click.IntRange(1), default=128, show_default=True),
        click.option(
            "--threads",
            type=THREAD_RANGE,
            default=THREADS,
            show_default=True,
        ),
        click.option(
            "--repeat",
            type=click.IntRange(1),
            default=5,
            show_default=True,
            help=repeat_help,
        ),
        json_option(),
    )

    def add(command):
        for option in reversed(options):
            command = option(command)
        return command

    return add


def write_json(path: Path | None, report: dict) -> None:
    """Write the results so far, so that they are kept if the run is stopped later."""
    if path:
        atomic_write_text(path, json.dumps(report, indent=1) + "\n")


def writable(ctx, param, path):
    """Refuse a file that cannot be written, before hours are spent on its content."""
    if path and not os.access(path.absolute().parent, os.W_OK):
        raise click.BadParameter(f"no folder to write to: {path.parent}")
    return path
