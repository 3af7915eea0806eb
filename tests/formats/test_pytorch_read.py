"""Checkpoints that PyTorch wrote are read without it, to the bit."""

import struct
import subprocess
import sys

import numpy as np
import pytest
from pytorch_goldens import (
    GOLDEN,
    assert_same_bits,
    bits,
    changed,
    golden,
    numbers,
    read,
    records_of,
    repickled,
    rezipped,
)

from odyssey import bfloat16
from odyssey.formats.elements import NO_ML_DTYPES
from odyssey.formats.pytorch import is_pytorch
from odyssey.formats.tensor_file import FormatError

UNCHECKED = "this format has no checksums: damage in it would not be noticed"


@pytest.mark.parametrize("group", ["model", "kinds"])
def test_both_formats_are_read_to_the_bit(group, tmp_path):
    file = read(tmp_path, golden(f"{group}.pth"))
    assert file.kind == "PyTorch (zip)" and not file.notes and not file.metadata
    assert_same_bits(file.tensors, numbers(group))
    file = read(tmp_path, golden(f"{group}_legacy.pth"))
    assert file.kind == "PyTorch (legacy)" and file.notes == (UNCHECKED,)
    assert_same_bits(file.tensors, numbers(group))


def test_a_newer_protocol_of_pickle_is_read(tmp_path):
    file = read(tmp_path, golden("kinds_protocol_4.pth"))
    assert_same_bits(file.tensors, numbers("kinds"))


def test_tensors_counted_in_bytes(tmp_path):
    file = read(tmp_path, golden("unsigned.pth"))
    assert_same_bits(file.tensors, numbers("unsigned"))
    np.testing.assert_array_equal(file.tensors["uint16"], np.array([65535, 7], "u2"))


def test_arrays_share_no_memory_and_can_be_written(tmp_path):
    tensors = read(tmp_path, golden("kinds.pth")).tensors
    assert not np.shares_memory(tensors["tied.one"], tensors["tied.two"])
    assert not np.shares_memory(tensors["slice"], tensors["stepped"])
    for array in tensors.values():
        array[...] = 0


def test_without_ml_dtypes_bfloat16_is_widened(tmp_path, monkeypatch):
    def missing():
        raise ImportError

    monkeypatch.setattr(bfloat16, "bfloat16", missing)
    file = read(tmp_path, golden("kinds.pth"))
    expected = numbers("kinds")["bfloat16"].view(np.uint16).astype(np.uint32) << 16
    assert bits(file.tensors["bfloat16"]) == bits(expected.view(np.float32))
    assert file.notes == (NO_ML_DTYPES,)


@pytest.mark.parametrize("name", ["checkpoint.pth", "checkpoint_legacy.pth"])
def test_a_state_dict_beside_other_things(name, tmp_path):
    file = read(tmp_path, golden(name))
    assert_same_bits(file.tensors, numbers("checkpoint"))
    assert file.metadata == {
        "epoch": 3,
        "arch": "tiny",
        "best": 0.5,
        "done": True,
        "classes": ["cat", "dog"],
        "shape": [2, 3],
        "device": "cpu",
        "seen": [1, 2],
    }
    assert file.notes[:2] == (
        "the tensors of state_dict are taken",
        "tensors left out: optimizer (6), rng (1)",
    )


def test_tensors_outside_of_a_state_dict(tmp_path):
    expected = numbers("kinds")
    tensors = read(tmp_path, golden("list.pth")).tensors
    assert_same_bits(tensors, {"0": expected["slice"], "1.0": expected["scalar"]})
    tensors = read(tmp_path, golden("tensor.pth")).tensors
    assert_same_bits(tensors, {"tensor": expected["slice"]})


def test_any_folder_in_the_zip_file(tmp_path):
    records = records_of(golden("model.pth"))
    for folder in ("", "my net.v2/", "naïve/"):
        raw = rezipped(
            {k.replace("archive/", folder, 1): v for k, v in records.items()}
        )
        assert_same_bits(read(tmp_path, raw).tensors, numbers("model"))
        assert is_pytorch(raw[:512])


