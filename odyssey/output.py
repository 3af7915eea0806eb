"""What programs print, where printing fails: the reader gone, the disk full.

A pipe's reader ends (``| head``), a terminal is closed, the disk behind a log is full:
every line that is printed then raises an `OSError`.  It is dealt with here, for all who
print: click, tqdm, warnings, tracebacks.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from odyssey.errors import EXIT_FAILURE, os_reason

#: Of a program that ended because nobody reads on, as of any other in a shell: 128 and
#: the number of SIGPIPE.
EXIT_UNHEARD = 141


def say(text: str, *, err: bool = False) -> None:
    """Print a line on stdout, or stderr, at once."""
    print(text, file=sys.stderr if err else sys.stdout, flush=True)


def show(text: str) -> None:
    """Write to stderr, without going on to the next line."""
    print(text, end="", file=sys.stderr, flush=True)


class Stream:
    """A standard stream of which a function is told when it cannot be written.

    Parameters
    ----------
    stream : the stream itself; all but writing is its own
    failed : called with the error, and may raise another
    """

    def __init__(self, stream: Any, failed: Callable[[Exception], None]) -> None:
        self.stream, self._failed = stream, failed

    def write(self, text: Any) -> int:
        """Write text; what the stream's encoding lacks is escaped."""
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
        """Bring what is written to the operating system."""
        try:
            self.stream.flush()
        except (OSError, ValueError) as error:
            self._failed(error)

    @property
    def buffer(self) -> "Stream":
        """The stream of bytes below; click writes to it where text would be ASCII."""
        return Stream(self.stream.buffer, self._failed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def settle(self) -> None:
        """Throw away what cannot be written.

        Python would try again when it ends, fail, and say so with exit status 120.
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
    """Tell whether a stream is a terminal; one that is closed or not there is none."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


@contextlib.contextmanager
def goes_on_unheard() -> Iterator[None]:
    """Go on in silence where printing fails; for what has more to do than to print."""
    with _standard_streams(_ignore, _ignore):
        yield


@contextlib.contextmanager
def ends_unheard() -> Iterator[None]:
    """End the program where its output cannot be printed; for what does little else.

    The exit status is `EXIT_UNHEARD`, without a word, if its reader has gone, and 1
    after another error.  Without stderr it goes on.
    """
    with _standard_streams(_end, _ignore):
        yield


def _ignore(error: Exception) -> None:
    """Take no notice; the next line tries again, for there may be room by then."""


def _end(error: Exception) -> None:
    if isinstance(error, BrokenPipeError):
        sys.exit(EXIT_UNHEARD)
    reason = os_reason(error) if isinstance(error, OSError) else error
    sys.stderr.write(f"Error: standard output: {reason}\n")
    sys.exit(EXIT_FAILURE)


@contextlib.contextmanager
def _standard_streams(*failed: Callable[[Exception], None]) -> Iterator[None]:
    """Put a `Stream` in the place of stdout and stderr for a while."""
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
