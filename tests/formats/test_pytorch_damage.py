"""Damaged checkpoints, and tensors that do not fit: an error of ours."""

import re
import struct

import numpy as np
import pytest
from pytorch_goldens import (
    assert_far_larger,
    assert_same_bits,
    bits,
    changed,
    golden,
    long,
    numbers,
    of_pickle,
    of_tensor,
    read,
    reason,
    records_of,
    repickled,
    tensor,
    text,
)

from odyssey.formats.pytorch import read_pytorch
from odyssey.formats.tensor_file import FormatError

FREE = 16 << 20  # bytes that may always be taken, see odyssey/formats/pytorch.py


@pytest.mark.parametrize("name", ["model.pth", "model_legacy.pth", "kinds.pth"])
def test_a_file_cut_off_anywhere(name, tmp_path):
    raw = golden(name)
    for length in [*range(0, len(raw), 31), *range(len(raw) - 30, len(raw))]:
        reason(tmp_path, raw[:length])


def test_a_changed_byte_is_noticed_or_without_effect(tmp_path):
    raw, expected = golden("model.pth"), numbers("model")
    noticed = 0
    for place in range(0, len(raw), 11):
        damaged = bytearray(raw)
        damaged[place] ^= 1 << place % 8
        try:
            tensors = read(tmp_path, damaged).tensors
        except FormatError:
            noticed += 1
        else:
            assert_same_bits(tensors, expected)
    assert noticed > len(raw) // 11 // 3  # the others are padding and dates


def test_the_pickle_has_its_checksum_too(tmp_path):
    raw = golden("model.pth").replace(b"conv.weight", b"comv.weight", 1)
    said = "'archive/data.pkl': contents changed, their checksum is "
    assert reason(tmp_path, raw).startswith(said)
    read(tmp_path, repickled(golden("model.pth"), b"conv.weight", b"comv.weight"))


def test_the_tensor_of_these_tests_is_read(tmp_path):
    tensors = read(tmp_path, of_tensor()).tensors
    assert bits(tensors["w"]) == bits(np.arange(6, dtype=np.float32))