def test_no_checksums_are_said_and_wrong_ones_are_errors(tmp_path):
    file = read(tmp_path, golden("model_unchecked.pth"))
    assert_same_bits(file.tensors, numbers("model"))
    # byteorder, the pickle and nine storages
    (note,) = file.notes
    assert note == "11 records have no checksum: damage in them would not be noticed"

    raw = bytearray(golden("model.pth"))
    place = raw.index(numbers("model")["conv.weight"].tobytes()) + 5
    raw[place] ^= 1
    with pytest.raises(FormatError) as caught:
        read(tmp_path, raw)
    assert str(caught.value).startswith(
        f"{tmp_path / 'file.pth'}: conv.weight: 'archive/data/0': contents "
        "changed, their checksum is "
    )


def in_big_endian(name):
    """Return a file as a machine of the other byte order writes it."""
    records = records_of(golden(name))
    changes = {"byteorder": b"big"}
    for key, size in storage_sizes(records["archive/data.pkl"]).items():
        raw = np.frombuffer(records[f"archive/data/{key}"], f"V{size}")
        swapped = raw.view(np.uint8).reshape(-1, size)[:, ::-1]
        changes[f"data/{key}"] = swapped.tobytes()
    return changed(golden(name), changes)


def storage_sizes(pickle):
    from odyssey.formats.pytorch_pickle import CheckpointMachine

    machine = CheckpointMachine()
    machine.run(pickle, len(pickle))
    return {key: storage.item_size for key, storage in machine.storages.items()}


@pytest.mark.parametrize("group", ["model", "kinds"])
def test_the_other_byte_order(group, tmp_path):
    assert_same_bits(
        read(tmp_path, in_big_endian(f"{group}.pth")).tensors, numbers(group)
    )
    raw = changed(golden("model.pth"), {"byteorder": None})  # before PyTorch 2.1
    assert_same_bits(read(tmp_path, raw).tensors, numbers("model"))
    with pytest.raises(FormatError, match="byteorder is neither little nor big"):
        read(tmp_path, changed(golden("model.pth"), {"byteorder": b"middle"}))


def test_the_other_byte_order_of_unsigned_numbers(tmp_path):
    """Their storages are counted in bytes, which hides the size of a number."""
    changes = {"byteorder": b"big"}
    expected = {
        "uint16": np.array([1, 2**16 - 1, 7], ">u2"),
        "uint32": np.array([0, 2**32 - 1], ">u4"),
        "uint64": np.array([0, 2**63], ">u8"),
    }
    for i, array in enumerate(expected.values()):
        changes[f"data/{i}"] = array.tobytes()
    tensors = read(tmp_path, changed(golden("unsigned.pth"), changes)).tensors
    assert_same_bits(tensors, numbers("unsigned"))


REFUSED = {
    "complex": "layer.weight: ComplexFloatStorage is refused",
    "float8": "layer.weight: float8_e4m3fn is refused",
    "sparse": "layer.weight: a sparse tensor, which is refused",
    "quantised": "layer.weight: a quantised tensor, which is refused",
    "meta": "layer.weight: a tensor without its numbers, which is refused",
    "subclass": "its pickle: asks for __main__.Tagged, which is refused: only tensors "
    "and plain containers are read",
    "module": "its pickle: asks for torch.nn.modules.container.Sequential, which is "
    "refused: only tensors and plain containers are read",
}


def test_all_that_is_refused_is_tested():
    files = {name for name in GOLDEN if name.startswith("refused_")}
    assert files == {f"refused_{name}.pth" for name in REFUSED}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_refused_is_refused_by_name(name, tmp_path):
    with pytest.raises(FormatError) as caught:
        read(tmp_path, golden(f"refused_{name}.pth"))
    assert str(caught.value) == f"{tmp_path / 'file.pth'}: {REFUSED[name]}"


