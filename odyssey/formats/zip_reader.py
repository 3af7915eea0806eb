"""Read the records of a zip file whose every word is checked before it is believed.

Python's ``zipfile`` is not used: it refuses files without checksums, which PyTorch can
write, it takes the last of two records of one name, and it unpacks records in Python.
Here each record's place is known: inside the file, and overlapping no other, so that
all of them together are not larger than the file, unless they are compressed.

The format is PKWARE's APPNOTE 6.3.10: a local header before the bytes of each record,
and a directory of all of them at the end.
"""

import struct
import zlib
from typing import BinaryIO, NamedTuple

import numpy as np

from odyssey.formats.tensor_file import FormatError

LOCAL = struct.Struct("<4s5H3L2H")  # signature, ..., length of name, of extra fields
CENTRAL = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
LOCATOR = struct.Struct("<4sLQL")
END64 = struct.Struct("<4sQ2H2L4Q")
LOCAL_SIGNATURE = b"PK\x03\x04"
CENTRAL_SIGNATURE = b"PK\x01\x02"
END_SIGNATURE = b"PK\x05\x06"
LOCATOR_SIGNATURE = b"PK\x06\x07"
END64_SIGNATURE = b"PK\x06\x06"
ZIP64_FIELD = 1  # the extra field with the sizes that 32 bits do not hold
ZIP64_MARK = 0xFFFF_FFFF

STORED, DEFLATED = 0, 8
ENCRYPTED = 1  # a flag
MAX_RECORDS = 100_000
MAX_COMMENT = 65_535
_PIECE = 1 << 18  # bytes read and summed at a time: they are still in the cache


def first_name(head: bytes) -> str | None:
    """Return the name of the first record, None if ``head`` begins no zip file.

    ``head`` are the first bytes of a file; a name that goes beyond them is cut off.
    """
    if not is_zip(head) or len(head) < LOCAL.size:
        return None
    length = LOCAL.unpack_from(head)[-2]
    return head[LOCAL.size : LOCAL.size + length].decode("latin-1")


def is_zip(head: bytes) -> bool:
    """Return whether a file that begins with ``head`` is a zip file."""
    return head.startswith(LOCAL_SIGNATURE)


class Allowance:
    """Count the bytes that are made beyond those of the file, up to a limit."""

    def __init__(self, limit: int):
        self.limit, self.left = limit, limit

    def spend(self, count: int, what: str) -> None:
        """Raise if ``count`` bytes more are too many."""
        self.left -= count
        if self.left < 0:
            raise FormatError(
                f"{what} makes the content far larger than the file: more than "
                f"{self.limit:,} bytes beyond it"
            )


class Record(NamedTuple):
    """A record of the directory: where it begins, and before what it must end."""

    name: str
    start: int  # of its local header
    end: int  # the next record begins here, or the directory
    packed: int  # bytes in the file
    size: int  # bytes unpacked
    method: int
    checksum: int


