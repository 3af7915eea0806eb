"""What programs do first: their other imports take a while.

It covers moments that are easily forgotten: Ctrl-C before the program has begun, a
closed standard stream, a reader that goes away, and a session that outlives the
program, as with IPython's ``%run``.
"""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from odyssey.distributed import launcher

_previous: dict[int, Any] = {}  # handlers, by signal


def prepare() -> None:
    """Quit quietly on a signal, open closed streams, check the environment.

    The signal handlers stay until the program sets its own or ends.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"):  # Windows lacks two
        signum = getattr(signal, name, None)
        # In an interactive session no signal may end the process.
        if signum and not (hasattr(sys, "ps1") or sys.flags.interactive):
            before = signal.getsignal(signum)
            if before not in (signal.SIG_IGN, None):
                try:
                    signal.signal(signum, _quit)
                except ValueError:  # Python allows it in the main thread only
                    break
                _previous.setdefault(signum, before)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # After `2>&-` the next file opened would get stderr's descriptor, and every
            # message would be written into it.
            setattr(sys, name, open(os.devnull, mode))
    launcher.end_job_at_uncaught()
    check_environment()


def check_environment() -> None:
    """End the program with a message and status 2 if NUMBA_NUM_THREADS is unusable.

    Call it before Numba is imported: that fails with a traceback if the value is zero,
    and uses all cores if the value is not a number.
    """
    value = os.environ.get("NUMBA_NUM_THREADS")
    try:
        if value is None or int(value) > 0:
            return
    except ValueError:
        pass
    from odyssey.errors import EXIT_USAGE

    launcher.fail(
        f"Error: NUMBA_NUM_THREADS must be a whole number from 1, got {value!r}",
        EXIT_USAGE,
    )


def run(main: Callable[[], object]) -> None:
    """Run the program, then restore the signal handlers of before.

    Under mpiexec the ranks are joined before, and fail together.
    """
    from odyssey.distributed.failure import together
    from odyssey.output import ends_unheard

    try:
        with ends_unheard(), together():
            main()
    finally:
        while _previous:
            signal.signal(*_previous.popitem())


def _quit(signum: int, frame: FrameType | None) -> None:
    # An exception raised within an import could be lost, or be printed.
    failure = sys.modules.get("odyssey.distributed.failure")
    getattr(failure, "leave", launcher.quit_job)(128 + signum)
