"""Zip files that are damaged, or that say what is not so."""

import struct
import zlib

import pytest
from pytorch_goldens import (
    assert_far_larger,
    assert_same_bits,
    golden,
    long,
    numbers,
    read,
    reason,
    records_of,
    rezipped,
    text,
)

from odyssey.formats import zip_reader
from odyssey.formats.zip_reader import CENTRAL, LOCAL

FREE = 16 << 20  # bytes that may always be taken, see odyssey/formats/pytorch.py


def directory_entry(raw, name):
    """Return where the entry of a record in the directory is."""
    name = f"archive/{name}".encode()
    place = -1
    while True:
        place = raw.index(b"PK\1\2", place + 1)
        if raw[place + CENTRAL.size :].startswith(name):
            return place


def entry_changed(raw, name, **fields):
    """Return a zip file with other numbers in the directory entry of a record."""
    names = "method checksum packed size start flags".split()
    formats = dict(zip(names, ("<H", "<L", "<L", "<L", "<L", "<H"), strict=True))
    places = dict(zip(names, (10, 16, 20, 24, 42, 8), strict=True))
    raw = bytearray(raw)
    place = directory_entry(raw, name)
    for field, value in fields.items():
        struct.pack_into(formats[field], raw, place + places[field], value)
    return bytes(raw)


def test_records_that_overlap_or_lie_outside(tmp_path):
    raw = rezipped(records_of(golden("model.pth")))
    first = raw.index(b"archive/data/0") - LOCAL.size
    said = reason(tmp_path, entry_changed(raw, "data/1", start=first))
    assert said == "'archive/data/0': overlaps 'archive/data/1'"
    said = reason(tmp_path, entry_changed(raw, "version", start=len(raw)))
    assert said == "'archive/version': overlaps the directory"
    huge = {"packed": 2**32 - 2, "size": 2**32 - 2}
    said = reason(tmp_path, entry_changed(raw, "data/0", **huge))
    assert said == "'archive/data/0': overlaps 'archive/data/1'"
    said = reason(tmp_path, entry_changed(raw, "data/0", packed=10))
    assert said == "'archive/data/0': 10 bytes in the file, not 216"


def test_records_that_their_headers_contradict(tmp_path):
    raw = golden("model.pth")
    said = reason(tmp_path, raw.replace(b"archive/data/0", b"archive/data/Q", 1))
    assert (
        said == "conv.weight: 'archive/data/0': its header is not as the directory says"
    )
    first = raw.index(b"archive/data/0") - LOCAL.size
    longer = bytearray(raw)
    struct.pack_into("<H", longer, first + 28, 60_000)  # its extra field
    said = reason(tmp_path, longer)
    assert said == "conv.weight: 'archive/data/0': overlaps what comes after it"
    said = reason(tmp_path, entry_changed(raw, "data/0", start=first + 1))
    assert said == "conv.weight: 'archive/data/0': its header is damaged"


def test_kinds_of_records_that_pytorch_does_not_write(tmp_path):
    raw = golden("model.pth")
    said = reason(tmp_path, entry_changed(raw, "data/0", flags=1))
    assert said == "'archive/data/0': is encrypted"
    said = reason(tmp_path, entry_changed(raw, "data/0", method=12))
    assert said == "'archive/data/0': compression 12, expected 0 or 8"


def test_two_records_of_one_name(tmp_path):
    raw = golden("model.pth").replace(b"archive/data/1", b"archive/data/0")
    assert reason(tmp_path, raw) == "two records are called 'archive/data/0'"


def test_no_records(tmp_path):
    raw = golden("model.pth")
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0, 0, 0, len(raw), 0)
    assert reason(tmp_path, raw + end) == "a zip file without records"


def test_more_records_than_any_checkpoint_has(tmp_path, monkeypatch):
    monkeypatch.setattr(zip_reader, "MAX_RECORDS", 5)
    assert reason(tmp_path, golden("model.pth")).endswith("expected at most 5")


def compressed(records, sizes=(), checked=True):
    """Return a zip file of compressed records; ``sizes`` are what it says."""
    raw, directory = b"", b""
    for name, content in records.items():
        squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = squeeze.compress(content) + squeeze.flush()
        size = dict(sizes).get(name, len(content))
        checksum = zlib.crc32(content) if checked else 0
        head = (20, 0, 8, 0, 0, checksum, len(packed), size)
        start, encoded = len(raw), name.encode()
        raw += LOCAL.pack(b"PK\3\4", *head, len(encoded), 0) + encoded + packed
        tail = (len(encoded), 0, 0, 0, 0, 0, start)
        directory += CENTRAL.pack(b"PK\1\2", 20, *head, *tail) + encoded
    counts = (len(records), len(records), len(directory), len(raw), 0)
    return raw + directory + b"PK\5\6" + struct.pack("<2x2x2H2LH", *counts)


def test_a_compressed_copy_is_read(tmp_path):
    """PyTorch compresses nothing, but who zips a folder again does."""
    tensors = read(tmp_path, compressed(records_of(golden("kinds.pth")))).tensors
    assert_same_bits(tensors, numbers("kinds"))


def test_records_that_unpack_to_another_size(tmp_path):
    records = records_of(golden("model.pth"))
    raw = compressed(records, {"archive/data/0": 215})  # seen before it is read
    said = "conv.weight: its storage '0' has 215 bytes, expected 54 elements of 4"
    assert reason(tmp_path, raw) == said
    raw = compressed(records, {"archive/data/0": 217})
    said = "conv.weight: 'archive/data/0': unpacks to 216 bytes, not 217"
    assert reason(tmp_path, raw) == said
    longer = {**records, "archive/byteorder": b"little" + bytes(10_000)}
    raw = compressed(longer, {"archive/byteorder": 6})
    assert reason(tmp_path, raw).endswith(
        "unpacks to more than the 6 bytes that it should"
    )
    shorter = {**records, "archive/byteorder": b"big"}
    raw = compressed(shorter, {"archive/byteorder": 6})
    assert reason(tmp_path, raw).endswith("unpacks to 3 bytes, not 6")


@pytest.mark.parametrize("claim", [1 << 20, 1 << 31])
def test_records_that_unpack_to_far_more_than_they_weigh(claim, tmp_path, peak):
    records = records_of(golden("tensor.pth"))
    size = len(records["archive/data/0"])
    for name in ("data.pkl", "data/0"):
        raw = compressed(
            {**records, f"archive/{name}": bytes(1 << 20)}, {f"archive/{name}": claim}
        )
        assert len(raw) < 10_000
        assert peak(lambda raw=raw: reason(tmp_path, raw)) < FREE
    # One after the other, each small enough.
    pickle = records["archive/data.pkl"]
    count, parts = 60, b""
    storages = {}
    for key in range(count):
        tensor = pickle[2:-1].replace(b"X\1\0\0\x000", text(f"{key:03}"))
        tensor = tensor.replace(struct.pack("<BH", ord("M"), size // 4), long(1 << 17))
        parts += text(f"t{key}") + tensor
        storages[f"archive/data/{key:03}"] = bytes(1 << 19)
    records = {**records, "archive/data.pkl": b"\x80\x02}(" + parts + b"u."}
    raw = compressed(records | storages)
    assert len(raw) < 1 << 17
    measured = peak(lambda: assert_far_larger(tmp_path, raw))
    assert measured < FREE + (2 << 20)
