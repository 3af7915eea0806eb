"""What stops a program early, and the exit status that goes with it."""

import os
import signal

import click

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_NONFINITE = 3


class ProgramError(Exception):
    """Stop the program with a short message: it failed while running (status 1)."""

    exit_status = EXIT_FAILURE


class InputError(ProgramError):
    """Stop the program: an option, data or weights cannot be used (status 2)."""

    exit_status = EXIT_USAGE


class NonFiniteError(ProgramError):
    """Stop the program: a loss, gradient or weight is NaN or infinite (status 3)."""

    exit_status = EXIT_NONFINITE


class Interrupted(ProgramError):
    """Stop the program on a signal (status 128 + its number: 130 or 143)."""

    def __init__(self, signum: int, message: str = "") -> None:
        name = signal.Signals(signum).name
        super().__init__(f"stopped by {name}{': ' if message else ''}{message}")
        self.signum = signum
        self.exit_status = 128 + signum


def os_reason(error: OSError) -> str:
    """Return what the system said, after the file it is about if that is known."""
    where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def warn(message: str) -> None:
    """Print a warning on stderr."""
    click.echo(f"Warning: {message}", err=True)
