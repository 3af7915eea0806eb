"""Errors that stop a program, with their exit statuses, and one-line messages."""

import os
import re
import signal
import sys
from typing import Any

from odyssey.distributed.launcher import speaks

#: Most characters of a message: enough for paths and a reason.
MAX_MESSAGE = 1000

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_NONFINITE = 3

#: Advice that a program adds to messages, such as which option helps.  The library has
#: no options itself; `odyssey.cli.remedies` fills this in.
REMEDIES: dict[str, str] = {}


def remedy(key: str, **values: Any) -> str:
    """Return the program's advice for a case, "" if it has none."""
    return REMEDIES.get(key, "").format(**values)


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
    """Stop the program on a signal (status 128 + its number: 130, 143 ...)."""

    def __init__(self, signum: int, message: str = "") -> None:
        name = signal.Signals(signum).name
        super().__init__(f"stopped by {name}{': ' if message else ''}{message}")
        self.signum = signum
        self.exit_status = 128 + signum


def os_reason(error: OSError) -> str:
    """Return the system's message, after the name of the file if it is known."""
    where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def one_line(text: str, most: int = MAX_MESSAGE) -> str:
    """Return a message as one line of at most ``most`` characters.

    The middle of a longer text is left out, as an error may quote a whole damaged file;
    characters that cannot be printed are escaped.
    """
    text = re.sub(r"\s*[\r\n]\s*", " ", text.strip())
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    if len(text) <= most:
        return text
    end = most // 4
    return f"{text[: most - end - 5]} ... {text[-end:]}"


def reason(error: Exception) -> str:
    """Return an error as one line, with its type unless it is an `OSError`."""
    if isinstance(error, OSError):
        return os_reason(error)
    return one_line(f"{type(error).__name__}: {error}").removesuffix(":")


def warn(message: str) -> None:
    """Print a warning on stderr; of several ranks only rank 0 does."""
    if speaks():
        print(f"Warning: {one_line(message)}", file=sys.stderr, flush=True)
