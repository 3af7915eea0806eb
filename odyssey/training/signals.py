"""Signals that ask a program to stop: a flag that is checked between batches."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, TypeVar

from odyssey.distributed.failure import leave
from odyssey.distributed.launcher import launched, speaks

#: Sent by Ctrl-C, by `kill`, for a lost connection or closed terminal, and by a batch
#: system shortly before its time limit; Windows lacks the last two.
SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
    if hasattr(signal, name)
)

#: Environment variable: if it is set, the end of standard input acts as a SIGTERM.  So
#: a run stops when the program at the other end of that pipe ends, however it ends.
STOP_WITH_STDIN = "ODYSSEY_STOP_WITH_STDIN"

#: Seconds within which a rank takes signals for one wish: a batch system or `timeout`
#: sends its signal to all processes, and mpiexec passes its own on to the same ranks.
ONE_WISH = 1.0

_NOTICE = b"\nstopping at the next batch; a second signal quits at once\n"


Flag = TypeVar("Flag", bound="StopFlag")


class StopRequested(Exception):
    """Raised to leave the loop after a signal."""


@contextlib.contextmanager
def handling(
    handler: Callable[[int, FrameType | None], object], *signums: int
) -> Iterator[None]:
    """Set ``handler`` for signals within this context, except for ignored ones.

    A shell ignores SIGINT for programs that a script starts with ``&``, nohup ignores
    SIGHUP.  Outside the main thread, where Python has no handlers, nothing changes.
    """
    previous = {}
    try:
        for signum in signums:
            # None: a handler that was not set by Python and could not be restored.
            if signal.getsignal(signum) not in (signal.SIG_IGN, None):
                with contextlib.suppress(ValueError):  # another thread
                    previous[signum] = signal.signal(signum, handler)
        yield
    finally:
        for signum, before in previous.items():
            signal.signal(signum, before)


class StopFlag:
    """Sets a flag at the first of `SIGNALS`; ends the process at the second.

    The first signal only sets the flag, so it leaves no file half written; files are
    replaced atomically, so the second one is safe too.  Under mpiexec the second ends
    the whole job, and it counts only a second after the first.

    Attributes
    ----------
    signum : int or None
        The first signal that came.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._since = 0.0

    def __enter__(self: Flag) -> Flag:
        self._handlers = handling(self._handle, *SIGNALS)
        self._handlers.__enter__()
        if os.environ.get(STOP_WITH_STDIN) and speaks():  # only rank 0 has a stdin
            threading.Thread(target=self._wait_for_stdin, daemon=True).start()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._handlers.__exit__(*exc_info)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None:
            if signum == signal.SIGINT and hasattr(sys, "ps1"):
                raise KeyboardInterrupt  # do not end an interactive session
            if launched() and time.monotonic() - self._since < ONE_WISH:
                return
            leave(128 + signum)
        self.signum, self._since = signum, time.monotonic()
        if not speaks():
            return
        try:
            # os.write, because a handler may interrupt a print of the main program.
            os.write(2, _NOTICE)
        except OSError:
            pass

    def _wait_for_stdin(self) -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        if self.signum is None:
            self.signum = signal.SIGTERM

    def check(self) -> None:
        """Raise `StopRequested` if a signal has come."""
        if self.signum is not None:
            raise StopRequested
