"""The event files of TensorBoard: their names and their records.

TensorBoard reads the files of a folder in the order of their names, which contain the
time in seconds, and never goes back to an earlier file.
"""

import os
import re
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(r"events\.out\.tfevents\.([0-9]{10})\..*", re.ASCII)


def event_files(directory: Path) -> list[Path]:
    """Return the event files of a folder in the order of reading."""
    found = directory.glob("events.out.tfevents.*")
    return sorted(path for path in found if not path.is_fifo())  # opening one may hang


def next_event_file(directory: Path) -> Path:
    """Return a path that sorts after all event files of a folder.

    The clock may be behind them, and two sessions may begin within a second.
    """
    matches = (_NAME.fullmatch(path.name) for path in event_files(directory))
    times = [int(match[1]) for match in matches if match]
    seconds = max([int(time.time()), *(t + 1 for t in times)])
    name = f"events.out.tfevents.{seconds:010d}.{socket.gethostname()}.{os.getpid()}"
    return directory / name


def records(path: Path) -> Iterator[bytes]:
    """Yield the complete records of an event file.

    The format is TFRecord: a record is its length (uint64, little-endian), 4 bytes of
    checksum, its content and 4 bytes of checksum.
    """
    with open(path, "rb") as file:
        left = os.fstat(file.fileno()).st_size
        while left >= 16:
            (size,) = struct.unpack("<Q", file.read(12)[:8])
            left -= 16 + size
            if left >= 0:
                yield file.read(size + 4)[:size]
