"""Says that kernels are being compiled, for which a first call waits a second each.

Numba tells of each compilation as an event.  A program shows on its terminal how many
kernels it has come to; training, whose output may be a file, prints a line now and
then.  A person at a terminal gets one line, once.
"""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any

from numba.core import event

from odyssey import kernel_cache, threads
from odyssey.output import is_terminal, say, show

#: Seconds between two lines where there is no terminal.
INTERVAL = 10.0


class Notice:
    """One line before the first compilation, if stderr is a terminal."""

    def __init__(self) -> None:
        self._said = False

    def begin(self) -> None:
        """Tell once what takes so long."""
        if self._said:
            return
        self._said = True
        if is_terminal(sys.stderr):
            after = "kept for later runs" if kernel_cache.can_keep() else "not kept"
            say(
                "odyssey: compiling kernels, each when it is first called; they are "
                f"{after} (python -m odyssey warmup compiles all)",
                err=True,
            )

    def end(self) -> None:
        """Leave the line where it is."""


class Silence:
    """Nothing, where somebody else shows how far it is."""

    def begin(self) -> None:
        """Say nothing."""

    def end(self) -> None:
        """Say nothing."""


class Counter:
    """How many kernels there are so far, of those that the program may come to.

    On a terminal this is a line of stderr that goes away.

    Parameters
    ----------
    lines : bool
        Elsewhere, print a line every `INTERVAL` seconds.
    """

    def __init__(self, lines: bool = False) -> None:
        self.compiled = 0  # so far
        self._lines = lines
        self._since = self._said = 0.0
        self._shown = ""

    def begin(self) -> None:
        """Show the number of the kernel that is to be compiled."""
        self.compiled += 1
        there = sum(bool(kernel.overloads) for kernel in threads.kernels())
        text = f"compiling kernels: {there + 1} of at most {len(threads.kernels())}"
        now = time.perf_counter()
        if is_terminal(sys.stderr):
            self._shown = text
            show(f"\r{text}")
        elif self._lines and self.compiled == 1:
            self._since = self._said = now
            say("compiling kernels ...")
        elif self._lines and now - self._said >= INTERVAL:
            self._said = now
            say(f"{text}, {now - self._since:.0f} s so far")

    def end(self) -> None:
        """Take the line away."""
        if self._shown:
            show(f"\r{' ' * len(self._shown)}\r")
            self._shown = ""


_reporters: list[Any] = [Notice()]


@contextlib.contextmanager
def reporting(reporter: Any) -> Iterator[Any]:
    """Have ``reporter`` told of compilations for a while, and nobody else."""
    _reporters.append(reporter)
    try:
        yield reporter
    finally:
        _reporters.remove(reporter)


class _Listener(event.Listener):
    """Told by Numba of all that is compiled, ours or not."""

    def on_start(self, of: event.Event) -> None:
        if of.data["dispatcher"] in threads.kernels():
            with contextlib.suppress(OSError, ValueError):  # compiling matters more
                _reporters[-1].begin()

    def on_end(self, of: event.Event) -> None:
        if of.data["dispatcher"] in threads.kernels():
            with contextlib.suppress(OSError, ValueError):
                _reporters[-1].end()


event.register("numba:compile", _Listener())
