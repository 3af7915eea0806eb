"""Files that cannot be deleted after a save: one warning, and another try later."""

import errno
import os
import warnings

import numpy as np
import pytest

from odyssey.weights.checkpoint import (
    list_checkpoints,
    load_newest_checkpoint,
    save_checkpoint,
)
from odyssey.weights.files import remove_path
from odyssey.weights.folder import PENDING, load_folder, save_folder, verify_folder

OPEN = ".nfs0001"  # as NFS calls a file that was deleted while somebody has it open


@pytest.fixture
def opened(monkeypatch):
    """Files called `OPEN` cannot be deleted, until the set that is yielded is empty."""
    held, real = {OPEN}, os.unlink

    def unlink(path, *args, **kwargs):
        if os.path.basename(path) in held:
            raise OSError(errno.EBUSY, "Device or resource busy", path)
        real(path, *args, **kwargs)

    monkeypatch.setattr(os, "unlink", unlink)
    return held


def save(run, step, value=0.0):
    tensors = {"w": np.full(3, value), "v": np.full(3, value)}
    return save_checkpoint(run, step, tensors, {"seed": 0})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_old_checkpoint_stays_until_it_can_go(tmp_path, opened):
    root = tmp_path / "checkpoints"
    (save(tmp_path, 1) / OPEN).touch()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for step in (2, 3, 4, 5):
            save(tmp_path, step)
    assert len(said) == 1  # not at each checkpoint
    text = str(said[0].message)
    assert f"{OPEN}: cannot be cleared away (Device or resource busy)" in text
    assert text.startswith(str(root / ".tmp-old-step-00000001-"))
    assert [p.name for p in list_checkpoints(tmp_path)] == [
        "step-00000004",
        "step-00000005",
    ]
    (left,) = root.glob(".tmp-*")
    assert names(left) == [OPEN]  # all the rest of it is gone
    opened.clear()
    save(tmp_path, 6)
    assert names(root) == ["step-00000005", "step-00000006"]


def test_old_checkpoint_that_cannot_even_be_renamed(tmp_path, monkeypatch):
    """Windows keeps the folder of an open file under its name."""
    real, held = os.rename, ["step-00000001"]

    def rename(source, target):
        if os.path.basename(source) in held:
            raise PermissionError(errno.EACCES, "Access is denied", str(source))
        real(source, target)

    monkeypatch.setattr(os, "rename", rename)
    for step in (1, 2):
        save(tmp_path, step)
    with pytest.warns(UserWarning, match="step-00000001: cannot be cleared .*denied"):
        save(tmp_path, 3)
    save(tmp_path, 4)
    root = tmp_path / "checkpoints"
    assert names(root) == [f"step-{step:08d}" for step in (1, 3, 4)]
    held.clear()
    save(tmp_path, 5)
    assert names(root) == ["step-00000004", "step-00000005"]


def test_checkpoint_of_the_same_step_takes_the_place_of_an_open_one(
    tmp_path, opened, capsys
):
    (save(tmp_path, 1) / OPEN).touch()
    with pytest.warns(UserWarning, match="cannot be cleared away"):
        save(tmp_path, 1, value=2.0)
    assert load_newest_checkpoint(tmp_path).tensors["w"][0] == 2.0
    save(tmp_path, 1, value=3.0)
    assert load_newest_checkpoint(tmp_path).tensors["w"][0] == 3.0
    assert "damaged" not in capsys.readouterr().err


def test_what_a_crash_left_aside_stays_too(tmp_path, opened):
    older = save(tmp_path, 1)
    older.rename(older.with_name(".old-step-00000001"))
    (older.with_name(".old-step-00000001") / OPEN).touch()
    save(tmp_path / "other", 1)
    (tmp_path / "other" / "checkpoints" / "step-00000001").rename(older)
    with pytest.warns(UserWarning, match="cannot be cleared away"):
        save(tmp_path, 2)
    assert [p.name for p in list_checkpoints(tmp_path)] == [
        "step-00000001",
        "step-00000002",
    ]


def test_weights_are_saved_beside_what_stays(tmp_path, opened):
    for place in (PENDING, ".tmp-weights-1"):  # left by saves that were killed
        (tmp_path / place).mkdir()
        (tmp_path / place / OPEN).touch()
    with pytest.warns(UserWarning, match="cannot be cleared away"):
        save_folder({"w": np.ones(2)}, tmp_path, metadata={})
    for value in (2.0, 3.0):
        save_folder({"w": np.full(2, value)}, tmp_path, metadata={})
        assert load_folder(tmp_path).tensors["w"].tolist() == [value] * 2
    verify_folder(tmp_path)
    assert not (tmp_path / PENDING).exists()
    opened.clear()
    save_folder({"w": np.ones(2)}, tmp_path, metadata={})
    assert names(tmp_path) == ["manifest.json", "w.weights"]


def test_all_that_can_go_goes_before_the_error(tmp_path, opened):
    for name in ("a", OPEN, "z"):
        (tmp_path / "d" / name).mkdir(parents=True)
        (tmp_path / "d" / name / OPEN).touch()
        (tmp_path / "d" / name / "file").touch()
    with pytest.raises(OSError, match="busy") as caught:
        remove_path(tmp_path / "d")
    assert caught.value.filename.startswith(str(tmp_path / "d"))
    assert not list(tmp_path.rglob("file"))
