"""Lay out a zip file of uncompressed records, each at a multiple of 64 bytes.

That is how PyTorch writes it, so that a record can be mapped into memory.  The same
records give the same bytes: there are no dates.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence

from odyssey.formats.zip_reader import (
    CENTRAL,
    CENTRAL_SIGNATURE,
    END,
    END64,
    END64_SIGNATURE,
    END_SIGNATURE,
    LOCAL,
    LOCAL_SIGNATURE,
    LOCATOR,
    LOCATOR_SIGNATURE,
    STORED,
    ZIP64_FIELD,
    ZIP64_MARK,
)

Piece = bytes | memoryview
ALIGNMENT = 64
#: From here on 32 bits do not hold a size or place, and 16 a number of records.
LIMIT, LIMIT_COUNT = ZIP64_MARK, 0xFFFF
_UTF8 = 1 << 11  # the flag of names in UTF-8
_PADDING_FIELD = int.from_bytes(b"FB", "little")  # as PyTorch calls it
_VERSION = 45  # of the format: the first with records beyond 4 GiB


def zip_chunks(
    records: Mapping[str, Piece | Sequence[Piece]], comment: bytes = b""
) -> Iterator[Piece]:
    """Yield the file as chunks to write one after the other; contents are not copied.

    While a record is written, the checksums of those after it are made in a thread.

    Parameters
    ----------
    records
        The bytes of each record by name, in order; in several pieces, if need be.
    comment
        On the whole file, of at most 65,535 bytes.
    """
    from concurrent.futures import ThreadPoolExecutor  # seldom needed

    directory = b""
    place = 0
    with ThreadPoolExecutor(1, "odyssey-checksum") as pool:
        checksums = pool.map(_checksum, records.values())
        for (name, content), checksum in zip(records.items(), checksums, strict=True):
            raw_name, size = name.encode(), sum(map(len, _pieces(content)))
            sizes, wide = _narrow(size, size)
            padding = -(place + LOCAL.size + len(raw_name) + len(wide) + 4) % ALIGNMENT
            extra = wide + struct.pack("<2H", _PADDING_FIELD, padding) + b"Z" * padding
            head = (_VERSION, _UTF8, STORED, 0, 0, checksum)
            lengths = (len(raw_name), len(extra))
            header = LOCAL.pack(LOCAL_SIGNATURE, *head, *sizes, *lengths)
            yield header + raw_name + extra
            yield from _pieces(content)
            (*sizes, start), wide = _narrow(size, size, place)
            fields = (_VERSION, *head, *sizes, len(raw_name), len(wide))
            fields += (0, 0, 0, 0, start)  # no comment
            directory += CENTRAL.pack(CENTRAL_SIGNATURE, *fields) + raw_name + wide
            place += len(header) + len(raw_name) + len(extra) + size
    yield directory
    yield _end(len(records), len(directory), place, comment)


def _pieces(content: Piece | Sequence[Piece]) -> Sequence[Piece]:
    return [content] if isinstance(content, Piece) else content


def _checksum(content: Piece | Sequence[Piece]) -> int:
    checksum = 0
    for piece in _pieces(content):
        checksum = zlib.crc32(piece, checksum)
    return checksum


def _narrow(*values: int) -> tuple[list[int], bytes]:
    """Return sizes and places in 32 bits, and an extra field with those that need 64.

    A reader takes from the field one number for each mark, in this order.
    """
    large = [value for value in values if value >= LIMIT]
    field = struct.pack(f"<{len(large)}Q", *large)
    return (
        [ZIP64_MARK if value >= LIMIT else value for value in values],
        struct.pack("<2H", ZIP64_FIELD, len(field)) + field if large else b"",
    )


def _end(count: int, size: int, place: int, comment: bytes) -> bytes:
    """Return what follows the directory of ``size`` bytes that begins at ``place``."""
    narrow, wide = _narrow(size, place)
    numbers = (count, count)
    end = b""
    if wide or count >= LIMIT_COUNT:
        numbers = (LIMIT_COUNT, LIMIT_COUNT)
        fields = (END64.size - 12, _VERSION, _VERSION, 0, 0, count, count, size, place)
        end = END64.pack(END64_SIGNATURE, *fields)
        end += LOCATOR.pack(LOCATOR_SIGNATURE, 0, place + size, 1)
    end += END.pack(END_SIGNATURE, 0, 0, *numbers, *narrow, len(comment))
    return end + comment
