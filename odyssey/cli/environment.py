"""Variables of the environment that would stop a program while it imports Numba."""

import os
import sys

import click

from odyssey.errors import EXIT_USAGE


def check_environment() -> None:
    """Stop the program with a line and status 2 if NUMBA_NUM_THREADS cannot be used.

    To be called before Numba is imported, which ends with a traceback where it is zero
    and counts all cores where it is no number.
    """
    value = os.environ.get("NUMBA_NUM_THREADS")
    try:
        if value is None or int(value) > 0:
            return
    except ValueError:
        pass
    click.echo(
        f"Error: NUMBA_NUM_THREADS must be a whole number from 1, got {value!r}",
        err=True,
    )
    sys.exit(EXIT_USAGE)
