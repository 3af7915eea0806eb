"""Folders of weights: their files, and folders that are refused."""

import hashlib
import json
import warnings

import numpy as np
import pytest

from odyssey.weights.files import WeightsError
from odyssey.weights.folder import load_folder, save_folder, verify_folder
from odyssey.weights.hexfile import load_tensor_with_name, save_tensor


@pytest.fixture
def tensors():
    rng = np.random.default_rng(3)
    return {
        "fc_weights": rng.standard_normal((10, 4)).astype(np.float32),
        "fc_bias": rng.standard_normal(10),
        "empty": np.zeros((0, 3), np.int8),
    }


@pytest.fixture
def folder(tmp_path, tensors):
    save_folder(tensors, tmp_path / "run", metadata={"model": "m", "options": {"w": 4}})
    return tmp_path / "run"


def assert_same(loaded, tensors):
    assert list(loaded) == list(tensors)
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        np.testing.assert_array_equal(loaded[name], tensor)


def edit(folder, change):
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    del manifest["manifest_sha256"]
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_round_trip(folder, tensors):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load_folder(str(folder))
    assert_same(loaded.tensors, tensors)
    assert loaded.manifest["kind"] == "weights"
    assert (loaded.manifest["model"], loaded.manifest["options"]) == ("m", {"w": 4})
    verify_folder(folder)


def test_what_lies_on_disk(folder, tensors):
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted([*(f"{n}.weights" for n in tensors), "manifest.json"])
    assert load_tensor_with_name(folder / "fc_bias.weights")[0] == "fc_bias"
    entry = json.loads((folder / "manifest.json").read_text())["tensors"]["fc_weights"]
    assert entry["file"] == "fc_weights.weights"
    assert (entry["dtype"], entry["shape"]) == ("float32", [10, 4])
    assert entry["bytes"] == (folder / "fc_weights.weights").stat().st_size
    assert len(entry["sha256"]) == 64


def test_saving_again_replaces_the_set_and_spares_other_files(folder, tensors):
    (folder / "metrics.csv").write_text("epoch\n")
    (folder / "checkpoints").mkdir()
    save_tensor(np.zeros(1), folder / "mine.weights")  # in no manifest
    tensors = {"fc_weights": tensors["fc_weights"] + 1, "new": np.arange(3)}
    save_folder(tensors, folder, metadata={})
    assert_same(load_folder(folder).tensors, tensors)
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoints",
        "fc_weights.weights",
        "manifest.json",
        "metrics.csv",
        "mine.weights.old",
        "new.weights",
    ]


def test_all_that_is_wrong_is_said_at_once(folder):
    (folder / "fc_bias.weights").unlink()
    (folder / "empty.weights").unlink()
    save_tensor(np.zeros(1), folder / "stray.weights", "stray")
    path = folder / "fc_weights.weights"
    data = path.read_bytes()
    path.write_bytes(data[:-4] + bytes([data[-4] ^ 1]) + data[-3:])
    for check in (load_folder, verify_folder):
        with pytest.raises(WeightsError) as caught:
            check(folder)
        for part in (
            "2 missing: fc_bias.weights, empty.weights",
            "1 unexpected: stray.weights",
            "fc_weights.weights: contents changed",
        ):
            assert part in str(caught.value)


