"""What the commands of ``odyssey learn`` share; nothing here imports Numba."""

import contextlib
import signal
import sys
import textwrap
import traceback
from collections.abc import Iterator
from pathlib import Path

import click

from odyssey.cli.choice import Choice
from odyssey.cli.next_steps import ODYSSEY, say_next
from odyssey.cli.option import option
from odyssey.errors import EXIT_FAILURE, Interrupted, ProgramError, one_line, os_reason
from odyssey.learn import course
from odyssey.learn.progress import Progress, Record
from odyssey.training.signals import SIGNALS, handling

#: Characters of a line of text.
WIDTH = 80

folder_option = option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    show_default="the current folder if a course is in it, else odyssey_course",
    help="Folder of your files and of progress.json.",
)
exercise_argument = click.argument("name", metavar="NAME", type=Choice(course.ORDER))


@contextlib.contextmanager
def statuses(debug: bool) -> Iterator[None]:
    """Turn errors and signals into a line and an exit status.

    Without Numba, unlike `odyssey.cli.program`.  A signal raises, so that the process
    in which a student's code is checked is ended, too.
    """
    signums: list[int] = []

    def stop(signum: int, frame: object) -> None:
        signums.append(signum)
        raise KeyboardInterrupt

    try:
        with handling(stop, *SIGNALS):
            yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except KeyboardInterrupt:
        message, status = "stopped by Ctrl-C", 130
        if signums and signums[0] != signal.SIGINT:
            stopped = Interrupted(signums[0])
            message, status = str(stopped), stopped.exit_status
    except ProgramError as error:
        message, status = str(error), error.exit_status
    except OSError as error:
        message, status = os_reason(error), EXIT_FAILURE
    else:
        return
    if debug:
        traceback.print_exc()
    click.echo(f"Error: {one_line(message)}", err=True)
    sys.exit(status)


def say_next_exercise(progress: Progress) -> bool:
    """Say how to go on with the first exercise not done; False if all are done."""
    for name in course.ORDER:
        record = progress[name]
        if not record.passed:
            what = "check" if record.started else "start"
            say_next((*ODYSSEY, "learn", what, name))
            return True
    return False


def hints_taken(record: Record) -> str:
    """Return how many hints were taken, in words."""
    return f"{record.hints} hint{'s' if record.hints > 1 else ''}"


def wrapped(text: str) -> str:
    """Return a text in lines."""
    return textwrap.fill(text, WIDTH, break_on_hyphens=False, break_long_words=False)
