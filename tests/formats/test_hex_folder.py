"""Odyssey's own folders of hex files, and single ones, as sets of tensors."""

import numpy as np
import pytest
from kept_arrays import BFLOAT16, DTYPES, MEMORIES, as_read, is_as_read, numbers, same

from odyssey.formats.files import read_tensors
from odyssey.formats.hex_folder import read_hex_folder, write_hex_folder
from odyssey.formats.tensor_file import FormatError
from odyssey.weights.files import WeightsError
from odyssey.weights.folder import load_folder
from odyssey.weights.hexfile import save_tensor


@pytest.mark.parametrize("memory", MEMORIES)
def test_arrays_of_any_memory_and_dtype_come_back(tmp_path, memory):
    tensors = {str(d): MEMORIES[memory](numbers(d)) for d in [*DTYPES, BFLOAT16]}
    metadata = {
        "odyssey": {"model": "mine", "classes": ["a", "b"], "step": 3},
        "format": "pt",
        "model": "theirs",
    }
    notes = write_hex_folder(tmp_path / "w", tensors, metadata)
    assert notes == ("bool: bool became uint8",)
    kind, found, known, notes = read_hex_folder(tmp_path / "w")
    assert (kind, known, notes) == ("folder of hex files", metadata, ())
    _, manifest = load_folder(tmp_path / "w")
    assert (manifest["model"], manifest["format"]) == ("mine", "odyssey-hex")
    assert list(found) == list(tensors)
    for name, x in tensors.items():
        x = x.view(np.uint8) if name == "bool" else x
        assert same(found[name], as_read(x)) and is_as_read(found[name])


def test_another_tool_s_odyssey_key_is_not_taken_for_a_manifest(tmp_path):
    write_hex_folder(tmp_path / "w", {"a": np.ones(2)}, {"odyssey": "1", "epoch": 3})
    assert load_folder(tmp_path / "w").manifest["other_metadata"] == {
        "odyssey": "1",
        "epoch": 3,
    }
    assert read_hex_folder(tmp_path / "w").metadata == {"odyssey": "1", "epoch": 3}


def test_a_folder_without_a_manifest_is_read_with_a_note(tmp_path):
    save_tensor(numbers("float32"), tmp_path / "a.weights")
    assert read_hex_folder(tmp_path).notes == (
        "no manifest.json: whether these are all tensors cannot be checked",
    )


@pytest.mark.parametrize(
    "files, reason",
    [
        ([], "holds no weights"),
        (["checkpoints/x"], "holds no weights yet; name one of its checkpoints"),
        (
            ["config.json", "model.safetensors"],
            "holds no hex files; name a file in it: model.safetensors",
        ),
    ],
)
def test_a_folder_of_something_else_is_said_to_be_that(tmp_path, files, reason):
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    with pytest.raises(FormatError) as error:
        read_hex_folder(tmp_path)
    assert str(error.value) == f"{tmp_path}: {reason}"


@pytest.mark.parametrize(
    "tensors, reason",
    [
        ({"a": np.zeros(2, complex)}, "a: complex128 is not possible in hex"),
        ({"a/b": np.zeros(2)}, "tensor name 'a/b' must be 1 to 120 of the characters"),
        ({"..": np.zeros(2)}, "tensor name '..' must be 1 to 120 of the characters"),
        ({"a": np.zeros(2), "A": np.zeros(2)}, "'a' and 'A' differ only in case"),
    ],
)
def test_what_a_folder_cannot_hold_is_refused(tmp_path, tensors, reason):
    with pytest.raises(WeightsError) as error:
        write_hex_folder(tmp_path / "w", tensors, {})
    message = str(error.value)
    assert message.startswith(f"{tmp_path}/w: ") and reason in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name, expected", [("conv1_kernel", "conv1_kernel"), ("", "t")]
)
def test_a_single_hex_file_is_read(tmp_path, name, expected):
    x = numbers("float32")
    save_tensor(x, tmp_path / "t.weights", name)
    kind, tensors, _, _ = read_tensors(tmp_path / "t.weights")
    assert (kind, list(tensors)) == ("hex file", [expected])
    assert same(tensors[expected], as_read(x))