class ZipReader:
    """Read records by name from an open zip file.

    Raises ``FormatError``, without the name of the file.
    """

    def __init__(self, file: BinaryIO, size: int, allowance: Allowance):
        self._file, self._size, self._allowance = file, size, allowance
        self.comment = b""  # on the whole file
        self.records = {record.name: record for record in self._directory()}
        self.unchecked = 0  # records read that have no checksum

    def read(self, name: str) -> bytes:
        """Return the bytes of a record."""
        return self.read_array(name).tobytes()

    def read_array(self, name: str) -> np.ndarray:
        """Return the bytes of a record as a new (size,) uint8 array."""
        record = self.records[name]
        begin = self._begin_of(record)
        self._file.seek(begin)
        if record.method == STORED:
            array, checksum = read_summed(self._file, record.size, _shown(name))
        else:
            self._allowance.spend(record.size, _shown(name))
            array, checksum = self._unpack(record)
        if not record.checksum and record.size:
            self.unchecked += 1
        elif checksum != record.checksum:
            raise FormatError(
                f"{_shown(name)}: contents changed, their checksum is "
                f"{checksum:08x}, not {record.checksum:08x}"
            )
        return array

    def _begin_of(self, record: Record) -> int:
        """Return where the bytes of a record begin, after its own header."""
        self._file.seek(record.start)
        raw = self._file.read(LOCAL.size)
        if len(raw) < LOCAL.size or raw[:4] != LOCAL_SIGNATURE:
            raise FormatError(f"{_shown(record.name)}: its header is damaged")
        *_, method, _, _, _, _, _, name_length, extra_length = LOCAL.unpack(raw)
        name = _decoded(self._file.read(name_length))
        if (name, method) != (record.name, record.method):
            raise FormatError(
                f"{_shown(record.name)}: its header is not as the directory says"
            )
        begin = record.start + LOCAL.size + name_length + extra_length
        if begin + record.packed > record.end:
            raise FormatError(f"{_shown(record.name)}: overlaps what comes after it")
        return begin

    def _unpack(self, record: Record) -> tuple[np.ndarray, int]:
        """Return the bytes of a compressed record, and their checksum."""
        array, checksum, done = np.empty(record.size, np.uint8), 0, 0
        inflate, left, packed = zlib.decompressobj(-zlib.MAX_WBITS), record.packed, b""
        try:
            while not inflate.eof:
                if not packed:
                    packed = self._file.read(min(left, _PIECE))
                    left -= len(packed)
                # One byte more than there is room for shows that it is longer.
                most = min(_PIECE, record.size - done + 1)
                piece = inflate.decompress(packed, most)
                if not packed and not piece:
                    break  # cut off
                packed = inflate.unconsumed_tail
                if done + len(piece) > record.size:
                    raise FormatError(
                        f"{_shown(record.name)}: unpacks to more than the "
                        f"{record.size} bytes that it should"
                    )
                checksum = zlib.crc32(piece, checksum)
                array[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
                done += len(piece)
        except zlib.error:
            raise FormatError(
                f"{_shown(record.name)}: its compressed bytes are damaged"
            ) from None
        if done != record.size or not inflate.eof:
            raise FormatError(
                f"{_shown(record.name)}: unpacks to {done} bytes, not {record.size}"
            )
        return array, checksum

    def _directory(self) -> list[Record]:
        """Return the records of the directory at the end of the file."""
        start, length, count = self._end()
        self._file.seek(start)
        raw = self._file.read(length)
        if len(raw) != length or count * CENTRAL.size > length:
            raise FormatError("its directory is damaged")
        if count > MAX_RECORDS:
            raise FormatError(f"{count} records, expected at most {MAX_RECORDS}")
        records, place = [], 0
        for _ in range(count):
            record, place = _entry(raw, place)
            records.append(record)
        names: set[str] = set()
        for record in records:
            if record.name in names:
                raise FormatError(f"two records are called {_shown(record.name)}")
            names.add(record.name)
        if not records:
            raise FormatError("a zip file without records")
        records.sort(key=lambda record: record.start)
        ends = [record.start for record in records[1:]] + [start]
        for i, (record, end) in enumerate(zip(records, ends, strict=True)):
            if record.start + LOCAL.size + record.packed > end:
                after = _shown(records[i + 1].name) if end != start else "the directory"
                raise FormatError(f"{_shown(record.name)}: overlaps {after}")
            records[i] = record._replace(end=end)
        return records

    def _end(self) -> tuple[int, int, int]:
        """Return where the directory is, its bytes and its number of records."""
        first = max(0, self._size - END.size - MAX_COMMENT)
        self._file.seek(first)
        tail = self._file.read(self._size - first)
        place = tail.rfind(END_SIGNATURE)
        if place < 0 or len(tail) - place < END.size:
            raise FormatError(
                "a zip file without its directory, which is at its end: cut off?"
            )
        disk, _, _, count, length, start, comment = END.unpack_from(tail, place)[1:]
        limit = first + place  # the directory ends before this
        if len(tail) - place - END.size != comment or disk not in (0, 0xFFFF):
            raise FormatError("the end of its directory is damaged")
        self.comment = tail[place + END.size :]
        if 0xFFFF in (disk, count) or ZIP64_MARK in (length, start):
            limit, start, length, count = self._end64(limit)
        if start + length > limit:
            raise FormatError("its directory lies outside of the file")
        return start, length, count

    def _end64(self, limit: int) -> tuple[int, int, int, int]:
        """Return the same from the longer record that large files have."""
        self._file.seek(max(0, limit - LOCATOR.size))
        raw = self._file.read(LOCATOR.size)
        if len(raw) == LOCATOR.size and raw[:4] == LOCATOR_SIGNATURE:
            place = LOCATOR.unpack(raw)[2]
            if place + END64.size + LOCATOR.size <= limit:
                self._file.seek(place)
                raw = self._file.read(END64.size)
                if len(raw) == END64.size and raw[:4] == END64_SIGNATURE:
                    count, length, start = END64.unpack(raw)[7:]
                    return place, start, length, count
        raise FormatError("the end of its directory is damaged")


def read_summed(file: BinaryIO, size: int, what: str) -> tuple[np.ndarray, int]:
    """Return the next ``size`` bytes of a file as (size,) uint8, and their CRC-32."""
    array, checksum = np.empty(size, np.uint8), 0
    view = array.data
    for first in range(0, size, _PIECE):
        piece = view[first : first + _PIECE]
        done = 0
        while done < len(piece):
            count = file.readinto(piece[done:])  # type: ignore[attr-defined]
            if not count:
                raise FormatError(f"{what}: the file ends in it")
            done += count
        checksum = zlib.crc32(piece, checksum)
    return array, checksum


def _entry(raw: bytes, place: int) -> tuple[Record, int]:
    """Return the record of the directory at ``place``, and where the next one is."""
    if len(raw) - place < CENTRAL.size or raw[place : place + 4] != CENTRAL_SIGNATURE:
        raise FormatError("its directory is damaged")
    fields = CENTRAL.unpack_from(raw, place)
    flags, method = fields[3:5]
    checksum, packed, size, name_length, extra_length, comment = fields[7:13]
    start = fields[16]
    place += CENTRAL.size
    name = _decoded(raw[place : place + name_length])
    place += name_length
    extra = raw[place : place + extra_length]
    place += extra_length + comment
    if place > len(raw):
        raise FormatError("its directory is damaged")
    size, packed, start = _sizes64(extra, size, packed, start)
    if flags & ENCRYPTED:
        raise FormatError(f"{_shown(name)}: is encrypted")
    if method not in (STORED, DEFLATED):
        raise FormatError(f"{_shown(name)}: compression {method}, expected 0 or 8")
    if method == STORED and size != packed:
        raise FormatError(f"{_shown(name)}: {packed} bytes in the file, not {size}")
    return Record(name, start, 0, packed, size, method, checksum), place


def _sizes64(extra: bytes, *values: int) -> list[int]:
    """Return sizes and place, those which 32 bits do not hold from an extra field."""
    place, wide = 0, b""
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, place)
        if kind == ZIP64_FIELD:
            wide = extra[place + 4 : place + 4 + length]
        place += 4 + length
    found = []
    for value in values:
        if value == ZIP64_MARK:
            if len(wide) < 8:
                raise FormatError("its directory is damaged")
            value, wide = int.from_bytes(wide[:8], "little"), wide[8:]
        found.append(value)
    return found


def _decoded(name: bytes) -> str:
    """Return the name of a record, which PyTorch writes in UTF-8."""
    return name.decode("utf-8", "surrogateescape")


def _shown(name: str) -> str:
    """Return the name of a record as a message shows it."""
    return ascii(name[:80])
