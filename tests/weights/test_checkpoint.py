"""Checkpoints: complete or not there; the newest intact one is loaded."""

import itertools
import json

import numpy as np
import pytest
from crashes import crash_points, failing_at

from odyssey.weights.checkpoint import (
    list_checkpoints,
    load_checkpoint,
    load_newest_checkpoint,
    save_checkpoint,
)
from odyssey.weights.files import WeightsError

RECIPE = {"lr": 0.1, "seed": 7, "blocks": [2, 2], "resumed": None}


def tensors(value, count=3):
    return {"w": np.full(count, value, np.float32), "velocity.w": np.full(count, -1.0)}


def save(run, step, keep=2):
    return save_checkpoint(run, step, tensors(step), {**RECIPE, "step": step}, keep)


def newest_without_warning(run):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("odyssey.weights.checkpoint.warn", pytest.fail)
        return load_newest_checkpoint(run)


def names(run):
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def check(loaded):
    """Return the step of a checkpoint, once all of it was seen to be of that step."""
    assert loaded.metadata == {**RECIPE, "step": loaded.step}
    assert list(loaded.tensors) == ["w", "velocity.w"]
    assert (loaded.tensors["w"] == loaded.step).all()
    assert loaded.tensors["w"].dtype == np.float32
    return loaded.step


def damage(path):
    file = path / "w.weights"
    data = bytearray(file.read_bytes())
    data[-2] ^= 1
    file.write_bytes(data)


def test_round_trip(tmp_path):
    assert load_newest_checkpoint(tmp_path / "run") is None
    assert list_checkpoints(tmp_path / "run") == []
    path = save(tmp_path / "run", 1234)
    assert path == tmp_path / "run" / "checkpoints" / "step-00001234"
    assert sorted(p.name for p in path.iterdir()) == [
        "manifest.json",
        "velocity.w.weights",
        "w.weights",
    ]
    assert json.loads((path / "manifest.json").read_text())["kind"] == "checkpoint"
    loaded = load_newest_checkpoint(str(tmp_path / "run"))
    assert check(loaded) == 1234
    assert loaded.path == path


def test_only_the_newest_are_kept(tmp_path):
    for step in (1, 2, 3, 10):
        save(tmp_path, step)
    assert names(tmp_path) == ["step-00000003", "step-00000010"]
    save(tmp_path, 11, keep=1)
    assert names(tmp_path) == ["step-00000011"]
    for step in (12, 13, 14):
        save(tmp_path, step, keep=10)
    assert len(names(tmp_path)) == 4


def test_the_highest_step_counts_by_number(tmp_path):
    for step in (99_999_999, 100_000_000):
        save(tmp_path, step)
    listed = [path.name for path in list_checkpoints(tmp_path)]
    assert listed == ["step-99999999", "step-100000000"]
    assert check(load_newest_checkpoint(tmp_path)) == 100_000_000


def test_damaged_ones_are_said_and_passed_over(tmp_path, capsys):
    for step in (1, 2, 3):
        save(tmp_path, step, keep=3)
    newest = tmp_path / "checkpoints" / "step-00000003"
    damage(newest)
    (tmp_path / "checkpoints" / "step-00000004").mkdir()  # without a manifest
    assert check(load_newest_checkpoint(tmp_path)) == 2
    first, second = capsys.readouterr().err.splitlines()
    begin = f"Warning: damaged, trying the one before: {tmp_path / 'checkpoints'}/step-"
    assert first.startswith(f"{begin}00000004: ") and "no manifest.json" in first
    assert second.startswith(f"{begin}00000003: ") and "w.weights" in second


def test_none_usable(tmp_path):
    damage(save(tmp_path, 1))
    with pytest.raises(WeightsError, match="none of 1 checkpoints is usable"):
        load_newest_checkpoint(tmp_path)


def test_damaged_ones_do_not_push_out_those_that_are_needed(tmp_path):
    for step in (1, 2):
        save(tmp_path, step)
    damage(tmp_path / "checkpoints" / "step-00000002")
    save(tmp_path, 3)
    assert "step-00000001" in names(tmp_path)
    save(tmp_path, 4)
    assert names(tmp_path) == ["step-00000003", "step-00000004"]


def test_later_ones_are_left_alone(tmp_path):
    save(tmp_path, 20)
    damage(tmp_path / "checkpoints" / "step-00000020")
    for step in (5, 6, 7):  # the run went on from an older one
        save(tmp_path, step, keep=1)
        assert check(load_newest_checkpoint(tmp_path)) == step
    save(tmp_path, 20, keep=1)
    assert names(tmp_path) == ["step-00000020"]
    assert check(load_newest_checkpoint(tmp_path)) == 20