NUMBER = "w: a size or stride that is negative, huge or no integer"
OUTSIDE = "w: lies outside of its storage '0': element "
TENSORS = {
    "shape too large": (dict(shape=b"K\7\x85"), OUTSIDE + "6 of 6"),
    "offset": (dict(offset=b"K\1"), OUTSIDE + "6 of 6"),
    "huge offset": (dict(offset=long(2**62)), OUTSIDE + f"{2**62 + 5} of 6"),
    "stride": (dict(strides=b"K\2\x85"), OUTSIDE + "10 of 6"),
    "huge stride": (dict(strides=long(2**62) + b"\x85"), OUTSIDE + f"{5 << 62} of 6"),
    "negative size": (dict(shape=b"J\xff\xff\xff\xff\x85"), NUMBER),
    "negative stride": (dict(strides=b"J\xff\xff\xff\xff\x85"), NUMBER),
    "size of 70 bits": (dict(shape=b"\x8a\x09" + b"\1" * 9 + b"\x85"), NUMBER),
    "size of 2000 bits": (dict(shape=b"\x8a\xff" + b"\1" * 255 + b"\x85"), NUMBER),
    "size True": (dict(shape=b"\x88\x85"), NUMBER),
    "size 6.0": (dict(shape=b"G" + struct.pack(">d", 6.0) + b"\x85"), NUMBER),
    "negative offset": (dict(offset=b"J\xff\xff\xff\xff"), "w: not described as PyT"),
    "two strides": (dict(strides=b"K\1K\1\x86"), "w: not described as PyTorch"),
    "no strides": (dict(strides=b"N"), "w: not described as PyTorch"),
    "list as shape": (dict(shape=b"](K\6e"), "w: not described as PyTorch"),
    "empty, but huge": (
        dict(
            shape=b"(K\0" + long(2**62) * 2 + b"t",
            strides=b"(K\0K\0K\0t",
            offset=b"K\0",
        ),
        "w: its shape is too large",
    ),
    "70 dimensions": (
        dict(shape=b"(" + b"K\1" * 70 + b"t", strides=b"(" + b"K\0" * 70 + b"t"),
        "w: it has 70 dimensions, more than ",
    ),
    "expanded": (
        dict(shape=long(2**40) + b"\x85", strides=b"K\0\x85"),
        "w: it makes the content far larger than the file: more than 16,77",
    ),
    "expanded beyond 64 bits": (
        dict(shape=b"(" + long(2**62) * 3 + b"t", strides=b"(K\0K\0K\0t"),
        "w: its shape is too large",
    ),
    "count of the storage": (
        dict(count=b"K\7"),
        "w: its storage '0' has 24 bytes, expected 7 elements of 4",
    ),
    "huge count": (
        dict(count=long(2**62)),
        f"w: its storage '0' has 24 bytes, expected {2**62} elements of 4",
    ),
    "negative count": (
        dict(count=b"J\xff\xff\xff\xff"),
        "its pickle: refers to a storage in an unknown way",
    ),
    "missing storage": (dict(key="1"), "w: its storage '1' is missing"),
    "storage elsewhere": (dict(key="../x"), "w: its storage '../x' is missing"),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_do_not_fit_their_storages(name, tmp_path, peak):
    parts, said = TENSORS[name]
    raw = of_tensor(**parts)
    assert peak(lambda: None) < peak(lambda: reason(tmp_path, raw)) < 1 << 20
    assert reason(tmp_path, raw).startswith(said)


def test_many_small_expanded_tensors_are_too_much_together(tmp_path, peak):
    one = tensor(shape=long(1 << 20) + b"\x85", strides=b"K\0\x85")
    parts = b"".join(text(f"w{i}") + one for i in range(10))
    raw = of_pickle(b"}(" + parts + b"u")
    assert peak(lambda: assert_far_larger(tmp_path, raw)) < FREE + (1 << 20)


def test_storages_are_let_go_once_their_last_tensor_is_copied(tmp_path, peak):
    """As of a whole network in channels-last memory: twice the file is not taken."""
    count, size = 8, 1 << 18
    sizes = b"(" + long(4) + long(size // 4) + b"t"
    parts, records = b"", {}
    for i in range(count):
        parts += text(f"w{i}") + tensor(
            sizes, b"K\1K\4\x86", b"K\0", long(size), f"s{i}"
        )
        records[f"x/data/s{i}"] = bytes(4 * size)
    raw = of_pickle(b"}(" + parts + b"u", **records)
    (tmp_path / "file.pth").write_bytes(raw)
    most = peak(lambda: read_pytorch(tmp_path / "file.pth"))
    assert most < (count + 1.2) * 4 * size


def test_a_storage_of_two_types_or_sizes(tmp_path):
    parts = text("a") + tensor() + text("b") + tensor(count=b"K\5")
    said = reason(tmp_path, of_pickle(b"}(" + parts + b"u"))
    assert said == "its pickle: has storage '0' in two types or sizes"


def test_a_bool_of_another_byte(tmp_path):
    raw = golden("kinds.pth")
    storage = records_of(raw)
    key = next(k for k, v in storage.items() if v == b"\1\0\1")
    raw = changed(raw, {key.removeprefix("archive/"): b"\1\2\1"})
    said = "bool: its bool holds a byte that is not 0 or 1"
    assert reason(tmp_path, raw) == said


# The older format


def test_the_list_of_storages_in_the_older_format(tmp_path):
    raw = golden("model_legacy.pth")
    first = raw.index(struct.pack("<q", 54) + b"")  # elements of conv.weight
    for count in (53, 55, -1, 2**62, -(2**63)):
        damaged = bytearray(raw)
        struct.pack_into("<q", damaged, first, count)
        said = reason(tmp_path, damaged)
        assert said.startswith("conv.weight (storage '")
        assert said.endswith(f"') has {count} elements, its tensors say 54")
    assert reason(tmp_path, raw + b"more") == "4 bytes after its end"
    key = re.search(rb"ctorch\nFloatStorage\nq.X.\0\0\0(\d+)", raw, re.DOTALL)[1]
    other = raw.replace(key, b"0" * len(key), 1)  # in the pickle, not in the list
    assert reason(tmp_path, other) == "its list of storages is not that of its tensors"


def test_the_older_format_cut_off_is_said_with_the_tensor(tmp_path):
    raw = golden("model_legacy.pth")
    weight = raw.index(numbers("model")["conv.weight"].tobytes())
    for end, said in ((weight + 9, "within"), (weight - 3, "before")):
        message = reason(tmp_path, raw[:end])
        assert message.startswith(f"the file ends {said} conv.weight (storage '")
    for end in range(len(raw)):  # nothing but errors of ours, which name the file
        reason(tmp_path, raw[:end])


def test_the_head_of_the_older_format(tmp_path):
    raw = golden("model_legacy.pth")
    said = reason(tmp_path, raw.replace(b"M\xe9\x03", b"M\xea\x03", 1))
    assert said == "its version is not 1001"
    said = reason(tmp_path, b"\x80\x02N0" + raw[2:])
    assert said == "its pickle: instruction POP is refused; protocols 2 to 5 are read"
