"""Files that survive a crash: flushed to disk, and replaced whole or not at all.

The way of every writer here: write under a temporary name in the same directory (a
rename cannot cross file systems), flush, ``fsync``, rename, ``fsync`` the directory.
"""

import contextlib
import errno
import os
import secrets
import shutil
import stat
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows has no flock: there, one process at a time is up to you
    fcntl = None

TEMPORARY = ".tmp-"  # begins the name of whatever is not finished; readers ignore it
#: What a file system without locks answers: FUSE, Lustre, NFS and SMB at times.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)
# What this process has warned of, so as not to say it again at each checkpoint.
_not_cleared: set[Path] = set()
_without_locks: set[int] = set()  # devices


class WeightsError(ValueError):
    """A weight file, manifest, folder or checkpoint that is not as it must be."""


def fsync_directory(path: str | os.PathLike) -> None:
    """Flush the entries of a directory, so that renames in it survive a power cut."""
    if os.name == "nt":  # Windows cannot open a directory
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems know no fsync of directories.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise _named(error, path) from None
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Create a directory with its parents, each flushed into the one above it.

    Raises
    ------
    FileExistsError
        If a file, or a link that leads nowhere, stands in its place or in a parent's.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        place = error.filename
        reason = dead_link(place) or "a file where a folder belongs"
        raise FileExistsError(errno.EEXIST, reason, os.fspath(place)) from None
    for folder in missing:
        with contextlib.suppress(PermissionError):  # one may write where none may read
            fsync_directory(folder.parent)


def dead_link(path: str | os.PathLike) -> str:
    """Return what is to be said of a link that leads nowhere, "" if it is none."""
    if os.path.islink(path) and not os.path.exists(path):
        return f"a link to {os.readlink(os.fspath(path))}, which does not exist"
    return ""


def file_size(path: str | os.PathLike) -> int:
    """Return the size of a file, and refuse a pipe or device: to open it may hang."""
    status = os.stat(path)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise WeightsError(f"{path}: not a regular file")
    return status.st_size


def write_new_file(path: str | os.PathLike, *chunks: bytes) -> None:
    """Write ``chunks`` to a file that must not exist yet, and flush it to disk."""
    try:
        with open(path, "xb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _named(error, path) from None


def atomic_write_bytes(path: str | os.PathLike, *chunks: bytes) -> None:
    """Replace a file by ``chunks``: a crash leaves the old content or the new.

    On any failure the temporary file is removed and the old content is untouched.
    A symbolic link stays a link; the file that it points to is replaced.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():  # never put a file where a device is
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    temporary = target.with_name(_temporary_name(target.name[:50]))
    try:
        write_new_file(temporary, *chunks)
        os.replace(temporary, target)
    except BaseException as error:
        if not isinstance(error, FileExistsError):  # it would be another writer's
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if isinstance(error, OSError):
            error.filename, error.filename2 = os.fspath(path), None
        raise
    fsync_directory(target.parent)


def atomic_write_text(path: str | os.PathLike, text: str) -> None:
    """Replace a file by ``text`` in UTF-8; see :func:`atomic_write_bytes`."""
    atomic_write_bytes(path, text.encode())


@contextlib.contextmanager
def temporary_directory(parent: Path, stem: str) -> Iterator[Path]:
    """Make ``.tmp-<stem>-<random>`` to be filled and renamed; remove it on failure."""
    path = parent / _temporary_name(stem)
    path.mkdir()
    try:
        yield path
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def remove_leftovers(directory: Path, prefix: str = TEMPORARY) -> None:
    """Remove what earlier processes left unfinished in ``directory``, if it goes away.

    Call it only while no other process writes there (see :func:`directory_lock`).
    """
    for path in directory.iterdir():
        if path.name.startswith(prefix):
            with leaving(directory):
                remove_path(path)


@contextlib.contextmanager
def leaving(directory: Path) -> Iterator[None]:
    """Let stay what cannot be deleted; warn the first time, once for a directory.

    For clearing up on which nothing depends: a network file system keeps a file that is
    open somewhere as ``.nfs...``, and Windows keeps every open file.
    """
    try:
        yield
    except OSError as error:
        if directory not in _not_cleared:
            _not_cleared.add(directory)
            warnings.warn(
                f"{error.filename or directory}: cannot be cleared away "
                f"({error.strerror or error}); it stays, and is tried again later",
                stacklevel=3,
            )


def remove_path(path: Path) -> None:
    """Remove a file, a directory with all in it, or a link but not what it leads to.

    Of a directory goes all that can be removed, before the first error is raised.
    """
    if not path.is_dir() or path.is_symlink():
        path.unlink()
        return
    errors: list[OSError] = []

    def note(function: object, place: str, error: Any) -> None:
        error = error if isinstance(error, OSError) else error[1]
        if not isinstance(error, FileNotFoundError):  # gone meanwhile
            error.filename = os.fspath(place)
            errors.append(error)

    if sys.version_info >= (3, 12):
        shutil.rmtree(path, onexc=note)
    else:
        shutil.rmtree(path, onerror=note)
    if errors:
        raise errors[0]


def discard(path: Path, stem: str = "") -> None:
    """Remove a directory at one stroke: no reader ever sees half of it.

    What cannot be deleted stays under a temporary name; see :func:`leaving`.

    Raises
    ------
    OSError
        If not even its name can be taken from it.
    """
    doomed = path.with_name(_temporary_name(stem or f"old-{path.name}"))
    os.rename(path, doomed)
    with leaving(path.parent):
        remove_path(doomed)


@contextlib.contextmanager
def directory_lock(directory: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock on changing a directory; yield whether it is held.

    The system releases the lock of a process that dies, so none is ever stale.
    Without ``wait`` a lock held by another gives False at once.  Where the file system
    has no locks, a waiting caller goes on without and one that does not wait gets
    False.
    """
    if fcntl is None:
        yield wait
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            held = take_lock(descriptor, directory, wait=wait)
        except OSError:  # NFS locks what is open for writing, as no directory can be
            held = False
        yield held or wait
    finally:
        os.close(descriptor)


def take_lock(descriptor: int, place: Path, *, wait: bool) -> bool:
    """Take the lock on an open file; return False where there are no locks.

    A file system without locks is warned of, once.

    Raises
    ------
    BlockingIOError
        If another process holds it and ``wait`` is false.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        device = os.fstat(descriptor).st_dev
        if device not in _without_locks:
            _without_locks.add(device)
            warnings.warn(
                f"{place}: the file system has no locks ({error.strerror}): see that "
                "no two programs write there at once",
                stacklevel=3,
            )
        return False
    return True


def _temporary_name(stem: str) -> str:
    """Return a name that no other writer has, in another thread or in the past."""
    return f"{TEMPORARY}{stem}-{secrets.token_hex(8)}"


def _named(error: OSError, path: str | os.PathLike) -> OSError:
    """Return ``error`` with the file it is about, which write and fsync leave out."""
    if error.filename is None:
        error.filename = os.fspath(path)
    return error
