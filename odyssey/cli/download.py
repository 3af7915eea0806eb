"""Download CIFAR-10 or CIFAR-100 and unpack it.

python -m odyssey download --data-dir datasets/cifar10
python -m odyssey download --dataset cifar100
python -m odyssey download --from-file FILE.tar.gz
"""

import re
import signal
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from tqdm import tqdm

from odyssey.cli.choice import Choice
from odyssey.cli.command import Command
from odyssey.cli.data_options import DATA_DIR_DEFAULTS
from odyssey.cli.next_steps import say_next, training
from odyssey.cli.option import DATA, LOGGING, debug_option, option
from odyssey.cli.option_types import FiniteFloat, WholeNumber
from odyssey.cli.program import exit_statuses
from odyssey.data.dataset import DataError
from odyssey.data.download import (
    ARCHIVES,
    NO_SOURCE,
    DownloadError,
    WrongArchiveError,
    download,
)
from odyssey.data.observer import Observer
from odyssey.data.sets import usual_data_dir
from odyssey.errors import InputError, Interrupted, ProgramError
from odyssey.output import goes_on_unheard, is_terminal, progress_bar
from odyssey.training.progress import duration
from odyssey.training.signals import SIGNALS, handling

MIB = 2**20
HINT = (
    ". If you can get the archive in another way, unpack it with --from-file, "
    "or name an address with --url"
)


class Meter(Observer):
    """Show a download: a bar on a terminal, plain lines elsewhere.

    Parameters
    ----------
    bar, lines : bool
        Whether to draw a bar on stderr; whether to print a line every minute and
        every tenth of the file.
    """

    def __init__(self, bar: bool, lines: bool) -> None:
        self.bar, self.lines = bar, lines
        self._tqdm: tqdm | None = None

    def say(self, message: str) -> None:
        """Print a message."""
        click.echo(message)

    def fail(self, message: str) -> None:
        """Print a message about a failure."""
        click.echo(message, err=True)

    def begin(self, done: int, total: int | None) -> None:
        """Print the size, and how much is already there."""
        size = f"{total / MIB:,.1f} MiB" if total else "size unknown"
        click.echo(size + (f", going on from {done / MIB:,.1f} MiB" if done else ""))
        self._first, self._done, self._total = done, done, total
        self._started = self._said_at = time.monotonic()
        self._said = done
        if self.bar:
            self._tqdm = progress_bar(
                total=total, initial=done, unit="B", unit_scale=True, unit_divisor=1024
            )

    def advance(self, count: int) -> None:
        """Count bytes that have arrived, and show the progress from time to time."""
        self._done += count
        if self._tqdm is not None:
            self._tqdm.update(count)
        tenth = self._total and self._done - self._said >= self._total / 10
        if self.lines and (tenth or time.monotonic() - self._said_at >= 60):
            self._said, self._said_at = self._done, time.monotonic()
            click.echo(self._line())

    def end(self) -> None:
        """Remove the bar."""
        if self._tqdm is not None:
            self._tqdm.close()
            self._tqdm = None

    def _line(self) -> str:
        """Return bytes, rate and the time left (ETA)."""
        rate = (self._done - self._first) / (time.monotonic() - self._started + 1e-9)
        line = f"{self._done / MIB:,.1f} MiB, {rate / MIB:.2f} MiB/s"
        if self._total:
            left = duration((self._total - self._done) / rate)
            line += f", {self._done / self._total:.0%}, ETA {left}"
        return line


