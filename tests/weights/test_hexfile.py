"""Hex files: their bytes, and tensors that are read back bit for bit."""

import os
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from odyssey.weights.files import WeightsError
from odyssey.weights.folder import load_folder, save_folder
from odyssey.weights.hexfile import (
    DTYPES,
    load_tensor,
    load_tensor_with_name,
    save_tensor,
)

BF16 = np.dtype(ml_dtypes.bfloat16)


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (np.array([1, -2], np.float32), "w\nfloat32 2\n0000803f000000c0\n"),
        (np.array([[1, 258]], np.int16), "w\nint16 1 2\n01000201\n"),
        (np.array(255, np.uint8), "w\nuint8\nff\n"),
        (np.array(-1.5, np.float64), "w\nfloat64\n000000000000f8bf\n"),
        (np.zeros((2, 0, 3), np.float32), "w\nfloat32 2 0 3\n\n"),
        (np.array([1, -2], BF16), "w\nbfloat16 2\n803f00c0\n"),
        (np.array(3.140625, BF16), "w\nbfloat16\n4940\n"),
    ],
)
def test_file_is_this_to_the_letter(tmp_path, tensor, text):
    path = tmp_path / "w.weights"
    save_tensor(tensor, path, "w")
    assert path.read_bytes() == text.encode()
    name, back = load_tensor_with_name(path)
    assert name == "w"
    assert same_bits(back, tensor)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 1, 5), (0,), (4, 0)])
def test_round_trip(tmp_path, dtype, shape):
    rng = np.random.default_rng(0)
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = rng.integers(0, 256, count, np.uint8)  # any bits: NaN payloads, -0, subnormal
    tensor = raw.view(dtype).reshape(shape)
    save_tensor(tensor, str(tmp_path / "t"))
    name, back = load_tensor_with_name(str(tmp_path / "t"))
    assert name == ""
    assert same_bits(back, tensor)
    assert same_bits(load_tensor(tmp_path / "t"), tensor)


def test_result_is_writeable_and_owns_its_memory(tmp_path):
    save_tensor(np.arange(6, dtype=np.float32).reshape(2, 3), tmp_path / "t")
    back = load_tensor(tmp_path / "t")
    assert back.flags.owndata
    assert back.flags.c_contiguous
    assert back.dtype.isnative
    back[0, 0] = 5


@pytest.mark.parametrize("dtype", [np.float32, BF16], ids=str)
@pytest.mark.parametrize(
    "view",
    [
        lambda a: a.T,
        lambda a: a[::-1, ::2],
        lambda a: np.asfortranarray(a),
        lambda a: a.astype(a.dtype.newbyteorder(">")),
        lambda a: np.broadcast_to(a[:1], (5, 8)),
        lambda a: a[2:3, 3:4],
    ],
    ids=["transposed", "negative", "fortran", "big-endian", "zero-stride", "slice"],
)
def test_any_memory_gives_the_file_of_the_plain_copy(tmp_path, view, dtype):
    base = np.random.default_rng(1).standard_normal((6, 8)).astype(dtype)
    odd = view(base)
    odd.flags.writeable = False
    plain = np.array(odd, dtype, order="C")
    save_tensor(odd, tmp_path / "odd")
    save_tensor(plain, tmp_path / "plain")
    assert (tmp_path / "odd").read_bytes() == (tmp_path / "plain").read_bytes()
    assert same_bits(load_tensor(tmp_path / "odd"), plain)


def test_upper_case_and_a_missing_last_newline_are_read(tmp_path):
    (tmp_path / "t").write_bytes(b"w\nfloat32 1\n0000C07F")
    assert np.isnan(load_tensor(tmp_path / "t"))[0]
    (tmp_path / "t").write_bytes(b"\nint8 0\n")
    assert load_tensor(tmp_path / "t").shape == (0,)
    (tmp_path / "t").write_bytes(b"x\nfloat32 2 0")  # the third line is empty
    assert load_tensor(tmp_path / "t").shape == (2, 0)


