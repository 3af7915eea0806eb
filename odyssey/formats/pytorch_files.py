"""Open the two formats of PyTorch's files: where the pickle and the storages lie.

The zip format, since PyTorch 1.6: records in a folder of any name, ``data.pkl``,
``byteorder``, and ``data/KEY`` for each storage, none of them compressed.

The older one: five pickles, which are a magic number, a version, facts about the
machine, the object and the keys of the storages.  Then, for each key, the number of
elements as int64, and the elements.  They are little-endian on every machine.
"""

import contextlib
import struct
from typing import Any, BinaryIO, Protocol

import numpy as np

from odyssey.formats.pytorch_choice import all_tensors
from odyssey.formats.pytorch_pickle import (
    CheckpointMachine,
    Storage,
    is_count,
    tensor_record,
)
from odyssey.formats.pytorch_tensors import shown
from odyssey.formats.tensor_file import FormatError
from odyssey.formats.zip_reader import (
    Allowance,
    ZipReader,
    first_name,
    is_zip,
    read_summed,
)
from odyssey.pickle_machine import PickleMachine, UnpickleError

#: Magic number of the older format, as an instruction of its first pickle.
MAGIC = 0x1950A86A20F9469CFC6C
_MAGIC_PICKLE = b"\x8a\x0a" + MAGIC.to_bytes(10, "little") + b"."
VERSION = 1001
_ITS_RECORDS = ("data.pkl", "version", "byteorder", ".format_version", "constants.pkl")


class Content(Protocol):
    """An open file: what its pickle holds, and the bytes of its storages."""

    kind: str
    root: Any
    order: str  # "<" or ">"

    def load(self, storage: Storage) -> np.ndarray:
        """Return the bytes of a storage as a new uint8 array."""

    def notes(self) -> tuple[str, ...]:
        """Return what is to be said of what has been read."""


def is_legacy(head: bytes) -> bool:
    """Return whether a file that begins with ``head`` is of the older format."""
    return head[:1] == b"\x80" and _MAGIC_PICKLE in head[:32]


def is_pytorch_zip(head: bytes) -> bool:
    """Return whether the first record of a zip file is one of those of PyTorch."""
    first = first_name(head)
    if first is None:
        return False
    folder, slash, name = first.partition("/")
    if not slash:
        return folder in _ITS_RECORDS
    return name in ("", *_ITS_RECORDS) or name.startswith("data/")


