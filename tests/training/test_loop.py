import csv
import json
import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from standin import Batches, in_child, losses, metrics, run, train_step

from odyssey.errors import InputError, Interrupted, NonFiniteError
from odyssey.weights.checkpoint import list_checkpoints, load_newest_checkpoint


def same_run(a, b):
    """Assert that two folders hold the same run, to the last bit."""
    assert (a / "w.weights").read_bytes() == (b / "w.weights").read_bytes()
    assert losses(a) == losses(b)
    assert metrics(a) == metrics(b)
    for x, y in zip(
        load_newest_checkpoint(a).tensors.values(),
        load_newest_checkpoint(b).tensors.values(),
        strict=True,
    ):
        np.testing.assert_array_equal(x, y)


@pytest.fixture
def whole(tmp_path):
    run(tmp_path / "whole")
    return tmp_path / "whole"


def test_logs_of_a_run(whole):
    with open(whole / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == (
        "epoch lr train_loss train_accuracy test_loss test_accuracy seconds "
        "images_per_second".split()
    )
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [float(row["lr"]) for row in rows] == [0.1, 0.1, 0.1 * 0.2]
    steps = [json.loads(line) for line in losses(whole)]
    assert [step["step"] for step in steps] == list(range(1, 16))
    assert [step["epoch"] for step in steps] == [1] * 5 + [2] * 5 + [3] * 5
    for step in steps:
        assert float.fromhex(step["loss_hex"]) == step["loss"]
    for epoch, row in enumerate(rows):
        mean = np.mean([s["loss"] for s in steps[5 * epoch : 5 * epoch + 5]])
        assert float(row["train_loss"]) == pytest.approx(mean, rel=1e-12)
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    assert float(rows[0]["test_accuracy"]) * 25 % 1 == 0
    assert [p.name for p in list_checkpoints(whole)] == [
        "step-00000010",
        "step-00000015",
    ]


def test_train_loss_weighs_batches_by_their_images(tmp_path):
    def uneven(trainer):
        trainer.train = Batches(11, 8)
        trainer.last_step = 2

    run(tmp_path, changes={"epochs": 1}, hook=uneven)
    first, second = (json.loads(line)["loss"] for line in losses(tmp_path))
    row = metrics(tmp_path)[1]
    assert float(row[2]) == pytest.approx((8 * first + 3 * second) / 11, rel=1e-14)
    assert (float(row[3]) * 11) % 1 == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", ["fsync", "replace", "rename", "unlink"])
def test_kill_at_any_moment_of_saving_and_resume(tmp_path, whole, name):
    """Kill -9 before the n-th call of ``name`` for n = 1, 2, ... until none is left."""
    real, killed = getattr(os, name), 0
    for n in range(1, 200):
        directory = tmp_path / f"killed-{n}"
        countdown = iter(range(n - 1, -1, -1))

        def call(*args, countdown=countdown, **kwargs):
            if next(countdown, 1) == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        def child(directory=directory, call=call):
            setattr(os, name, call)
            run(directory)

        status = in_child(child)
        if status == 0:
            break
        assert status == -signal.SIGKILL
        killed += 1
        run(directory, resume=True)
        same_run(directory, whole)
    assert killed >= 2


@pytest.mark.parametrize("step", [1, 4, 5, 6, 9, 14])
def test_signal_between_batches_and_resume(tmp_path, whole, step):
    directory = tmp_path / "stopped"

    def signalled(state, x, labels, lr):
        if state.step == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return train_step(state, x, labels, lr)

    with pytest.raises(Interrupted, match=f"step-{step + 1:08d}") as error:
        run(directory, step=signalled)
    assert error.value.exit_status == 143
    assert len(losses(directory)) == step + 1
    run(directory, resume=True)
    same_run(directory, whole)


def test_signal_during_evaluation_and_resume(tmp_path, whole):
    directory = tmp_path / "stopped"

    def hook(trainer):
        def predictor(state, real=trainer.model.predictor):
            if state.epoch == 1:
                os.kill(os.getpid(), signal.SIGINT)
            return real(state)

        trainer.model = trainer.model._replace(predictor=predictor)
        trainer.warm_up = lambda: None

    with pytest.raises(Interrupted, match="step-00000010") as error:
        run(directory, hook=hook)
    assert error.value.exit_status == 130
    run(directory, resume=True)
    same_run(directory, whole)


def test_signal_before_the_first_step_leaves_a_checkpoint(tmp_path, whole):
    directory = tmp_path / "stopped"

    def hook(trainer):
        trainer.warm_up = lambda: os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="step-00000000"):
        run(directory, hook=hook)
    run(directory, resume=True)
    same_run(directory, whole)


