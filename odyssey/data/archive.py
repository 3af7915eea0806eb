"""Unpack the published archives of CIFAR, trusting nothing in them.

1. The MD5 sum of the file is checked before a byte of it is interpreted.
2. Members are read one by one, never by ``extractall``: only plain files with the
   expected names, of limited size, each at most once.
3. They are written to a folder beside the target, flushed, and loaded as a check.
4. A rename puts the folder in place; the target changes at no other moment.

If a member would be written outside the folder, or is a link or a device, the whole
archive is refused.  Other plain files are skipped.
"""

import contextlib
import gzip
import hashlib
import os
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from odyssey.data.cifar import CifarSet
from odyssey.data.cifar10 import CIFAR10
from odyssey.data.dataset import DataError, Dataset
from odyssey.data.file_kinds import GZIP, HEAD_BYTES, TAR, kind_of
from odyssey.errors import one_line
from odyssey.weights.files import (
    TEMPORARY,
    discard,
    fsync_directory,
    remove_leftovers,
    temporary_directory,
    write_new_file,
)

MAX_SMALL_BYTES = 2**20  # of a member without images
MAX_UNPACKED_BYTES = 2**28  # of the whole archive; the published ones have 186 MB
MAX_MEMBERS = 1000
STAGING = "cifar-10"  # in the name of the folder that archives are unpacked into

#: Errors of tarfile and gzip that mean a damaged archive.
_DAMAGE = (
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,  # the gzip stream ends early
    ValueError,  # a number in a header
    RecursionError,  # nested headers
)


def _largest_sizes(published: CifarSet) -> dict[str, dict[str, int]]:
    """Return the largest size of each file that is unpacked, by folder and name."""
    return {
        form.folder: {
            **dict.fromkeys(form.files, published.max_bytes),
            **dict.fromkeys((form.names_file, "readme.html"), MAX_SMALL_BYTES),
        }
        for form in published.formats
        if form.names_file
    }


def md5_of_file(file: Path | BinaryIO) -> str | None:
    """Return the MD5 sum of a file, given by path or open, in hex; None if missing."""
    if isinstance(file, Path):
        if not file.is_file():
            return None
        with open(file, "rb") as opened:
            return md5_of_file(opened)
    digest = hashlib.md5(usedforsecurity=False)
    while block := file.read(2**20):
        digest.update(block)
    return digest.hexdigest()


def mismatch(
    expected: str, expected_size: int | None, found: str | None, found_size: int
) -> str:
    """Return the message about a wrong MD5 sum."""
    size = "" if expected_size is None else f" ({expected_size:,} bytes)"
    return f"expected MD5 {expected}{size}, got {found} ({found_size:,} bytes)"


def check_md5(archive: Path, file: BinaryIO, md5: str, size: int | None = None) -> None:
    """Raise `DataError` unless an archive, open as ``file``, has the sum ``md5``."""
    found = md5_of_file(file)
    if found == md5:
        return
    message, kind = mismatch(md5, size, found, file.tell()), _kind_at_start(file)
    if kind == TAR:
        hint = "as Safari leaves it; tar -xf FILE -C FOLDER unpacks it"
        message = f"{TAR}, {hint} ({message})"
    elif kind and kind != GZIP:
        message = f"{kind} ({message})"
    raise DataError(f"{archive}: {message}")


def unpack(
    archive: Path,
    md5: str,
    data_dir: Path,
    size: int | None = None,
    *,
    published: CifarSet = CIFAR10,
) -> Dataset:
    """Unpack the batches of a ``.tar.gz`` or ``.tar`` to ``data_dir``, all or none.

    Parameters
    ----------
    archive : Path
    md5 : str
        The sum that the archive must have, 32 lower-case hex digits.
    data_dir : Path
        Gets a folder such as ``cifar-10-batches-py/``.  Hold its lock, and call
        `recover` first.
    size : int or None
        Bytes that the archive should have, for the message.
    published : CifarSet
        The data set in the archive.

    Returns
    -------
    dataset : the data set that was unpacked

    Raises
    ------
    DataError
        If the archive is not the expected one, damaged or hostile; nothing in
        ``data_dir`` has changed.
    OSError
        If a file cannot be read or written; likewise.
    """
    with open(archive, "rb") as file:
        check_md5(archive, file, md5, size)
        file.seek(0)
        with temporary_directory(data_dir, STAGING) as staging:
            try:
                folder = _extract(file, staging, _largest_sizes(published))
                dataset = published.load(staging)
            except DataError as error:
                reason = str(error).removeprefix(f"{staging}: ")
                reason = reason.replace(f"{staging}{os.sep}", "")
                raise DataError(f"{archive}: {reason}") from error
            _swap_in(folder, data_dir / folder.name)
            staging.rmdir()
    return dataset


