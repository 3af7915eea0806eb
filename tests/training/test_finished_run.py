"""A run that is done or stopped has the weights of its last step in its folder."""

import json
import os
import signal

import numpy as np
import pytest
from standin import losses, metrics, run, train_step

from odyssey.errors import Interrupted, NonFiniteError
from odyssey.weights.files import WeightsError


@pytest.fixture
def whole(tmp_path):
    run(tmp_path / "whole")
    return tmp_path / "whole"


def same_weights_and_logs(a, b):
    assert (a / "w.weights").read_bytes() == (b / "w.weights").read_bytes()
    assert losses(a) == losses(b)
    assert metrics(a) == metrics(b)


def test_missing_or_damaged(tmp_path, whole):
    """A run may turn out to be done when its checkpoint is read: fewer epochs."""

    def signalled(trainer):
        finish = trainer.finish_epoch

        def finish_epoch():
            finish()
            if trainer.state.epoch == 3:
                os.kill(os.getpid(), signal.SIGINT)

        trainer.finish_epoch = finish_epoch

    stopped, reference = tmp_path / "stopped", whole / "w.weights"
    with pytest.raises(Interrupted):
        run(stopped, changes={"epochs": 5}, hook=signalled)
    assert (stopped / "w.weights").read_bytes() == reference.read_bytes()
    (stopped / "w.weights").unlink()
    for _ in range(2):  # missing, then damaged
        run(stopped, resume=True)
        assert (stopped / "w.weights").read_bytes() == reference.read_bytes()
        manifest = json.loads((stopped / "manifest.json").read_text())
        assert (manifest["step"], manifest["epoch"]) == (15, 3)
        (stopped / "w.weights").write_text("w\n")
    run(stopped, resume=True, max_steps=6)
    same_weights_and_logs(stopped, whole)

    def nothing_to_save(trainer):
        trainer.model = trainer.model._replace(save=lambda state: 1 / 0)

    run(stopped, resume=True, hook=nothing_to_save)


@pytest.mark.parametrize("step", [2, 4, 7])
def test_at_a_stop_the_weights_are_those_of_the_newest_step(tmp_path, step):
    """Long before the tenth epoch, and with others of an earlier stop there."""
    run(tmp_path / "reference", max_steps=step)
    if step > 2:
        run(tmp_path / "run", max_steps=1)
    with pytest.raises(Interrupted, match=f"step-{step:08d}, --resume"):
        run(tmp_path / "run", resume=step > 2, step=signal_after(step))
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["step"] == step
    for name in ("w.weights", "mean.weights"):
        expected = (tmp_path / "reference" / name).read_bytes()
        assert (tmp_path / "run" / name).read_bytes() == expected


def test_a_stop_before_anything_was_learned_saves_no_weights(tmp_path):
    def hook(trainer):
        trainer.warm_up = lambda: os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="step-00000000"):
        run(tmp_path, hook=hook)
    assert not list(tmp_path.glob("*.weights"))


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), WeightsError("a directory")]
)
def test_a_stop_is_a_stop_where_only_the_weights_cannot_be_saved(
    tmp_path, whole, capsys, error
):
    def hook(trainer):
        def save(state):
            raise error

        trainer.model = trainer.model._replace(save=save)

    with pytest.raises(Interrupted, match="step-00000003, --resume") as stopped:
        run(tmp_path / "run", step=signal_after(3), hook=hook)
    assert stopped.value.exit_status == 143
    assert "Warning: the weights are not saved: " in capsys.readouterr().err
    run(tmp_path / "run", resume=True)
    same_weights_and_logs(tmp_path / "run", whole)


def test_weights_that_are_not_finite_are_not_saved_at_a_stop(tmp_path):
    def step(state, x, labels, lr):
        result = signal_after(7)(state, x, labels, lr)
        if state.step == 6:
            state.params["w"][0, 0] = np.nan
        return result

    run(tmp_path, max_steps=5)
    before = {p.name: p.read_bytes() for p in tmp_path.glob("*.weights")}
    with pytest.raises(NonFiniteError, match="step-00000005"):
        run(tmp_path, resume=True, step=step)
    assert {p.name: p.read_bytes() for p in tmp_path.glob("*.weights")} == before


def signal_after(step):
    """Return a training step during which, as number ``step``, SIGTERM comes."""

    def signalled(state, x, labels, lr):
        if state.step == step - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return train_step(state, x, labels, lr)

    return signalled


def test_older(tmp_path, whole):
    run(tmp_path / "a", changes={"epochs": 1})
    older = {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir() if p.is_file()}
    run(tmp_path / "a", resume=True)
    for name in ("w.weights", "mean.weights", "manifest.json"):
        (tmp_path / "a" / name).write_bytes(older[name])
    run(tmp_path / "a", resume=True)
    same_weights_and_logs(tmp_path / "a", whole)
