"""Show how the reading of image files goes on."""

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from odyssey.data.observer import Observer
from odyssey.errors import one_line
from odyssey.output import is_terminal, progress_bar

if TYPE_CHECKING:
    from tqdm import tqdm

SECONDS = 10.0  # from one printed line to the next


class ImageMeter(Observer):
    """Shows a bar on a terminal, and lines elsewhere, while images are read.

    Parameters
    ----------
    bar : draw a bar on stderr; None: if it is a terminal
    err : print messages on stderr, so that stdout has results alone
    check : called from time to time; may raise to stop
    """

    def __init__(
        self,
        bar: bool | None = None,
        *,
        err: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.bar = is_terminal(sys.stderr) if bar is None else bar
        self.err, self.check = err, check
        self._tqdm: tqdm | None = None

    def say(self, message: str) -> None:
        """Print a message."""
        click.echo(one_line(message), err=self.err)

    def fail(self, message: str) -> None:
        """Print an error."""
        click.echo(f"Error: {one_line(message)}", err=True)

    def begin(self, done: int, total: int | None) -> None:
        """Draw the bar, if there is one."""
        self._done, self._total = done, total
        self._said_at = time.monotonic()
        if self.bar:
            self._tqdm = progress_bar(total=total, desc="reading images", unit="image")

    def advance(self, count: int) -> None:
        """Count images, and show the progress from time to time."""
        self.check()
        self._done += count
        if self._tqdm is not None:
            self._tqdm.update(count)
        elif time.monotonic() - self._said_at >= SECONDS:
            self._said_at = time.monotonic()
            self.say(f"reading images: {self._done:,} of {self._total:,}")

    def end(self) -> None:
        """Remove the bar."""
        if self._tqdm is not None:
            self._tqdm.close()
            self._tqdm = None