def recover(data_dir: Path, *, published: CifarSet = CIFAR10) -> None:
    """Finish or undo the work of a process that was killed, in ``data_dir``."""
    remove_leftovers(data_dir, f"{TEMPORARY}{STAGING}-")
    for name in _largest_sizes(published):
        _settle(data_dir / name)


def _extract(file: BinaryIO, staging: Path, sizes: dict[str, dict[str, int]]) -> Path:
    """Write the archive's batches below ``staging``; return the folder they are in."""
    written: set[str] = set()
    folder = None
    for name, content in _expected_files(file, sizes):
        if name in written:
            raise DataError(f"member {name!r} comes twice")
        written.add(name)
        path = staging / name
        if path.parent != folder:
            if folder is not None:
                raise DataError(f"holds both {folder.name}/ and {path.parent.name}/")
            folder = path.parent
            folder.mkdir()
        write_new_file(path, content)
    if folder is None:
        raise DataError(f"holds neither {'/ nor '.join(sizes)}/")
    return folder


def _expected_files(
    file: BinaryIO, sizes: dict[str, dict[str, int]]
) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the members that belong to the data set, in order."""
    try:
        with _unzipped(file) as unzipped:
            # tarfile needs only read(), though its types ask for more
            stream: Any = _Limited(unzipped, MAX_UNPACKED_BYTES)
            with tarfile.open(mode="r|", fileobj=stream, bufsize=2**16) as tar:
                for count, member in enumerate(tar):
                    if count == MAX_MEMBERS:
                        raise DataError(f"more than {MAX_MEMBERS} members")
                    _refuse_dangerous(member)
                    name = member.name.removeprefix("./")
                    folder, _, base = name.partition("/")
                    limit = sizes.get(folder, {}).get(base)
                    # Even skipping a member takes time in proportion to its size.
                    if not 0 <= member.size <= (limit or MAX_UNPACKED_BYTES):
                        size = f"{member.size:,}"[:30]
                        raise DataError(f"member {name[:200]!r} claims {size} bytes")
                    content = tar.extractfile(member) if limit else None
                    if content is not None:  # it is None for a folder
                        yield name, content.read()
            # gzip's checksum comes last, after all that tar reads.
            while stream.read(2**20):
                pass
    except DataError:
        raise
    except _DAMAGE as error:
        raise DataError(f"damaged archive: {one_line(str(error), 200)}") from error


def _unzipped(
    file: BinaryIO,
) -> contextlib.AbstractContextManager[BinaryIO | gzip.GzipFile]:
    """Return the tar stream of an archive, which may be unzipped already."""
    kind = _kind_at_start(file)
    if kind == TAR:
        return contextlib.nullcontext(file)
    if kind not in ("", GZIP):
        raise DataError(f"{kind}, not a .tar.gz")
    return gzip.GzipFile(fileobj=file)


def _kind_at_start(file: BinaryIO) -> str:
    """Return the kind of an open file, and go back to its start."""
    file.seek(0)
    kind = kind_of(file.read(HEAD_BYTES))
    file.seek(0)
    return kind


def _refuse_dangerous(member: tarfile.TarInfo) -> None:
    """Raise ``DataError`` for a member that no published archive has."""
    name = member.name
    outside = ".." in re.split(r"[/\\]", name) or re.match(r"[/\\]|[A-Za-z]:", name)
    if outside:
        raise DataError(f"member {name[:200]!r} would be written outside the folder")
    if not (member.isfile() or member.isdir()) or member.issparse():
        kind = "link" if member.islnk() or member.issym() else "special file"
        raise DataError(f"member {name[:200]!r} is a {kind}, not a plain file")


class _Limited:
    """A readable stream that raises after more than ``limit`` bytes."""

    def __init__(self, stream: BinaryIO | gzip.GzipFile, limit: int) -> None:
        self._stream, self._limit, self._left = stream, limit, limit

    def read(self, count: int) -> bytes:
        """Return up to ``count`` bytes."""
        data = self._stream.read(min(count, self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise DataError(f"unpacks to more than {self._limit:,} bytes")
        return data


def _swap_in(new: Path, target: Path) -> None:
    """Rename a folder into place; the old one is removed only after that."""
    fsync_directory(new)
    try:
        if os.path.lexists(target):
            os.rename(target, _aside(target))
        os.rename(new, target)
    finally:
        _settle(target)
    fsync_directory(target.parent)


def _aside(target: Path) -> Path:
    """Return the name of an old folder while the new one takes its place."""
    return target.with_name(f".old-{target.name}")


def _settle(target: Path) -> None:
    """Remove the old folder if the new one is in place; else put the old one back."""
    old = _aside(target)
    if not os.path.lexists(old):
        return
    if not os.path.lexists(target):
        os.rename(old, target)
    else:
        discard(old, f"{STAGING}-old")