def check_urls(
    ctx: click.Context, param: click.Parameter, urls: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the addresses; refuse one that is not http or https."""
    for url in urls:
        try:
            parts = urlsplit(url)
            fit = parts.scheme in ("http", "https") and parts.hostname
        except ValueError:
            fit = False
        if not fit:
            raise click.BadParameter(f"{url!r} is not an http or https address.")
    return urls


def check_md5(
    ctx: click.Context, param: click.Parameter, md5: str | None
) -> str | None:
    """Return the sum in lower case; refuse one that is not 32 hex digits."""
    if md5 is None:
        return None
    if not re.fullmatch("[0-9a-fA-F]{32}", md5):
        raise click.BadParameter(f"{md5!r} is not an MD5 sum of 32 hex digits.")
    return md5.lower()


@click.command(
    "download", cls=Command, short_help="Download CIFAR-10, check and unpack it."
)
@option(
    "--dataset",
    group=DATA,
    type=Choice(ARCHIVES),
    default="cifar10",
    help="Data set to download.",
)
@option(
    "--data-dir",
    group=DATA,
    type=click.Path(file_okay=False, path_type=Path),
    show_default=DATA_DIR_DEFAULTS,
    help="Folder for the data set. If the data set is already there, nothing is done.",
)
@option(
    "--url",
    "urls",
    group=DATA,
    metavar="URL",
    multiple=True,
    show_default="University of Toronto, then a mirror",
    callback=check_urls,
    help="Address of the archive; if given several times, each is tried in turn.",
)
@option(
    "--md5",
    group=DATA,
    metavar="HEX",
    show_default=" or ".join(archive.md5 for archive in ARCHIVES.values()),
    callback=check_md5,
    help="MD5 sum that the archive must have, downloaded or not.",
)
@option(
    "--from-file",
    group=DATA,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Unpack this archive instead of downloading one.",
)
@option(
    "--timeout",
    type=FiniteFloat(min=0, min_open=True, max=86400),
    default=60.0,
    help="Seconds without data after which a connection counts as broken.",
)
@option(
    "--retries",
    type=WholeNumber(0, 100),
    default=3,
    help="Number of further attempts if a server is busy or a connection breaks.",
)
@option(
    "--keep-archive",
    is_flag=True,
    help="Keep the downloaded archive in the folder after unpacking.",
)
@option(
    "--force",
    is_flag=True,
    help="Replace a data set that is already there.",
)
@option("--no-progress", group=LOGGING, is_flag=True, help="Do not show progress.")
@debug_option
def main(dataset: str, no_progress: bool, debug: bool, **options: Any) -> None:
    """Download CIFAR-10 or CIFAR-100 and unpack it.

    CIFAR-10 has 163 MiB and 177 MiB unpacked, CIFAR-100 161 MiB and 178 MiB. The MD5
    sum of the archive is checked before it is unpacked.

    An interrupted download leaves a .part file in the folder, and the same command
    continues from there. The data set appears in the folder only when it is
    complete.

    \b
    Examples:
      python -m odyssey download
      python -m odyssey download --dataset cifar100
      python -m odyssey download --from-file cifar-10-python.tar.gz
    """  # noqa: D301  (click wants the backspace itself)
    bar = is_terminal(sys.stderr) and not no_progress
    options["data_dir"] = options["data_dir"] or Path(usual_data_dir(dataset))
    options["urls"] = options["urls"] or ARCHIVES[dataset].urls
    options["observer"] = Meter(bar, lines=not (bar or no_progress))
    signums: list[int] = []

    def stop(signum: int, frame: object) -> None:
        signums.append(signum)
        raise KeyboardInterrupt  # unlike Exception, caught by nothing in between

    others = [signum for signum in SIGNALS if signum != signal.SIGINT]
    with goes_on_unheard(), exit_statuses(debug):
        try:
            with handling(stop, *others):
                data = download(dataset, **options)
        except KeyboardInterrupt:
            raise Interrupted(signums[0] if signums else signal.SIGINT) from None
        except DownloadError as error:
            raise ProgramError(f"{NO_SOURCE}{HINT}") from error
        except WrongArchiveError as error:
            raise InputError(f"{NO_SOURCE}{HINT}") from error
        except DataError as error:
            raise InputError(
                f"{error}{'' if options['from_file'] else HINT}"
            ) from error
        click.echo(
            f"{options['data_dir']}: {len(data.train_labels):,} training and "
            f"{len(data.test_labels):,} test images"
        )
        chosen = [] if dataset == "cifar10" else ["--dataset", dataset]
        if options["data_dir"] != Path(usual_data_dir(dataset)):
            chosen += ["--data-dir", str(options["data_dir"])]
        say_next(training(*chosen))
