"""Flush files to disk, one by one or several at once."""

import os
from collections import deque
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from concurrent.futures import Future


class Flusher:
    """Flush files to disk, several at once.

    Use it as a context, at whose end all files are on disk.  A file system with a
    journal writes that once for all files that wait for it: 200 files of 2 kB took 0.06
    instead of 0.8 seconds, large ones about half the time.

    Raises
    ------
    OSError
        If a file could not be flushed; the first such error, in `add` or at the end.
    """

    THREADS = 4
    MOST_PENDING = 8  # files that are open and not yet on disk

    def __init__(self) -> None:
        from concurrent.futures import ThreadPoolExecutor  # seldom needed

        self._pool = ThreadPoolExecutor(self.THREADS, "odyssey-flush")
        self._pending: deque[Future[None]] = deque()

    def __enter__(self) -> "Flusher":
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._pool.shutdown()  # waits
        while self._pending and kind is None:
            self._pending.popleft().result()

    def add(self, file: BinaryIO, path: str | os.PathLike) -> None:
        """Flush a file, soon, and close it."""
        self._pending.append(self._pool.submit(flush_and_close, file, path))
        if len(self._pending) > self.MOST_PENDING:
            self._pending.popleft().result()


def flush_and_close(file: BinaryIO, path: str | os.PathLike) -> None:
    """Flush a file to disk and close it, whether that succeeds or not."""
    try:
        with file:
            os.fsync(file.fileno())
    except OSError as error:
        raise named(error, path) from None


def named(error: OSError, path: str | os.PathLike) -> OSError:
    """Return ``error`` with a file name, which errors of write and fsync lack."""
    if error.filename is None:
        error.filename = os.fspath(path)
    return error
