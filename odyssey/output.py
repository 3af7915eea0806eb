"""Printing, also where it fails.

If a pipe's reader has ended (``| head``), a terminal was closed or the disk of a log is
full, every printed line raises an `OSError`.  It is handled here for everything that
prints: click, tqdm, warnings, tracebacks.
"""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from odyssey.distributed.launcher import speaks
from odyssey.errors import EXIT_FAILURE, os_reason

if TYPE_CHECKING:
    from tqdm import tqdm

#: Exit status of a program whose output has no reader any more.  As for other programs
#: in a shell it is 128 plus the number of SIGPIPE.
EXIT_UNHEARD = 141


def say(text: str, *, err: bool = False) -> None:
    """Print a line on stdout or stderr and flush it."""
    print(text, file=sys.stderr if err else sys.stdout, flush=True)


def show(text: str) -> None:
    """Write to stderr without a line end, and flush it; of ranks only rank 0 does."""
    if speaks():
        print(text, end="", file=sys.stderr, flush=True)


class Stream:
    """A standard stream; if it cannot be written, ``failed`` gets the error."""

    def __init__(self, stream: Any, failed: Callable[[Exception], None]) -> None:
        self.stream, self._failed = stream, failed

    def write(self, text: Any) -> int:
        """Write text; escape characters that the stream's encoding lacks."""
        try:
            return self.stream.write(text)
        except UnicodeEncodeError as error:  # a class name, an ASCII terminal
            text = text.encode(error.encoding, "backslashreplace")
            return self.write(text.decode(error.encoding))
        except (OSError, ValueError) as error:  # ValueError: of a closed stream
            self._failed(error)
            return len(text)

    def writelines(self, lines: Iterable[Any]) -> None:
        """Write several lines."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        try:
            self.stream.flush()
        except (OSError, ValueError) as error:
            self._failed(error)

    @property
    def buffer(self) -> "Stream":
        """The stream of bytes below; click writes to it if the encoding is ASCII."""
        return Stream(self.stream.buffer, self._failed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def settle(self) -> None:
        """Discard what cannot be written.

        Otherwise Python tries again when it ends, fails, and exits with status 120.
        """
        try:
            self.stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                descriptor = self.stream.fileno()
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
                self.stream.flush()


def is_terminal(stream: Any) -> bool:
    """Return whether a stream is a terminal; False if it is closed or None."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def progress_bar(**options: Any) -> "tqdm":
    """Return tqdm's bar on stderr, removed at its end; ``options`` are tqdm's.

    Without a size tqdm draws nothing on a terminal that does not report its own.  Of
    several ranks only rank 0 draws.
    """
    from tqdm import tqdm

    columns, rows = shutil.get_terminal_size()
    options["disable"] = options.get("disable", False) or not speaks()
    return tqdm(file=sys.stderr, ncols=columns, nrows=rows, leave=False, **options)


@contextlib.contextmanager
def goes_on_unheard() -> Iterator[None]:
    """Ignore errors of printing; for programs whose main work is not to print."""
    with _standard_streams(_ignore, _ignore):
        yield


@contextlib.contextmanager
def ends_unheard() -> Iterator[None]:
    """End the program if stdout cannot be written; for programs that mainly print.

    The exit status is `EXIT_UNHEARD`, without a message, if the reader has ended, and 1
    after another error.  Errors of stderr are ignored.
    """
    with _standard_streams(_end, _ignore):
        yield


def _ignore(error: Exception) -> None:
    """Do nothing: the next line tries again, as the disk may have room by then."""


def _end(error: Exception) -> None:
    if isinstance(error, BrokenPipeError):
        sys.exit(EXIT_UNHEARD)
    reason = os_reason(error) if isinstance(error, OSError) else error
    sys.stderr.write(f"Error: standard output: {reason}\n")
    sys.exit(EXIT_FAILURE)


@contextlib.contextmanager
def _standard_streams(*failed: Callable[[Exception], None]) -> Iterator[None]:
    """Replace stdout and stderr by a `Stream` each within this context."""
    before = {name: getattr(sys, name) for name in ("stdout", "stderr")}
    streams = {}
    for (name, stream), function in zip(before.items(), failed, strict=True):
        if isinstance(stream, Stream):  # the innermost rule holds
            stream = stream.stream
        if stream is not None:
            streams[name] = Stream(stream, function)
            setattr(sys, name, streams[name])
    try:
        yield
    finally:
        for name, stream in streams.items():
            stream.settle()
            if getattr(sys, name) is stream:
                setattr(sys, name, before[name])
