"""Write files that survive a crash: flushed to disk, replaced as a whole or not at all.

Every writer here writes under a temporary name in the same directory (a rename cannot
cross file systems), flushes, calls ``fsync``, renames, and calls ``fsync`` on the
directory.
"""

import contextlib
import errno
import os
import secrets
import shutil
import stat
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from odyssey.weights.flushing import Flusher, flush_and_close, named

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows has no flock; there the user keeps to one process
    fcntl = None

TEMPORARY = ".tmp-"  # prefix of unfinished files and folders; readers ignore them
#: Errors of file systems without locks: sometimes FUSE, Lustre, NFS and SMB.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)
# Places that this process has warned about, so as not to warn at each checkpoint.
_not_cleared: set[Path] = set()
_without_locks: set[int] = set()  # devices


class WeightsError(ValueError):
    """A weight file, manifest, folder or checkpoint is damaged or does not fit."""


def fsync_directory(path: str | os.PathLike) -> None:
    """Flush the entries of a directory, so that renames survive a power cut."""
    if os.name == "nt":  # Windows cannot open a directory
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot fsync directories.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise named(error, path) from None
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Create a directory and its parents, and flush their entries to disk.

    Raises
    ------
    FileExistsError
        If its name or that of a parent is taken by a file or a dangling link.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        place = error.filename
        reason = dead_link(place) or "a file where a folder belongs"
        raise FileExistsError(errno.EEXIST, reason, os.fspath(place)) from None
    for folder in missing:
        with contextlib.suppress(PermissionError):  # writeable, but unreadable
            fsync_directory(folder.parent)


def dead_link(path: str | os.PathLike) -> str:
    """Return the message about a dangling link, "" if ``path`` is not one."""
    if os.path.islink(path) and not os.path.exists(path):
        return f"a link to {os.readlink(os.fspath(path))}, which does not exist"
    return ""


def file_size(path: str | os.PathLike) -> int:
    """Return the size of a file; refuse a pipe or device, which could block."""
    status = os.stat(path)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise WeightsError(f"{path}: not a regular file")
    return status.st_size


def write_new_file(
    path: str | os.PathLike,
    *chunks: bytes | memoryview,
    flusher: Flusher | None = None,
) -> None:
    """Write ``chunks`` to a new file, and flush it to disk; refuse an existing file.

    With ``flusher`` the file is on disk only when the context of that has ended.
    """
    _write_flushed(path, chunks, flusher)


def _write_flushed(
    path: str | os.PathLike,
    chunks: Iterable[bytes | memoryview],
    flusher: Flusher | None,
) -> None:
    try:
        file = open(path, "xb")
        try:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
        except BaseException:
            file.close()
            raise
    except OSError as error:
        raise named(error, path) from None
    if flusher is None:
        flush_and_close(file, path)
    else:
        flusher.add(file, path)


def atomic_write_bytes(path: str | os.PathLike, *chunks: bytes | memoryview) -> None:
    """Write ``chunks`` to a file; see `atomic_write_chunks`."""
    atomic_write_chunks(path, chunks)


def atomic_write_chunks(
    path: str | os.PathLike, chunks: Iterable[bytes | memoryview]
) -> None:
    """Replace the content of a file; a crash leaves either the old or the new content.

    After a failure the temporary file is removed and the old content is still there.
    A symbolic link stays a link; the file that it points to is replaced.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():  # never replace a device
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    temporary = target.with_name(_temporary_name(target.name[:50]))
    try:
        _write_flushed(temporary, chunks, None)
        os.replace(temporary, target)
    except BaseException as error:
        if not isinstance(error, FileExistsError):  # that file is another writer's
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if isinstance(error, OSError):
            error.filename, error.filename2 = os.fspath(path), None
        raise
    fsync_directory(target.parent)


def atomic_write_text(path: str | os.PathLike, text: str) -> None:
    """Replace the content of a file by ``text`` in UTF-8; see `atomic_write_bytes`."""
    atomic_write_bytes(path, text.encode())


@contextlib.contextmanager
def temporary_directory(parent: Path, stem: str) -> Iterator[Path]:
    """Create ``.tmp-<stem>-<random>``, to fill and rename; remove it on failure."""
    path = parent / _temporary_name(stem)
    path.mkdir()
    try:
        yield path
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def remove_leftovers(directory: Path, prefix: str = TEMPORARY) -> None:
    """Remove the unfinished files that earlier processes left in ``directory``.

    Call it only while no other process writes there, see `directory_lock`.  A file that
    cannot be removed stays, see `leaving`.
    """
    for path in directory.iterdir():
        if path.name.startswith(prefix):
            with leaving(directory):
                remove_path(path)


@contextlib.contextmanager
def leaving(directory: Path) -> Iterator[None]:
    """Turn a failed deletion into a warning, once for each directory.

    Use it for clearing up on which nothing depends: a network file system keeps a file
    that is open somewhere as ``.nfs...``, and Windows keeps every open file.
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
    """Remove a file, a link (not its target), or a directory with its contents.

    In a directory, all that can be removed is removed; then the first error is raised.
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
    """Remove a directory; no reader ever finds it half removed.

    It is renamed first.  Files that cannot be deleted stay under the temporary name,
    see `leaving`.

    Raises
    ------
    OSError
        If the directory cannot be renamed.
    """
    doomed = path.with_name(_temporary_name(stem or f"old-{path.name}"))
    os.rename(path, doomed)
    with leaving(path.parent):
        remove_path(doomed)


@contextlib.contextmanager
def directory_lock(directory: Path, *, wait: bool = True) -> Iterator[bool]:
    """Lock a directory against other writers; yield whether to go on.

    The system releases the lock of a process that dies, so no lock is ever stale.
    Without ``wait`` the result is False if another process holds the lock.  If the file
    system has no locks, the result is ``wait``.
    """
    if fcntl is None:
        yield wait
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            held = take_lock(descriptor, directory, wait=wait)
        except OSError:  # NFS locks only files open for writing, so no directory
            held = False
        yield held or wait
    finally:
        os.close(descriptor)


def take_lock(descriptor: int, place: Path, *, wait: bool) -> bool:
    """Lock an open file; return False, with one warning, if there are no locks.

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
    """Return a name that no other writer uses or has used."""
    return f"{TEMPORARY}{stem}-{secrets.token_hex(8)}"