def test_what_is_no_checkpoint_is_left_alone(tmp_path):
    root = tmp_path / "run" / "checkpoints"
    root.mkdir(parents=True)
    for name in ("step-00000001", ".old-step-00000002", "step-00000400"):
        (root / name).write_text("mine")
    for step in (5, 6, 7):
        save(tmp_path / "run", step)
    assert [path.name for path in list_checkpoints(tmp_path / "run")] == [
        "step-00000006",
        "step-00000007",
    ]
    assert check(newest_without_warning(tmp_path / "run")) == 7
    with pytest.raises(NotADirectoryError, match="step-00000400"):
        save(tmp_path / "run", 400)
    assert len(names(tmp_path / "run")) == 5
    assert (root / "step-00000400").read_text() == "mine"


def test_linked_checkpoint_is_unlinked_not_emptied(tmp_path):
    elsewhere = save(tmp_path / "elsewhere", 1)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step-00000001").symlink_to(elsewhere)
    assert check(load_newest_checkpoint(tmp_path)) == 1
    for step in (2, 3):
        save(tmp_path, step)
    assert names(tmp_path) == ["step-00000002", "step-00000003"]
    assert check(load_checkpoint(elsewhere)) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(step=2),
        lambda m: m["metadata"].update(seed=8),
        lambda m: m.pop("metadata"),
        lambda m: m.pop("metadata_sha256"),
        lambda m: m.update(kind="weights"),
    ],
)
def test_changed_metadata_is_damage(tmp_path, change):
    path = save(tmp_path, 1)
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    del manifest["manifest_sha256"]
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(WeightsError, match="step-00000001"):
        load_checkpoint(path)


def test_renamed_checkpoint_is_not_believed(tmp_path):
    path = save(tmp_path, 1)
    path.rename(path.with_name("step-00000005"))
    with pytest.raises(WeightsError, match="holds step 1"):
        load_checkpoint(path.with_name("step-00000005"))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"step": -1}, ValueError),
        ({"step": 1.0}, TypeError),
        ({"step": True}, TypeError),
        ({"keep": 0}, ValueError),
        ({"tensors": {}}, ValueError),
        ({"tensors": {"../x": np.ones(1)}}, ValueError),
        ({"metadata": {"lr": float("inf")}}, ValueError),
        ({"metadata": {"f": print}}, TypeError),
        ({"metadata": None}, TypeError),
        ({"metadata": {"x": {1: 2, "1": 3}}}, ValueError),
    ],
)
def test_wrong_arguments(tmp_path, arguments, error):
    good = {"run_dir": tmp_path / "run", "step": 1, "tensors": tensors(1)}
    with pytest.raises(error, match="save_checkpoint: "):
        save_checkpoint(**{**good, "metadata": {}, **arguments})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", [2, 3], ids=["same step", "next step"])
def test_crash_at_every_operation(monkeypatch, tmp_path, step):
    numbers = itertools.count()

    def fresh():
        run = tmp_path / str(next(numbers))
        save(run, 1)
        save(run, 2)
        return run

    def overwrite(run):
        save_checkpoint(run, step, tensors(step, 5), {**RECIPE, "step": step})

    outcomes = []
    for run in crash_points(monkeypatch, fresh, overwrite):
        loaded = newest_without_warning(run)
        assert check(loaded) in (2, step)
        outcomes.append(loaded.tensors["w"].size)
        overwrite(run)  # the next writer clears up
        assert names(run) == [f"step-{s:08d}" for s in (step - 1, step)]
        assert check(load_newest_checkpoint(run)) == step
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {3, 5}


@pytest.mark.filterwarnings("ignore:.*cannot be cleared away")
def test_error_at_every_operation(monkeypatch, tmp_path):
    for number in itertools.count():
        run = tmp_path / str(number)
        save(run, 1)
        try:
            with failing_at(monkeypatch, number, OSError) as operations:
                save(run, 2, keep=1)
        except OSError:
            loaded = newest_without_warning(run)
            assert check(loaded) in (1, 2)
            # Only where the removal of step 1 fails may some of it stay behind.
            assert loaded.step == 2 or names(run) == ["step-00000001"]
        if len(operations) <= number:
            break
    assert names(run) == ["step-00000002"]
