"""Messages about weights that git, an editor or Git LFS has changed."""

import numpy as np
import pytest

from odyssey.weights.changed_files import CARRIAGE_RETURN, listed
from odyssey.weights.checkpoint import load_newest_checkpoint, save_checkpoint
from odyssey.weights.files import WeightsError
from odyssey.weights.folder import load_folder, save_folder, verify_folder
from odyssey.weights.hexfile import load_tensor, load_tensor_with_name, save_tensor

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    b"size 12345\n"
)
LFS = "a pointer of Git LFS, not the file itself; git lfs pull fetches that"
CHANGES = {
    "CRLF": (lambda data: data.replace(b"\n", b"\r\n"), CARRIAGE_RETURN),
    "Git LFS": (lambda data: POINTER, LFS),
    "NumPy": (
        lambda data: b"\x93NUMPY\x01\0v\0{'descr': '<f4'}\n",
        "a NumPy array (.npy)",
    ),
    "BOM": (
        lambda data: b"\xef\xbb\xbf" + data,
        "a byte-order mark (BOM) at its start, put there by an editor",
    ),
    "UTF-16": (
        lambda data: data.decode().encode("utf-16"),
        "UTF-16, as PowerShell's > writes it",
    ),
}
NAMES = [f"layer{number:02}_kernel" for number in range(40)]


@pytest.fixture
def folder(tmp_path):
    save_folder({n: np.ones((2, 3), "f4") for n in NAMES}, tmp_path, metadata={})
    return tmp_path


def change(folder, how, pattern="*.weights"):
    for path in folder.glob(pattern):
        path.write_bytes(how(path.read_bytes()))


@pytest.mark.parametrize(("how", "reason"), CHANGES.values(), ids=CHANGES.keys())
def test_whole_folder_is_one_reason(folder, how, reason):
    change(folder, how)
    said = (
        ", ".join(f"{name}.weights" for name in NAMES[:3]) + f" and 37 more: {reason}"
    )
    for read in (load_folder, verify_folder):
        with pytest.raises(WeightsError) as caught:
            read(folder)
        assert (
            str(caught.value) == f"{folder}: does not match its manifest.json: {said}"
        )
    (folder / "manifest.json").unlink()
    with pytest.raises(WeightsError) as caught:
        load_folder(folder)
    assert str(caught.value) == f"{folder}: {said}"


@pytest.mark.parametrize(("how", "reason"), CHANGES.values(), ids=CHANGES.keys())
def test_single_file(tmp_path, how, reason):
    path = tmp_path / "a.weights"
    save_tensor(np.ones(3), path, "a")
    path.write_bytes(how(path.read_bytes()))
    with pytest.raises(WeightsError) as caught:
        load_tensor(path)
    assert str(caught.value) == f"{path}: line 1: {reason}"


@pytest.mark.parametrize("line", [2, 3])
def test_carriage_return_in_one_line(tmp_path, line):
    path = tmp_path / "a.weights"
    save_tensor(np.ones(3), path, "a")
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace(b"\n", b"\r\n")
    path.write_bytes(b"".join(lines))
    with pytest.raises(WeightsError) as caught:
        load_tensor(path)
    assert str(caught.value) == f"{path}: line {line}: {CARRIAGE_RETURN}"


@pytest.mark.parametrize("kind", ["Git LFS", "BOM", "UTF-16"])
def test_manifest(folder, kind):
    how, reason = CHANGES[kind]
    change(folder, how, "manifest.json")
    with pytest.raises(WeightsError) as caught:
        load_folder(folder)
    path = folder / "manifest.json"
    assert str(caught.value) == f"{path}: damaged manifest: {reason}"


def test_line_ends_of_a_manifest_do_not_matter_and_are_not_blamed(folder):
    change(folder, CHANGES["CRLF"][0], "manifest.json")
    assert list(load_folder(folder).tensors) == NAMES
    change(folder, lambda data: data[:-20], "manifest.json")
    with pytest.raises(WeightsError, match=r"damaged manifest: (?!.*carriage return)"):
        load_folder(folder)


def test_other_damage_is_said_beside_it(folder):
    files = [folder / f"{name}.weights" for name in NAMES]
    files[0].write_bytes(POINTER)
    files[1].write_bytes(b"short")
    files[2].unlink()
    with pytest.raises(WeightsError) as caught:
        load_folder(folder)
    assert str(caught.value) == (
        f"{folder}: does not match its manifest.json: 1 missing: {files[2].name}; "
        f"{files[0].name}: {LFS}; {files[1]}: 5 bytes, the manifest says 76"
    )


def test_many_damaged_files_are_counted(folder):
    change(folder, lambda data: data + b"\n")
    with pytest.raises(WeightsError, match=r"layer04_kernel.* and 35 more$") as caught:
        load_folder(folder)
    assert "layer05" not in str(caught.value)


def test_checkpoint_is_passed_over(tmp_path, capsys):
    for step in (1, 2):
        path = save_checkpoint(tmp_path, step, {n: np.ones(2) for n in NAMES}, {})
    change(path, CHANGES["CRLF"][0])
    assert load_newest_checkpoint(tmp_path).step == 1
    (line,) = capsys.readouterr().err.splitlines()
    error = line.removeprefix("Warning: damaged, trying the one before: ")
    assert CARRIAGE_RETURN in error and len(error) < 400 and error != line


@pytest.mark.parametrize("name", [POINTER.splitlines()[0].decode(), "PAR1", "%PDF-"])
def test_names_that_other_files_begin_with(tmp_path, name):
    save_tensor(np.ones(3), tmp_path / "a", name)
    read, tensor = load_tensor_with_name(tmp_path / "a")
    assert (read, tensor.tolist()) == (name, [1.0] * 3)


def test_listed():
    assert listed(["a"]) == "a"
    assert listed(list("abcde")) == "a, b, c, d, e"
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
    assert listed(list("abc"), most=2, separator="; ") == "a; b and 1 more"


def test_loaded_sets_are_shown_in_a_line(tmp_path):
    save_folder({"a": np.ones((200, 300)), "b": np.ones(7)}, tmp_path, metadata={})
    assert repr(load_folder(tmp_path)) == (
        "LoadedFolder(2 tensors, 60,007 numbers, with a manifest)"
    )
    path = save_checkpoint(tmp_path, 12, {"a": np.ones(7)}, {})
    assert repr(load_newest_checkpoint(tmp_path)) == (
        f"LoadedCheckpoint({path}: 1 tensors, 7 numbers)"
    )
