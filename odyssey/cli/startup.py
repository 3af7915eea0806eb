"""What programs do first, for their other imports take a while.

It is there for moments that are easily forgotten: Ctrl-C before the program has begun,
a standard stream that is closed, a reader that goes away, and a session that outlives
the program, as with IPython's ``%run``.
"""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

_previous: dict[int, Any] = {}  # handlers, by signal


def prepare() -> None:
    """Quit quietly on a signal, fill in closed streams, look at the environment.

    The handlers hold until the program sets its own, or has ended.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"):  # Windows lacks two
        signum = getattr(signal, name, None)
        # In a session an exception may well be printed, and no signal may end it.
        if signum and not (hasattr(sys, "ps1") or sys.flags.interactive):
            before = signal.getsignal(signum)
            if before not in (signal.SIG_IGN, None):
                try:
                    signal.signal(signum, _quit)
                except ValueError:  # Python allows it in the main thread alone
                    break
                _previous.setdefault(signum, before)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # After `2>&-` the next file that is opened would get stderr's number, and
            # with it every message.
            setattr(sys, name, open(os.devnull, mode))
    if "NUMBA_NUM_THREADS" in os.environ:
        from odyssey.cli.environment import check_environment

        check_environment()


def run(main: Callable[[], object]) -> None:
    """Run the program, and put back the handlers that were there before it."""
    from odyssey.output import ends_unheard

    try:
        with ends_unheard():
            main()
    finally:
        while _previous:
            signal.signal(*_previous.popitem())


def _quit(signum: int, frame: FrameType | None) -> None:
    # An exception could be lost, or printed, within an import.
    os._exit(128 + signum)
