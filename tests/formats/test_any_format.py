"""A file is read as what it is, and written as what its name says."""

import os

import numpy as np
import pytest
from kept_arrays import as_read, numbers, same

from odyssey.formats.files import is_folder, read_tensors, write_tensors
from odyssey.formats.tensor_file import FormatError

TENSORS = {"layer.0.weight": numbers("float32"), "b": numbers("int64", (2, 3))}

#: Suffixes, with the kind that is read from such a file.
KINDS = {
    ".safetensors": "safetensors",
    ".npz": "NumPy (npz)",
    ".pth": "PyTorch (zip)",
    ".pt": "PyTorch (zip)",
    ".th": "PyTorch (zip)",
    "": "folder of hex files",
}


def reason_of(call, *arguments):
    with pytest.raises(FormatError) as error:
        call(*arguments)
    return str(error.value)


@pytest.mark.parametrize("suffix", KINDS)
def test_the_content_tells_what_is_read_and_the_name_what_is_written(tmp_path, suffix):
    path, other = tmp_path / f"x{suffix}", tmp_path / "y.bin"
    said = {"format": "pt", "odyssey": {"model": "mine", "classes": ["a"], "step": 3}}
    assert write_tensors(path, TENSORS, said) == ()
    os.rename(path, other)
    kind, tensors, metadata, notes = read_tensors(other)
    assert (kind, metadata, notes) == (KINDS[suffix], said, ())
    assert list(tensors) == list(TENSORS)
    assert all(same(tensors[name], as_read(x)) for name, x in TENSORS.items())


def test_a_slash_or_a_folder_that_is_there_means_a_folder(tmp_path):
    (tmp_path / "v1.2").mkdir()
    assert is_folder(tmp_path / "v1.2")
    assert is_folder("runs/v1.3/") and is_folder("runs") and is_folder("x.y/z")
    assert not is_folder("x.SafeTensors")


def test_a_suffix_of_no_format_is_refused_with_those_that_are(tmp_path):
    reason = reason_of(write_tensors, tmp_path / "x.h5", TENSORS, {})
    assert f"{tmp_path}/x.h5: no format is known for .h5: " in reason
    assert reason.endswith("; a folder ends with /")
    assert all(suffix in reason for suffix in KINDS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", KINDS)
def test_a_file_without_a_tensor_is_not_written(tmp_path, suffix):
    reason = reason_of(write_tensors, tmp_path / f"x{suffix}", {}, {})
    assert reason == f"{tmp_path}/x{suffix}: no tensors to write"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", KINDS)
def test_a_name_that_is_no_text_is_not_written(tmp_path, suffix):
    reason = reason_of(
        write_tensors, tmp_path / f"x{suffix}", {"a\ud800": np.ones(2)}, {}
    )
    assert reason == f"{tmp_path}/x{suffix}: half a character in the name 'a\\ud800'"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content, name, what",
    [
        (b"", "x", "an empty file"),
        (b"GGUF\3\0\0\0", "x", "a GGUF model, whose tensors are quantised"),
        (b"\x89HDF\r\n\x1a\n", "x", "an HDF5 file, as Keras writes it"),
        (b"\x1c\0\0\0TFL3", "x", "a TensorFlow Lite model"),
        (b"\x08\x08\x12\x07pytorch", "x.onnx", "an ONNX model, which is written here"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "x.pt",
            "a pointer of Git LFS",
        ),
        (b"<!DOCTYPE html><p>", "x.pth", "a web page (HTML)"),
        (b"\x89PNG\r\n\x1a\n", "x", "a PNG image"),
        (bytes(range(256)), "x.bin", "a file of an unknown format"),
    ],
)
def test_another_format_is_named(tmp_path, content, name, what):
    path = tmp_path / name
    path.write_bytes(content)
    reason = reason_of(read_tensors, path)
    assert reason.startswith(f"{path}: {what}")
    assert "; what is read: PyTorch, safetensors, NumPy (npz) and folders" in reason


def test_a_damaged_safetensors_is_called_that(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"\xff" * 8 + b"{}")
    assert "cut short" in reason_of(read_tensors, tmp_path / "x.safetensors")


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_tensors(tmp_path / "none")
    (tmp_path / "link").symlink_to(tmp_path / "none")
    reason = reason_of(read_tensors, tmp_path / "link")
    assert reason == f"{tmp_path}/link: a link to {tmp_path}/none, which does not exist"


@pytest.mark.parametrize("suffix", KINDS)
def test_an_old_file_stays_if_the_new_one_cannot_be_written(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    write_tensors(path, TENSORS, {})
    bad = {**TENSORS, "c": np.zeros(3, complex)}
    assert "c: complex128" in reason_of(write_tensors, path, bad, {})
    assert list(read_tensors(path).tensors) == list(TENSORS)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
