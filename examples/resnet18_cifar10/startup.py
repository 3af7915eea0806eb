"""What the programs of this folder do first, for their other imports take a while.

It is there for three moments that are easily forgotten: Ctrl-C before the program has
begun, a standard stream that is closed, and a checkout that nobody has installed.
"""

import os
import signal
import sys
from types import FrameType

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def prepare() -> None:
    """Quit quietly on a signal, fill in closed streams, find this checkout's library.

    The handlers hold until the program sets its own.
    """
    for signum in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(signum) != signal.SIG_IGN:
            signal.signal(signum, _quit)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # After `2>&-` the next file that is opened would get stderr's number, and
            # with it every message.
            setattr(sys, name, open(os.devnull, mode))
    sys.path.insert(1, ROOT)


def _quit(signum: int, frame: FrameType | None) -> None:
    # An exception could be lost, or printed, within an import.
    os._exit(128 + signum)
