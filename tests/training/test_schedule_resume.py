"""Learning rates that change at every update, logged and taken up again exactly."""

import csv
import json
import os
import signal

import pytest
from standin import losses, metrics, recipe, run, train_step

from odyssey.errors import InputError, Interrupted, NonFiniteError
from odyssey.training.recipe import Recipe
from odyssey.weights.checkpoint import load_newest_checkpoint

COSINE = {"lr_scheduler": "cosine", "lr_warmup_epochs": 1}
CYCLE = {"lr_scheduler": "one-cycle"}
RESTARTS = {"lr_scheduler": "cosine-restarts", "lr_restart_epochs": 1}
STEPS = 5  # of an epoch; a run has 3


@pytest.mark.parametrize("changes", [COSINE, CYCLE, RESTARTS, {}])
def test_logs_hold_the_rate_of_each_update(tmp_path, changes):
    used = []

    def step(state, x, labels, lr):
        used.append(lr)
        return train_step(state, x, labels, lr)

    run(tmp_path, changes=changes, step=step)
    expected = [recipe(**changes).lr_at(s, STEPS) for s in range(3 * STEPS)]
    assert used[1:] == expected  # the first was compiling ahead, with a copy
    assert [json.loads(line)["lr"] for line in losses(tmp_path)] == expected
    with open(tmp_path / "metrics.csv") as file:
        rows = [float(row["lr"]) for row in csv.DictReader(file)]
    assert rows == expected[STEPS - 1 :: STEPS]  # of each epoch's last update


@pytest.mark.parametrize("changes", [COSINE, CYCLE, RESTARTS])
@pytest.mark.parametrize("limits", [(3, 5, 7), (5, 6, 10)])
def test_a_run_in_parts_is_the_same_run(tmp_path, changes, limits):
    run(tmp_path / "whole", changes=changes)
    for i, limit in enumerate(limits):
        run(tmp_path / "parts", changes=changes, resume=i > 0, max_steps=limit)
        row = metrics(tmp_path / "parts")[-1]
        assert float(row[1]) == recipe(**changes).lr_at(limit - 1, STEPS)
    run(tmp_path / "parts", changes=changes, resume=True)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert metrics(tmp_path / "parts") == metrics(tmp_path / "whole")


def test_a_row_that_an_interrupted_run_still_owed_has_the_rate_of_its_epoch(tmp_path):
    def hook(trainer):
        def predictor(state, real=trainer.model.predictor):
            if state.epoch == 1:
                os.kill(os.getpid(), signal.SIGINT)
            return real(state)

        trainer.model = trainer.model._replace(predictor=predictor)
        trainer.warm_up = lambda: None

    with pytest.raises(Interrupted):
        run(tmp_path / "stopped", changes=COSINE, hook=hook)
    assert len(metrics(tmp_path / "stopped")) == 2  # the header and the first epoch
    run(tmp_path / "stopped", changes=COSINE, resume=True)
    run(tmp_path / "whole", changes=COSINE)
    assert metrics(tmp_path / "stopped") == metrics(tmp_path / "whole")


def test_more_epochs_where_the_rates_do_not_depend_on_them(tmp_path):
    run(tmp_path / "a", changes={**RESTARTS, "epochs": 2})
    run(tmp_path / "a", changes=RESTARTS, resume=True)
    run(tmp_path / "b", changes=RESTARTS)
    assert losses(tmp_path / "a") == losses(tmp_path / "b")


@pytest.mark.parametrize("changes", [COSINE, CYCLE])
@pytest.mark.parametrize("epochs", [2, 4])
def test_other_epochs_are_refused_where_they_do(tmp_path, changes, epochs):
    run(tmp_path, changes=changes, max_steps=6)
    before = losses(tmp_path)
    with pytest.raises(InputError, match=f"--epochs was 3, is {epochs}, and the learn"):
        run(tmp_path, changes={**changes, "epochs": epochs}, resume=True)
    assert losses(tmp_path) == before
    run(tmp_path, changes=changes, resume=True)
    assert len(losses(tmp_path)) == 3 * STEPS


def test_a_checkpoint_of_before_there_were_schedules(tmp_path, monkeypatch):
    run(tmp_path / "whole")
    with monkeypatch.context() as patch:
        new = ("lr_scheduler", "lr_milestones", "lr_gamma", "lr_min", "lr_restart_")
        new += ("lr_cycle_", "lr_warmup_")
        now = Recipe.to_dict

        def as_then(self):
            return {k: v for k, v in now(self).items() if not k.startswith(new)}

        patch.setattr(Recipe, "to_dict", as_then)
        run(tmp_path / "old", max_steps=7)
    saved = load_newest_checkpoint(tmp_path / "old").metadata["recipe"]
    assert {n for n in saved if n.startswith("lr")} == {
        "lr",
        "lr_decay_epochs",
        "lr_decay_factor",
    }
    with pytest.raises(InputError, match="--lr-scheduler was step, is cosine"):
        run(tmp_path / "old", changes={"lr_scheduler": "cosine"}, resume=True)
    run(tmp_path / "old", resume=True)
    assert losses(tmp_path / "old") == losses(tmp_path / "whole")


def test_a_loss_that_is_not_finite_is_told_with_the_rate_of_its_update(tmp_path):
    def spoilt(state, x, labels, lr):
        if state.step == 7:
            raise NonFiniteError("loss nan")
        return train_step(state, x, labels, lr)

    rate = recipe(**CYCLE).lr_at(7, STEPS)
    with pytest.raises(NonFiniteError, match=f"lr {rate:g}\\)"):
        run(tmp_path, changes=CYCLE, step=spoilt)
