"""A run that is done has the weights of its last step, whatever came in between."""

import json
import os
import signal

import pytest
from standin import losses, metrics, run

from odyssey.training.errors import Interrupted


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
        def save(state):
            raise AssertionError("weights are not due yet")

        trainer.model = trainer.model._replace(save=save)
        finish = trainer.finish_epoch

        def finish_epoch():
            finish()
            if trainer.state.epoch == 3:
                os.kill(os.getpid(), signal.SIGINT)

        trainer.finish_epoch = finish_epoch

    stopped, reference = tmp_path / "stopped", whole / "w.weights"
    with pytest.raises(Interrupted):
        run(stopped, changes={"epochs": 5}, hook=signalled)
    assert not (stopped / "w.weights").exists()
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


def test_older(tmp_path, whole):
    run(tmp_path / "a", changes={"epochs": 1})
    older = {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir() if p.is_file()}
    run(tmp_path / "a", resume=True)
    for name in ("w.weights", "mean.weights", "manifest.json"):
        (tmp_path / "a" / name).write_bytes(older[name])
    run(tmp_path / "a", resume=True)
    same_weights_and_logs(tmp_path / "a", whole)