def test_refused_tensors_beside_the_weights_do_no_harm(tmp_path):
    """A sparse tensor in the state of an optimizer is left out like any other."""
    pickle = records_of(golden("refused_sparse.pth"))["archive/data.pkl"]
    weights = records_of(golden("tensor.pth"))
    # {"optimizer": {"layer.weight": <sparse>}, "net": {"w": <tensor>}}
    inner = weights["archive/data.pkl"][2:-1].replace(b"X\1\0\0\x000", b"X\1\0\0\x00w")
    parts = b"}(" + text("optimizer") + pickle[2:-1] + text("net")
    parts += b"}" + text("w") + inner + b"su"
    records = records_of(golden("refused_sparse.pth"))
    records["archive/data.pkl"] = b"\x80\x02" + parts + b"."
    records["archive/data/w"] = weights["archive/data/0"]
    file = read(tmp_path, rezipped(records))
    assert_same_bits(file.tensors, {"w": numbers("kinds")["slice"]})
    assert file.notes == (
        "the tensors of net are taken",
        "tensors left out: optimizer (1)",
    )


def text(string):
    return b"X" + struct.pack("<I", len(string)) + string.encode()


def test_unknown_marks_of_a_tensor_are_refused(tmp_path):
    raw = repickled(golden("kinds.pth"), text("neg"), text("gen"))
    with pytest.raises(FormatError, match="negative: mark 'gen' is not known"):
        read(tmp_path, raw)


def test_storages_of_parts_and_old_parameters(tmp_path):
    """As before PyTorch 0.4: a part of a storage, and Parameter as a class."""
    raw = golden("model_legacy.pth")
    start = raw.index(b"\x80\x02ccollections")
    head = raw[:start]
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("7")
    storage += text("cpu") + b"K\x06(" + text("8") + b"K\2K\3ttQ"  # elements 2 to 4
    tensor = b"ctorch._utils\n_rebuild_tensor\n(" + storage + b"K\1K\2\x85K\1\x85tR"
    old = b"ctorch.nn.parameter\nParameter\n)\x81(" + tensor + b"N}\x88\x89tb"
    called = b"ctorch.nn.parameter\nParameter\n" + tensor + b"\x88\x86R"
    pairs = b"](](U\1a" + old + b"e](U\1b" + called + b"ee\x85"  # of Python 2
    pickle = b"\x80\x02ccollections\nOrderedDict\n" + pairs + b"R."
    keys = b"\x80\x02](" + text("7") + b"e."
    numbers = np.arange(6, dtype="<f4")
    raw = head + pickle + keys + struct.pack("<q", 6) + numbers.tobytes()
    assert is_pytorch(raw[:512])
    tensors = read(tmp_path, raw).tensors
    assert_same_bits(tensors, {"a": numbers[3:5].copy(), "b": numbers[3:5].copy()})


@pytest.mark.parametrize("name", sorted(n for n in GOLDEN if n.endswith(".pth")))
def test_pytorchs_files_are_known_by_their_beginning(name):
    assert is_pytorch(golden(name)[:512])


def test_other_files_are_not_pytorchs(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones(3))
    for raw in (b"", b"PK\x03\x04", (tmp_path / "a.npz").read_bytes(), b"\x80\x04K\1."):
        assert not is_pytorch(raw[:512])
        with pytest.raises(FormatError, match=r"file.pth: .*"):
            read(tmp_path, raw)
    with pytest.raises(FormatError, match="a zip file, but not PyTorch's: it has no"):
        read(tmp_path, (tmp_path / "a.npz").read_bytes())
    with pytest.raises(FormatError, match=r"file.pth: not a file of PyTorch"):
        read(tmp_path, b"\x89HDF\r\n\x1a\n")
    program = changed(
        golden("model.pth"), {"constants.pkl": b"\x80\x02).", "code": b""}
    )
    with pytest.raises(FormatError, match="a program of TorchScript"):
        read(tmp_path, program)


def test_reading_needs_neither_numba_nor_pytorch():
    code = (
        "import sys; from odyssey.formats.pytorch import read_pytorch, write_pytorch;"
        "print([n for n in ('numba', 'torch', 'scipy') if n in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout == "[]\n", found.stderr
