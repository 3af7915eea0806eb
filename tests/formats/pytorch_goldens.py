"""Small files that PyTorch wrote, the numbers in them, and files changed from these."""

import io
import zipfile
from pathlib import Path

import numpy as np

from odyssey.formats.pytorch import read_pytorch
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
