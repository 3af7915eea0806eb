"""Reports that kernels are being compiled: about a second each, at their first call.

Numba announces each compilation as an event.  A program shows on its terminal how many
kernels are compiled so far; training, whose output may be a file, prints a line now and
then.  An interactive session gets one line, once.
"""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TypeVar

from numba.core import event

from odyssey import kernel_cache, threads
from odyssey.output import is_terminal, say, show

#: Seconds between two lines where there is no terminal.
INTERVAL = 10.0

R = TypeVar("R", bound="Reporter")


class Reporter:
    """Is called around each compilation; this one reports nothing."""

    def begin(self) -> None:
        """Report that a kernel is about to be compiled."""

    def end(self) -> None:
        """Report that a kernel has been compiled."""


class Notice(Reporter):
    """One line before the first compilation, if stderr is a terminal."""

    def __init__(self) -> None:
        self._printed = False

    def begin(self) -> None:
        """Print the line, the first time only."""
        if self._printed:
            return
        self._printed = True
        if is_terminal(sys.stderr):
            after = "kept for later runs" if kernel_cache.can_keep() else "not kept"
            say(
                "odyssey: compiling kernels, each when it is first called; they are "
                f"{after} (python -m odyssey warmup compiles all)",
                err=True,
            )


class Counter(Reporter):
    """Shows how many kernels are ready, of those that the program may use.

    On a terminal this is a temporary line on stderr.  Elsewhere, if ``lines``, it is a
    printed line every `INTERVAL` seconds.
    """

    def __init__(self, lines: bool = False) -> None:
        self.compiled = 0  # so far
        self._lines = lines
        self._started = self._printed = 0.0  # times
        self._shown = ""

    def begin(self) -> None:
        """Show the number of the kernel that is about to be compiled."""
        self.compiled += 1
        ready = sum(bool(kernel.overloads) for kernel in threads.kernels())
        text = f"compiling kernels: {ready + 1} of at most {len(threads.kernels())}"
        now = time.perf_counter()
        if is_terminal(sys.stderr):
            self._shown = text
            show(f"\r{text}")
        elif self._lines and self.compiled == 1:
            self._started = self._printed = now
            say("compiling kernels ...")
        elif self._lines and now - self._printed >= INTERVAL:
            self._printed = now
            say(f"{text}, {now - self._started:.0f} s so far")

    def end(self) -> None:
        """Remove the temporary line."""
        if self._shown:
            show(f"\r{' ' * len(self._shown)}\r")
            self._shown = ""


_reporters: list[Reporter] = [Notice()]  # the last one is called


@contextlib.contextmanager
def reporting(reporter: R) -> Iterator[R]:
    """Have compilations reported by ``reporter`` alone within this context."""
    _reporters.append(reporter)
    try:
        yield reporter
    finally:
        _reporters.remove(reporter)


class _Listener(event.Listener):
    """Is called by Numba for every function that it compiles, ours or not."""

    def on_start(self, of: event.Event) -> None:
        if of.data["dispatcher"] in threads.kernels():
            with contextlib.suppress(OSError, ValueError):  # printing may fail
                _reporters[-1].begin()

    def on_end(self, of: event.Event) -> None:
        if of.data["dispatcher"] in threads.kernels():
            with contextlib.suppress(OSError, ValueError):
                _reporters[-1].end()


event.register("numba:compile", _Listener())