class ZipContent:
    """A file of the zip format."""

    kind = "PyTorch (zip)"

    def __init__(self, file: BinaryIO, size: int, allowance: Allowance):
        self._zip = ZipReader(file, size, allowance)
        names = self._zip.records
        pickles = [n for n in names if n == "data.pkl" or n.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise FormatError(
                "a zip file, but not PyTorch's: it has "
                f"{len(pickles) or 'no'} records data.pkl"
            )
        self._folder = pickles[0].removesuffix("data.pkl")
        if self._folder + "constants.pkl" in names:
            raise FormatError("a program of TorchScript, expected a state dict")
        self.order = self._byte_order()
        raw = self._zip.read(pickles[0])
        self.root = CheckpointMachine().run(raw, len(raw))

    def load(self, storage: Storage) -> np.ndarray:
        """Return the bytes of a storage as a new uint8 array."""
        name = f"{self._folder}data/{storage.key}"
        if name not in self._zip.records:
            raise FormatError(f"its storage {storage.key[:80]!r} is missing")
        size = self._zip.records[name].size
        # An untyped storage may have bytes left over after its last whole element.
        if size // storage.item_size != storage.length:
            raise FormatError(
                f"its storage {storage.key[:80]!r} has {size} bytes, expected "
                f"{storage.length} elements of {storage.item_size}"
            )
        return self._zip.read_array(name)

    def notes(self) -> tuple[str, ...]:
        """Say that there are no checksums."""
        if not self._zip.unchecked:
            return ()
        return (
            f"{self._zip.unchecked} records have no checksum: damage in them would not "
            "be noticed",
        )

    def _byte_order(self) -> str:
        name = self._folder + "byteorder"
        if name not in self._zip.records:  # before PyTorch 2.1
            return "<"
        if self._zip.records[name].size <= 6:
            order = self._zip.read(name)
            if order in (b"little", b"big"):
                return "<" if order == b"little" else ">"
        raise FormatError("its byteorder is neither little nor big")


class _Numbers(PickleMachine):
    """The pickles around the object hold numbers and text alone."""

    allowed = frozenset()

    def text(self, string: str) -> Any:
        return string


class _Bounded:
    """A file that reads no more than it has: a pickle may ask for any number."""

    def __init__(self, file: BinaryIO, size: int):
        self._file, self._size = file, size
        self.tell = file.tell

    def read(self, count: int) -> bytes:
        return self._file.read(min(count, self._size - self._file.tell()))

    def readline(self) -> bytes:
        return self._file.readline(10_000)


class LegacyContent:
    """A file of the format before PyTorch 1.6."""

    kind = "PyTorch (legacy)"
    order = "<"

    def __init__(self, file: BinaryIO, size: int):
        self._file = file
        source = _Bounded(file, size)
        file.seek(0)
        if _Numbers().run(source, size) != MAGIC:
            raise FormatError(f"its magic number is not {MAGIC:x}")
        if _Numbers().run(source, size) != VERSION:
            raise FormatError(f"its version is not {VERSION}")
        _Numbers().run(source, size)  # byte order and sizes of C's types: never used
        machine = CheckpointMachine()
        self.root = machine.run(source, size)
        keys = _Numbers().run(source, size)
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise FormatError("its list of storages is damaged")
        self._places = self._find(keys, machine.storages, size)

    def load(self, storage: Storage) -> np.ndarray:
        """Return the bytes of a storage as a new uint8 array."""
        self._file.seek(self._places[storage.key])
        size = storage.length * storage.item_size
        return read_summed(self._file, size, f"storage {storage.key[:80]!r}")[0]

    def notes(self) -> tuple[str, ...]:
        """Say that there are no checksums."""
        return ("this format has no checksums: damage in it would not be noticed",)

    def _find(
        self, keys: list[str], storages: dict[str, Storage], size: int
    ) -> dict[str, int]:
        """Return where the elements of each storage begin."""
        if len(set(keys)) != len(keys) or set(keys) != set(storages):
            raise FormatError("its list of storages is not that of its tensors")
        places, place = {}, self._file.tell()
        for key in keys:
            self._file.seek(place)
            raw = self._file.read(8)
            count = struct.unpack("<q", raw)[0] if len(raw) == 8 else None
            if count is None:
                raise FormatError(f"the file ends before {self._of(key)}")
            if not is_count(count) or count != storages[key].length:
                raise FormatError(
                    f"{self._of(key)} has {count} elements, its tensors say "
                    f"{storages[key].length}"
                )
            places[key] = place + 8
            place += 8 + count * storages[key].item_size
            if place > size:
                raise FormatError(f"the file ends within {self._of(key)}")
        if place != size:
            raise FormatError(f"{size - place} bytes after its end")
        return places

    def _of(self, key: str) -> str:
        """Return a storage as a message shows it, after a tensor that has it."""
        storage = f"storage {key[:80]!r}"
        for name, value in all_tensors(self.root):
            with contextlib.suppress(UnpickleError):  # of a kind that is refused
                if tensor_record(value).storage.key == key:
                    return f"{shown(name)} ({storage})"
        return storage


def open_content(file: BinaryIO, size: int, allowance: Allowance) -> Content:
    """Return what a file holds, of either format.

    Raises
    ------
    FormatError
        If it is of neither, or damaged.
    """
    head = file.read(512)
    try:
        if is_zip(head):
            return ZipContent(file, size, allowance)
        if is_legacy(head):
            return LegacyContent(file, size)
    except UnpickleError as error:
        refused = str(error).endswith("refused")
        hint = ": only tensors and plain containers are read" if refused else ""
        raise FormatError(f"its pickle: {error}{hint}") from error
    raise FormatError("not a file of PyTorch")