@pytest.mark.parametrize("limits", [(3,), (5,), (7, 8, 12)])
def test_max_steps_then_on(tmp_path, whole, limits):
    directory = tmp_path / "parts"
    for i, limit in enumerate(limits):
        run(directory, resume=i > 0, max_steps=limit)
        assert len(losses(directory)) == limit
        rows = metrics(directory)
        assert rows[-1][0] == str(-(-limit // 5))
        run(directory, resume=True, max_steps=limit)  # nothing left to do
        assert metrics(directory) == rows
    run(directory, resume=True)
    same_run(directory, whole)


def test_interrupted_before_the_row_of_max_steps(tmp_path):
    """A run stopped after its last step still owes the row and the weights."""

    def signalled(state, x, labels, lr):
        if state.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return train_step(state, x, labels, lr)

    with pytest.raises(Interrupted):
        run(tmp_path / "a", step=signalled, max_steps=3)
    assert len(metrics(tmp_path / "a")) == 1
    run(tmp_path / "a", resume=True, max_steps=3)
    run(tmp_path / "b", max_steps=3)
    same_run(tmp_path / "a", tmp_path / "b")


def test_more_epochs(tmp_path, whole):
    run(tmp_path / "a", changes={"epochs": 1})
    run(tmp_path / "a", resume=True)
    same_run(tmp_path / "a", whole)
    with pytest.raises(InputError, match="--epochs is 2, but 3 are done"):
        run(whole, resume=True, changes={"epochs": 2})


def test_nonfinite_loss_stops_before_the_update(tmp_path):
    before = {}

    def spoilt(state, x, labels, lr):
        if state.step == 7:
            before["w"] = state.params["w"].copy()
            x = x * np.float32(np.nan)
        return train_step(state, x, labels, lr)

    def hook(trainer):
        before["state"] = trainer.state

    with pytest.raises(NonFiniteError) as error:
        run(tmp_path, step=spoilt, hook=hook)
    message = str(error.value)
    for part in ("loss nan", "gradient norm nan", "step 8", "lr 0.1", "step-00000005"):
        assert part in message
    np.testing.assert_array_equal(before["state"].params["w"], before["w"])
    assert [p.name for p in list_checkpoints(tmp_path)] == ["step-00000005"]
    assert len(losses(tmp_path)) == 7


def test_nonfinite_weights_never_reach_a_checkpoint(tmp_path):
    def spoilt(state, x, labels, lr):
        result = train_step(state, x, labels, lr)
        if state.step == 9:
            state.running["mean"][2] = np.inf
        return result

    with pytest.raises(NonFiniteError, match="not finite after step 10: mean"):
        run(tmp_path, step=spoilt)
    assert [p.name for p in list_checkpoints(tmp_path)] == ["step-00000005"]


@pytest.mark.filterwarnings("error")
def test_numbers_too_large_end_in_an_error_and_no_warning(tmp_path):
    def large(state, x, labels, lr):
        result = train_step(state, x, labels, lr)
        if state.step == 4:
            state.params["w"][:] = 3e38
            state.params["w"] * np.float32(10)  # overflows in training as well
        return result

    with pytest.raises(NonFiniteError, match="test loss"):
        run(tmp_path, step=large)


def test_evaluation_leaves_no_trace_in_training(tmp_path, whole):
    def hook(trainer):
        trainer.evaluated = {"test": Batches(3, 2, seed=9)}

    run(tmp_path / "other", hook=hook)
    assert losses(tmp_path / "other") == losses(whole)


def test_weights_are_saved_every_so_many_epochs_and_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr("odyssey.training.loop.WEIGHTS_EVERY", 2)
    saved = []

    def hook(trainer):
        def save(state):
            saved.append(state.epoch)

        trainer.model = trainer.model._replace(save=save)

    run(tmp_path, hook=hook, changes={"epochs": 5})
    assert saved == [2, 4, 5]


def test_a_checkpoint_within_an_epoch_when_the_newest_is_old(tmp_path, whole):
    """60 s pass with each step, and a checkpoint is old after 150 s."""
    now, seen = [1000.0], []

    def step(*args):
        now[0] += 60
        seen.append([p.name for p in list_checkpoints(tmp_path / "a")])
        return train_step(*args)

    with pytest.MonkeyPatch.context() as patch:
        clock = SimpleNamespace(monotonic=lambda: now[0])
        patch.setattr("odyssey.training.loop.time", clock)
        run(tmp_path / "a", step=step, checkpoint_minutes=2.5, keep=9)
    saved = [p.name for p in list_checkpoints(tmp_path / "a")]
    # after 180 s each, and at the ends of epochs, from which the time counts anew
    assert [int(name[5:]) for name in saved] == [3, 5, 8, 10, 13, 15]
    assert seen[4] == ["step-00000003"]  # before step 4; seen[0] compiles
    same_run(tmp_path / "a", whole)


def test_no_checkpoint_within_an_epoch_unless_asked(tmp_path):
    run(tmp_path / "a", checkpoint_minutes=None, keep=9)
    saved = [int(p.name[5:]) for p in list_checkpoints(tmp_path / "a")]
    assert saved == [5, 10, 15]
