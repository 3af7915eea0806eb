"""Signals that ask a program to stop: a flag that is looked at between batches."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, TypeVar

#: Ctrl-C, `kill`, a lost connection or closed terminal, a batch system whose time is
#: nearly up; Windows lacks the last two.
SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
    if hasattr(signal, name)
)

#: Environment variable: where it is set, the end of standard input is a SIGTERM.  So a
#: run ends with the program that holds the other end of that pipe, however this ended.
STOP_WITH_STDIN = "ODYSSEY_STOP_WITH_STDIN"

_NOTICE = b"\nstopping at the next batch; a second signal quits at once\n"


Flag = TypeVar("Flag", bound="StopFlag")


class StopRequested(Exception):
    """Leave the loop: a signal came in."""


@contextlib.contextmanager
def handling(
    handler: Callable[[int, FrameType | None], object], *signums: int
) -> Iterator[None]:
    """Have signals call ``handler`` for a while, but for those that are ignored.

    A shell has SIGINT ignored in what a script starts with ``&``, nohup SIGHUP.
    In another thread than the main one, where Python has no handlers, nothing changes.
    """
    previous = {}
    try:
        for signum in signums:
            # None: somebody's handler that is not Python's and could not be put back.
            if signal.getsignal(signum) not in (signal.SIG_IGN, None):
                with contextlib.suppress(ValueError):  # another thread
                    previous[signum] = signal.signal(signum, handler)
        yield
    finally:
        for signum, before in previous.items():
            signal.signal(signum, before)


class StopFlag:
    """Turn the first of `SIGNALS` into a flag; let the second one quit at once.

    The handler does nothing but raise the flag, so no file is ever left half written
    by the first signal; files are replaced atomically, so the second one is safe too.

    Attributes
    ----------
    signum : int or None
        The signal that came, once one has.
    """

    def __init__(self) -> None:
        self.signum: int | None = None

    def __enter__(self: Flag) -> Flag:
        self._handlers = handling(self._handle, *SIGNALS)
        self._handlers.__enter__()
        if os.environ.get(STOP_WITH_STDIN):
            threading.Thread(target=self._wait_for_stdin, daemon=True).start()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._handlers.__exit__(*exc_info)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None:
            if signum == signal.SIGINT and hasattr(sys, "ps1"):
                raise KeyboardInterrupt  # a session, IPython's say, is not ours to end
            os._exit(128 + signum)
        self.signum = signum
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
