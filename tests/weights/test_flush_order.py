"""The order in which files are flushed and renamed, by recording the calls."""

import os
import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from odyssey.weights.checkpoint import save_checkpoint
from odyssey.weights.files import atomic_write_text
from odyssey.weights.folder import load_folder, save_folder

pytestmark = pytest.mark.skipif(
    not os.path.isdir("/proc/self/fd"), reason="needs /proc to name what is flushed"
)
TENSORS = {"a": np.ones(2), "b": np.ones(2)}


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """The calls of fsync, rename and replace, with paths relative to ``tmp_path``."""
    seen = []

    def short(path):
        relative = str(Path(path).relative_to(tmp_path))
        return re.sub(r"(\.tmp-[^/]+)-[0-9a-f]{16}", r"\1", relative)

    def fsync(descriptor):
        seen.append(("fsync", short(os.readlink(f"/proc/self/fd/{descriptor}"))))

    def recorded(name, function):
        def call(source, target):
            seen.append((name, short(source), short(target)))
            function(source, target)

        return call

    monkeypatch.setattr(os, "fsync", fsync)
    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, recorded(name, getattr(os, name)))
    return seen


def test_file(tmp_path, calls):
    atomic_write_text(tmp_path / "x", "text")
    assert calls == [
        ("fsync", ".tmp-x"),
        ("replace", ".tmp-x", "x"),
        ("fsync", "."),
    ]


def test_folder(tmp_path, calls):
    save_folder(TENSORS, tmp_path / "run", metadata={})
    staging, pending = "run/.tmp-weights", "run/.new-weights"
    moves = [
        ("replace", f"{pending}/{name}.weights", f"run/{name}.weights")
        for name in TENSORS
    ]
    assert calls[:7] == [
        ("fsync", "."),  # the new folder itself
        ("fsync", f"{staging}/a.weights"),
        ("fsync", f"{staging}/b.weights"),
        ("fsync", f"{staging}/manifest.json"),
        ("fsync", staging),
        ("rename", staging, pending),
        ("fsync", "run"),
    ]
    assert sorted(calls[7:9]) == moves
    assert calls[9:] == [
        ("fsync", "run"),
        ("replace", f"{pending}/manifest.json", "run/manifest.json"),
        ("fsync", "run"),
    ]


def test_files_flushed_at_once_are_on_disk_before_the_manifest(tmp_path, calls):
    tensors = {f"t{i}": np.full(3, i) for i in range(40)}
    save_folder(tensors, tmp_path / "run", metadata={})
    staging = "run/.tmp-weights"
    assert sorted(calls[1:41]) == sorted(
        ("fsync", f"{staging}/{name}.weights") for name in tensors
    )
    assert calls[41:44] == [
        ("fsync", f"{staging}/manifest.json"),
        ("fsync", staging),
        ("rename", staging, "run/.new-weights"),
    ]
    assert load_folder(tmp_path / "run").tensors["t39"].tolist() == [39, 39, 39]


@pytest.mark.parametrize("failing", [0, 39])
def test_a_file_that_is_not_flushed_at_once_with_others_is_named(
    tmp_path, monkeypatch, failing
):
    save_folder(TENSORS, tmp_path / "run", metadata={})

    def fsync(descriptor):
        if f"/t{failing}.weights" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(28, "No space left on device")
        time.sleep(0.02)

    monkeypatch.setattr(os, "fsync", fsync)
    tensors = {f"t{i}": np.full(3, i) for i in range(40)}
    opened = set(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="No space left") as error:
        save_folder(tensors, tmp_path / "run", metadata={})
    assert error.value.filename.endswith(f"/t{failing}.weights")
    assert not [t for t in threading.enumerate() if "odyssey-flush" in t.name]
    assert set(os.listdir("/proc/self/fd")) == opened
    assert load_folder(tmp_path / "run").tensors.keys() == TENSORS.keys()
    assert not [path for path in (tmp_path / "run").iterdir() if ".tmp" in path.name]


def test_checkpoint_is_on_disk_before_an_old_one_goes(tmp_path, calls):
    save_checkpoint(tmp_path, 1, TENSORS, {})
    calls.clear()
    save_checkpoint(tmp_path, 2, TENSORS, {}, keep=1)
    root = "checkpoints"
    staging = f"{root}/.tmp-step-00000002"
    assert calls == [
        ("fsync", f"{staging}/a.weights"),
        ("fsync", f"{staging}/b.weights"),
        ("fsync", f"{staging}/manifest.json"),
        ("fsync", staging),
        ("rename", staging, f"{root}/step-00000002"),
        ("fsync", root),
        ("rename", f"{root}/step-00000001", f"{root}/.tmp-old-step-00000001"),
        ("fsync", root),
    ]
