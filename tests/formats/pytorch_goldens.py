"""Small files that PyTorch wrote, the numbers in them, and files changed from these."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from odyssey.formats.pytorch import read_pytorch
from odyssey.formats.tensor_file import FormatError
from odyssey.formats.zip_writer import zip_chunks

PATH = Path(__file__).parents[1] / "golden" / "pytorch.npz"
GOLDEN = dict(np.load(PATH))


def golden(name):
    """Return the bytes of a file by its name, such as ``model.pth``."""
    return GOLDEN[name].tobytes()


def numbers(group):
    """Return the tensors of a file as PyTorch has them, bfloat16 as its bits."""
    start = group + "/"
    return {k.removeprefix(start): v for k, v in GOLDEN.items() if k.startswith(start)}


def bits(array):
    """Return dtype, shape and bytes; bfloat16 as int16."""
    if array.dtype.name == "bfloat16":
        array = array.view(np.int16)
    assert array.flags.c_contiguous and array.dtype.isnative
    return array.dtype.str, array.shape, array.tobytes()


def assert_same_bits(found, expected):
    assert list(found) == list(expected)
    for name in expected:
        assert bits(found[name]) == bits(expected[name]), name


def read(tmp_path, raw):
    path = tmp_path / "file.pth"
    path.write_bytes(raw)
    return read_pytorch(path)


def records_of(raw):
    """Return the records of a zip file by name."""
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        return {name: file.read(name) for name in file.namelist()}


def rezipped(records):
    return b"".join(map(bytes, zip_chunks(records)))


def changed(raw, changes):
    """Return a zip file with records replaced, or removed where None is given."""
    records = records_of(raw)
    for name, content in changes.items():
        assert f"archive/{name}" in records or content is not None
        records[f"archive/{name}"] = content
    return rezipped({k: v for k, v in records.items() if v is not None})


def repickled(raw, old, new):
    """Return a zip file with other bytes in its pickle."""
    pickle = records_of(raw)["archive/data.pkl"]
    assert pickle.count(old) >= 1, old
    return changed(raw, {"data.pkl": pickle.replace(old, new, 1)})


def reason(tmp_path, raw):
    """Return why a file is refused, without its name, which comes first."""
    with pytest.raises(FormatError) as caught:
        read(tmp_path, raw)
    message = str(caught.value)
    start = f"{tmp_path / 'file.pth'}: "
    assert message.startswith(start) and len(message) < len(start) + 300
    assert "\n" not in message
    return message.removeprefix(start)


def assert_far_larger(tmp_path, raw):
    assert "makes the content far larger than the file" in reason(tmp_path, raw)


def text(string):
    return b"X" + struct.pack("<I", len(string)) + string.encode()


def long(number):
    return b"\x8a\x08" + struct.pack("<q", number)


def tensor(shape=b"K\6\x85", strides=b"K\1\x85", offset=b"K\0", count=b"K\6", key="0"):
    """Return the instructions of a tensor of six numbers, or of another one."""
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(("
        + text("storage")
        + b"ctorch\nFloatStorage\n"
        + text(key)
        + text("cpu")
        + count
        + b"tQ"
        + offset
        + shape
        + strides
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


def of_pickle(instructions, **records):
    """Return a file of one storage of six numbers with this pickle."""
    return rezipped(
        {
            "x/data.pkl": b"\x80\x02" + instructions + b".",
            "x/data/0": np.arange(6, dtype="<f4").tobytes(),
            **records,
        }
    )


def of_tensor(**parts):
    return of_pickle(b"}" + text("w") + tensor(**parts) + b"s")
