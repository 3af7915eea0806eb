"""Ctrl-C and SIGTERM as a flag that the training loop looks at between batches."""

import os
import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NOTICE = b"\nstopping at the next batch; a second signal quits at once\n"


class StopRequested(Exception):
    """Leave the loop: a signal came in."""


class StopFlag:
    """Turn the first SIGINT or SIGTERM into a flag; let the second one quit at once.

    The handler does nothing but raise the flag, so no file is ever left half written
    by the first signal; files are replaced atomically, so the second one is safe too.

    Attributes
    ----------
    signum : int or None
        The signal that came, once one has.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._previous: dict[int, object] = {}

    def __enter__(self) -> "StopFlag":
        for signum in SIGNALS:
            self._previous[signum] = signal.signal(signum, self._handle)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None:
            os._exit(128 + signum)
        self.signum = signum
        try:
            # os.write, because a handler may interrupt a print of the main program.
            os.write(2, _NOTICE)
        except OSError:
            pass

    def check(self) -> None:
        """Raise `StopRequested` if a signal has come."""
        if self.signum is not None:
            raise StopRequested