@pytest.mark.parametrize(
    "tensor",
    [
        [1.0],
        1.0,
        None,
        np.float32(1),
        np.array([True]),
        np.array([1j]),
        np.array([None]),
        np.array(["a"]),
        np.array([1], "datetime64[s]"),
        np.zeros(2, [("a", "f4")]),
    ],
    ids=lambda t: str(getattr(t, "dtype", type(t).__name__)),
)
def test_what_is_no_tensor_of_numbers_is_refused(tmp_path, tensor):
    with pytest.raises(TypeError, match=r"save_tensor: tensor must"):
        save_tensor(tensor, tmp_path / "t")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a\nb", "a\r", "é", "\x00", "tab\t", "x" * 70_000])
def test_name_that_is_no_line_of_ascii_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="name must be one line"):
        save_tensor(np.zeros(1), tmp_path / "t", name)
    with pytest.raises(TypeError, match="name must be a str"):
        save_tensor(np.zeros(1), tmp_path / "t", b"bytes")
    assert list(tmp_path.iterdir()) == []


def test_saving_replaces_whole_and_leaves_nothing_beside(tmp_path):
    for value in (1, 2):
        save_tensor(np.full(3, value), tmp_path / "t", name="t")
    assert load_tensor(tmp_path / "t").tolist() == [2, 2, 2]
    assert [p.name for p in tmp_path.iterdir()] == ["t"]


def test_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "t"
    save_tensor(np.full(3, 1.0), path)

    def full(*_):
        raise OSError(28, "No space left on device")

    for function in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(f"os.{function}", full)
            with pytest.raises(OSError, match="No space left") as caught:
                save_tensor(np.full(3, 2.0), path)
        assert caught.value.filename == str(path)
        assert load_tensor(path).tolist() == [1, 1, 1]
        assert [p.name for p in tmp_path.iterdir()] == ["t"]


def test_symbolic_link_is_written_through(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    save_tensor(np.zeros(1), tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert load_tensor(tmp_path / "real").tolist() == [0]


def test_what_is_no_file_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", Path(os.devnull)):
        with pytest.raises(OSError, match="not a regular file"):
            save_tensor(np.zeros(1), path)
    assert not Path(os.devnull).is_file()
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_no_such_file_or_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_tensor(tmp_path / "t")
    with pytest.raises(FileNotFoundError):
        save_tensor(np.zeros(1), tmp_path / "nowhere" / "t")


def test_byte_order_of_the_machine_does_not_matter(tmp_path):
    other = ">" if sys.byteorder == "little" else "<"
    save_tensor(np.array([1.0], f"{other}f4"), tmp_path / "t")
    assert (tmp_path / "t").read_text().splitlines()[2] == "0000803f"


def test_every_bfloat16_number_comes_back(tmp_path):
    numbers = np.arange(1 << 16, dtype=np.uint16).view(BF16)  # all NaN payloads too
    save_tensor(numbers, tmp_path / "t")
    assert same_bits(load_tensor(tmp_path / "t"), numbers)


def test_bfloat16_is_the_last_two_bytes_of_float32(tmp_path):
    numbers = np.arange(1 << 16, dtype=np.uint16).view(BF16)
    numbers = numbers[(numbers.view(np.uint16) & 0x7FFF) <= 0x7F80]  # no NaN
    save_tensor(numbers, tmp_path / "half")
    save_tensor(numbers.astype(np.float32), tmp_path / "whole")
    half, whole = ((tmp_path / n).read_text().split()[-1] for n in ("half", "whole"))
    assert half == "".join(whole[i + 4 : i + 8] for i in range(0, len(whole), 8))


def test_a_folder_with_a_manifest_holds_bfloat16(tmp_path):
    tensors = {
        "half": np.array([[1.5, -0.0], [np.inf, 2**-130]], BF16),
        "whole": np.ones(2, np.float32),
    }
    save_folder(tensors, tmp_path / "w", metadata={})
    back, manifest = load_folder(tmp_path / "w")
    assert manifest["tensors"]["half"]["dtype"] == "bfloat16"
    assert all(same_bits(back[name], tensors[name]) for name in tensors)


def test_without_ml_dtypes_only_a_bfloat16_file_is_refused(tmp_path, monkeypatch):
    save_tensor(np.ones(2, BF16), tmp_path / "half")
    save_tensor(np.ones(2, np.float32), tmp_path / "whole")
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)  # importing it fails
    assert load_tensor(tmp_path / "whole").tolist() == [1, 1]
    with pytest.raises(WeightsError, match=r"half: line 2: .*pip install") as caught:
        load_tensor(tmp_path / "half")
    assert "odyssey-by-hand[bf16]" in str(caught.value)
