"""Exit statuses and ``--threads``, shared by the command-line programs."""

import contextlib
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator

import click
import numba

from odyssey.cli.option import option
from odyssey.cli.option_types import WholeNumber
from odyssey.compiling import Counter, reporting
from odyssey.data.dataset import DataError
from odyssey.distributed.failure import Failure, guarded
from odyssey.distributed.launcher import launched
from odyssey.errors import (
    EXIT_FAILURE,
    EXIT_USAGE,
    InputError,
    Interrupted,
    ProgramError,
    one_line,
    os_reason,
    warn,
)
from odyssey.output import goes_on_unheard
from odyssey.threads import available_cores, default_threads, start
from odyssey.training.signals import SIGNALS, handling
from odyssey.weights.files import WeightsError


def _use_threads(ctx: click.Context, param: click.Parameter, value: int) -> None:
    try:
        start()
    except ValueError as error:  # no threading layer; the message has several lines
        raise click.UsageError(" ".join(str(error).split())) from None
    numba.set_num_threads(value)


def threads_option(command: Callable) -> Callable:
    """Add ``--threads``, which sets the number of threads of all kernels."""
    return option(
        "--threads",
        type=WholeNumber(1, available_cores()),
        default=lambda: default_threads(),  # when it runs: ranks have joined by then
        show_default="all cores, or those that a container or a rank is granted",
        expose_value=False,
        callback=_use_threads,
        help="Number of CPU threads; results do not depend on it.",
    )(command)


@contextlib.contextmanager
def exit_statuses(debug: bool = False, *, ranks: bool = False) -> Iterator[None]:
    """Turn an error into a short message and an exit status.

    Warnings become short messages too.  On several ranks the message is left to
    `odyssey.distributed.failure.together`, so that it is printed once.

    ====== ==================================================================
    status cause
    ====== ==================================================================
    1      any other failure: full disk, unwritable folder, no memory
    2      missing or damaged data or weights (click: a wrong option)
    3      a loss or gradient that is not finite
    129    SIGHUP: a lost connection, a closed terminal
    130    Ctrl-C
    138    SIGUSR1: a batch system, before the time is up (158 on macOS)
    141    nobody reads the output any more, in a program whose task is to print
           (`odyssey.output.ends_unheard`)
    143    SIGTERM
    ====== ==================================================================

    Parameters
    ----------
    debug : bool
        Print the traceback too, and warnings with file and line.
    ranks : bool
        Whether the program knows what to do on several ranks; the others refuse.
    """
    prefix = "Error: "
    others = [signum for signum in SIGNALS if signum != signal.SIGINT]
    signums: list[int] = []

    def stop(signum: int, frame: object) -> None:
        signums.append(signum)
        raise KeyboardInterrupt  # so that unfinished files are removed

    try:
        ctrl_c_raises = handling(signal.default_int_handler, signal.SIGINT)
        with (
            ctrl_c_raises,
            handling(stop, *others),
            warnings.catch_warnings(),
            reporting(Counter()),
        ):
            if not debug:
                warnings.showwarning = lambda message, *place: warn(str(message))
            if not ranks:
                _refuse_ranks()
            yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except KeyboardInterrupt:
        message, status = "stopped by Ctrl-C", 130
        if signums:
            stopped = Interrupted(signums[0])
            message, status, prefix = str(stopped), stopped.exit_status, ""
    except (DataError, WeightsError) as error:
        message, status = str(error), EXIT_USAGE
    except Interrupted as error:
        message, status, prefix = str(error), error.exit_status, ""
    except ProgramError as error:
        message, status = str(error), error.exit_status
    except OSError as error:
        message, status = os_reason(error), EXIT_FAILURE
    except MemoryError as error:
        message, status = f"out of memory: {error}", EXIT_FAILURE
    except Exception as error:
        message = f"{type(error).__name__}: {error} (--debug shows where)"
        status = EXIT_FAILURE
    else:
        return
    text = f"{prefix}{one_line(message)}"
    if debug:
        text = traceback.format_exc() + text
    if guarded():
        raise Failure(text, status)
    with goes_on_unheard():
        click.echo(text, err=True)
    sys.exit(status)


def _refuse_ranks() -> None:
    if guarded() and (found := launched()):
        raise InputError(
            "this program runs as one process, training runs on several: start it "
            f"without {found.launcher}"
        )
