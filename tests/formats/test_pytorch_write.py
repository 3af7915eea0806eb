"""State dicts are written as PyTorch writes them, to the bit."""

import io
import os
import zipfile

import ml_dtypes
import numpy as np
import pytest
from pytorch_goldens import assert_same_bits, numbers

from odyssey.formats import zip_writer
from odyssey.formats.pytorch import read_pytorch, write_pytorch
from odyssey.formats.tensor_file import FormatError

DTYPES = "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8".split()
METADATA = {
    "model": "resnet18",
    "lr": 0.1,
    "count": 2**40,
    "below": -5,
    "nested": [1, None, True, False, [], {}, {"a": "\u00e9", "b": -(2**31)}],
}


def arrays():
    rng = np.random.default_rng(3)
    found = {}
    for dtype in DTYPES:
        found[f"{dtype}.weight"] = (rng.standard_normal((3, 4, 5)) * 50).astype(dtype)
        found[f"{dtype}.scalar"] = np.array(3).astype(dtype)
        found[f"{dtype}.empty"] = np.zeros((2, 0, 3), dtype)
    found["bfloat16"] = rng.standard_normal((3, 4)).astype(ml_dtypes.bfloat16)
    return found


def test_in_and_out_again_is_exact(tmp_path):
    tensors = arrays()
    path = tmp_path / "out.pth"
    assert write_pytorch(path, tensors, METADATA) == ()
    file = read_pytorch(path)
    assert file.kind == "PyTorch (zip)" and file.notes == ()
    assert file.metadata == METADATA
    assert_same_bits(file.tensors, tensors)
    first = path.read_bytes()
    write_pytorch(path, file.tensors, file.metadata)
    assert path.read_bytes() == first


@pytest.mark.parametrize("group", ["model", "kinds", "unsigned"])
def test_what_pytorch_wrote_goes_in_and_out(group, tmp_path):
    write_pytorch(tmp_path / "out.pt", numbers(group))
    file = read_pytorch(tmp_path / "out.pt")
    assert file.metadata == {}
    assert_same_bits(file.tensors, numbers(group))


def test_any_memory_order_and_byte_order(tmp_path):
    plain = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    tensors = {
        "fortran": np.asfortranarray(plain),
        "transposed": plain.transpose(2, 0, 1),
        "stepped": plain[:, ::2, ::-1],
        "big-endian": plain.astype(">f4"),
        "expanded": np.broadcast_to(plain[:, :1], plain.shape),
        "bfloat16": plain.astype(ml_dtypes.bfloat16).T,
    }
    write_pytorch(tmp_path / "out.pth", tensors)
    assert_same_bits(
        read_pytorch(tmp_path / "out.pth").tensors,
        {k: v.astype(v.dtype.newbyteorder("="), order="C") for k, v in tensors.items()},
    )


def test_the_zip_file_is_laid_out_as_pytorchs(tmp_path):
    tensors = arrays()
    write_pytorch(tmp_path / "out.pth", tensors)
    raw = (tmp_path / "out.pth").read_bytes()
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        assert file.testzip() is None
        names = file.namelist()
        for entry in file.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED
            lengths = np.frombuffer(raw, "<u2", 2, entry.header_offset + 26)
            assert (entry.header_offset + 30 + int(lengths.sum())) % 64 == 0
        assert file.read("archive/version") == b"3\n"
        assert file.read("archive/byteorder") == b"little"
    heads = [f"archive/{n}" for n in ("data.pkl", ".format_version")]
    heads += [f"archive/{n}" for n in (".storage_alignment", "byteorder")]
    data = [f"archive/data/{i}" for i in range(len(tensors))]
    assert names == [*heads, *data, "archive/version"]


@pytest.mark.parametrize("limit", [0, 100])
def test_files_beyond_4_gigabytes(limit, tmp_path, monkeypatch):
    """With a lower limit, small ones use the wider fields of large ones."""
    monkeypatch.setattr(zip_writer, "LIMIT", limit)
    monkeypatch.setattr(zip_writer, "LIMIT_COUNT", 2)
    write_pytorch(tmp_path / "out.pth", arrays())
    raw = (tmp_path / "out.pth").read_bytes()
    assert raw.count(b"PK\x06\x06") == raw.count(b"PK\x06\x07") == 1
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        assert file.testzip() is None
    assert_same_bits(read_pytorch(tmp_path / "out.pth").tensors, arrays())


@pytest.mark.parametrize(
    "tensors, metadata, reason",
    [
        ({}, {}, "no tensors to write"),
        ({"w": np.ones(2, complex)}, {}, "w: complex128, not possible"),
        ({"w": np.array(["a"])}, {}, "w: <U1, not possible"),
        ({"w": np.ones(2)}, {"x": {1: 2}}, "metadata must be what JSON has, got dict"),
        ({"w": np.ones(2)}, {"x": 2**70}, "metadata must be what JSON has, got int"),
    ],
)
def test_what_cannot_be_written(tensors, metadata, reason, tmp_path):
    path = tmp_path / "out.pth"
    path.write_text("old")
    with pytest.raises(FormatError) as caught:
        write_pytorch(path, tensors, metadata)
    assert str(caught.value).startswith(f"{path}: {reason}")
    assert path.read_text() == "old" and len(os.listdir(tmp_path)) == 1


def test_an_old_file_stays_if_the_new_one_cannot_be_written(tmp_path, monkeypatch):
    path = tmp_path / "out.pth"
    path.write_text("old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_pytorch(path, arrays())
    assert path.read_text() == "old" and len(os.listdir(tmp_path)) == 1


def test_memory_is_that_of_the_file(tmp_path, peak):
    path, array = tmp_path / "out.pth", np.ones((1 << 18, 4), np.float32)
    half, both = array[: 1 << 17], {"a": array, "b": array.T[:2]}
    assert peak(lambda: write_pytorch(path, {"a": array, "b": half})) < 1 << 16
    assert peak(lambda: read_pytorch(path)) < 1.05 * path.stat().st_size
    write_pytorch(path, both)  # what is not in C order is copied
    assert peak(lambda: read_pytorch(path)) < 1.05 * path.stat().st_size


def test_pytorch_opens_it(tmp_path):
    torch = pytest.importorskip("torch")
    tensors = arrays()
    write_pytorch(tmp_path / "out.pth", tensors, METADATA)
    for mapped in (False, True):
        found = torch.load(tmp_path / "out.pth", weights_only=True, mmap=mapped)
        assert found.odyssey_metadata == METADATA
        bfloat16 = found.pop("bfloat16").view(torch.int16).numpy()
        plain = {name: tensor.numpy() for name, tensor in found.items()}
        assert_same_bits({**plain, "bfloat16": bfloat16}, tensors)


def test_batch_norm_takes_it_without_the_number_of_batches(tmp_path):
    torch = pytest.importorskip("torch")
    names = ("weight", "bias", "running_mean", "running_var")
    tensors = {name: np.full(3, i, np.float32) for i, name in enumerate(names)}
    write_pytorch(tmp_path / "out.pth", tensors)
    layer = torch.nn.BatchNorm2d(3)
    layer.load_state_dict(torch.load(tmp_path / "out.pth", weights_only=True))
    assert layer.running_var.tolist() == [3.0] * 3