@pytest.mark.parametrize(
    ("name", "tensor", "reason"),
    [
        ("other", np.ones(10), "name 'other', expected 'fc_bias'"),
        ("fc_bias", np.ones(10, np.int64), r"int64 \[10\], the manifest says float64"),
        ("fc_bias", np.ones((5, 2)), r"float64 \[5, 2\], the manifest says"),
    ],
)
def test_file_must_be_what_the_manifest_says(folder, name, tensor, reason):
    path = folder / "fc_bias.weights"
    save_tensor(tensor, path, name)
    facts = {
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    edit(folder, lambda m: m["tensors"]["fc_bias"].update(facts))
    with pytest.raises(WeightsError, match=reason):
        load_folder(folder)


def test_folder_without_manifest_loads_with_a_warning(tmp_path):
    save_tensor(np.ones(2), tmp_path / "b.weights", "b")
    save_tensor(np.zeros(3), tmp_path / "a.weights")  # a file may do without a name
    (tmp_path / "._a.weights").write_text("what some systems leave beside files")
    with pytest.warns(UserWarning, match="no manifest"):
        loaded = load_folder(tmp_path)
    assert loaded.manifest is None
    assert_same(loaded.tensors, {"a": np.zeros(3), "b": np.ones(2)})
    with pytest.raises(WeightsError, match="cannot be verified"):
        verify_folder(tmp_path)


def test_saving_over_a_folder_without_manifest_loses_nothing(tmp_path):
    save_tensor(np.ones(2), tmp_path / "a.weights", "a")
    save_tensor(np.ones(2), tmp_path / "b.weights", "b")
    save_folder({"a": np.zeros(1)}, tmp_path, metadata={})
    assert_same(load_folder(tmp_path).tensors, {"a": np.zeros(1)})
    assert load_tensor_with_name(tmp_path / "b.weights.old")[0] == "b"


def test_folder_without_manifest_and_with_damage(tmp_path):
    with pytest.raises(WeightsError, match="holds no weights"):
        load_folder(tmp_path)
    save_tensor(np.ones(2), tmp_path / "a.weights", "b")
    (tmp_path / "c.weights").write_text("c\n")
    with pytest.raises(WeightsError, match=r"a\.weights.*name 'b'.*c\.weights.*line 2"):
        load_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        load_folder(tmp_path / "nowhere")


NO_FILE_NAMES = [
    *("", ".", "..", ".a", "a/b", "../../x", "/abs", "a\\b", "a\0", "a\n", "é", "a b"),
    *("x" * 121, 5, None),
]


@pytest.mark.parametrize("name", NO_FILE_NAMES)
def test_names_that_are_no_plain_file_names_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="tensor name"):
        save_folder({name: np.ones(1)}, tmp_path / "run", metadata={})
    assert list(tmp_path.iterdir()) == []


def test_names_that_differ_only_in_case_are_refused(tmp_path):
    with pytest.raises(ValueError, match="differ only in case"):
        save_folder({"a": np.ones(1), "A": np.ones(1)}, tmp_path, metadata={})


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("bad", "metadata", "error"),
    [
        ({}, {}, ValueError),
        ([("a", np.ones(1))], {}, TypeError),
        ({"a": [1.0]}, {}, TypeError),
        ({"a": np.ones(1), "b": np.array([True])}, {}, TypeError),
        ({"a": np.ones(1)}, {"lr": float("nan")}, ValueError),
        ({"a": np.ones(1)}, {"lr": np.float32(1)}, TypeError),
        ({"a": np.ones(1)}, {"tensors": {}}, ValueError),
        ({"a": np.ones(1)}, None, TypeError),
        ({"a": np.ones(1)}, {1: "x", "1": "y"}, ValueError),
        ({"a": np.ones(1)}, {"x": {1: 2, "1": 3}}, ValueError),
        ({"a": np.ones(1)}, {"x": nested(100_000)}, ValueError),
    ],
)
def test_what_cannot_be_written_leaves_the_old_set(
    folder, tensors, bad, metadata, error
):
    with pytest.raises(error, match="save_folder: "):
        save_folder(bad, folder, metadata=metadata)
    assert_same(load_folder(folder).tensors, tensors)


def test_manifest_too_large_to_be_read_is_not_written(folder, tensors, monkeypatch):
    monkeypatch.setattr("odyssey.weights.manifest.MAX_BYTES", 10_000)
    save_folder(tensors, folder, metadata={"note": "x" * 5_000})
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    with pytest.raises(ValueError, match=r"save_folder: .* over 10000"):
        save_folder({"a": np.ones(1)}, folder, metadata={"note": "x" * 10_000})
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert_same(load_folder(folder).tensors, tensors)


def test_directory_in_the_way_is_said_before_anything_is_moved(folder):
    (folder / "new.weights").mkdir()
    with pytest.raises(WeightsError, match=r"new\.weights: a directory"):
        save_folder({"new": np.ones(1)}, folder, metadata={})
    (folder / "new.weights").rmdir()
    assert len(load_folder(folder).tensors) == 3
