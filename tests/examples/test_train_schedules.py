"""The options of the learning rate in train.py."""

import json
import math

import pytest
from programs import STEPS, losses_of

from odyssey.cli.lr_options import ALIASES
from odyssey.training.recipe import Recipe
from odyssey.weights.checkpoint import load_newest_checkpoint


def test_cosine_from_option_to_log_and_on(train, tmp_path):
    options = ["--lr-scheduler", "cosineannealinglr", "--lr-min", 0.01]
    train(*options, "--max-steps", STEPS + 2)
    output = train(*options, "--resume", "--epochs", 3, status=2)
    assert "--epochs was 2, is 3" in output and "--lr-scheduler cosine" in output
    train(*options, "--resume")
    rates = [json.loads(line)["lr"] for line in losses_of(tmp_path / "run")]
    waves = [(1 + math.cos(math.pi * s / (2 * STEPS))) / 2 for s in range(2 * STEPS)]
    assert rates == pytest.approx([0.01 + 0.04 * w for w in waves], rel=1e-14)


def test_every_option_reaches_the_recipe(train, tmp_path):
    options = {
        "lr_scheduler": "multistep",
        "lr_decay_epochs": 3,
        "lr_decay_factor": 0.3,
        "lr_milestones": [1, 7],
        "lr_gamma": 0.5,
        "lr_min": 0.001,
        "lr_restart_epochs": 5,
        "lr_restart_mult": 2,
        "lr_cycle_peak": 0.25,
        "lr_cycle_start": 0.125,
        "lr_warmup_epochs": 1,
        "lr_warmup_decay": 0.2,
    }
    given = []
    for name, value in options.items():
        text = ",".join(map(str, value)) if isinstance(value, list) else value
        given += ["--" + name.replace("_", "-"), text]
    train(*given, "--max-steps", 1)
    saved = load_newest_checkpoint(tmp_path / "run").metadata["recipe"]
    assert {name: saved[name] for name in options} == options
    step = json.loads(losses_of(tmp_path / "run")[0])
    assert step["lr"] == pytest.approx(0.2 * 0.05, rel=1e-15)


def test_defaults_are_those_of_the_recipe():
    from resnet18_cifar10.train import main

    recipe = Recipe("net", "cifar10", "none").to_dict()
    context = main.make_context("train", [])
    for name, value in recipe.items():
        if name.startswith("lr") or name == "epochs":
            given = context.params[name]
            assert (list(given) if isinstance(given, tuple) else given) == value, name


def test_names_of_pytorchs_scripts():
    from resnet18_cifar10.train import main

    for theirs, ours in ALIASES.items():
        context = main.make_context("train", ["--lr-scheduler", theirs])
        assert context.params["lr_scheduler"] == ours
    context = main.make_context("train", ["--lr-steps", "3,8"])
    assert context.params["lr_milestones"] == (3, 8)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--lr-scheduler", "linear"], "--lr-scheduler"),
        (["--lr-milestones", "5,4"], "5,4 is not in increasing order"),
        (["--lr-milestones", "0,4"], "--lr-milestones"),
        (["--lr-milestones", "4.5"], "--lr-milestones"),
        (["--lr-gamma", "nan"], "--lr-gamma"),
        (["--lr-gamma", "0"], "--lr-gamma"),
        (["--lr-min", "inf"], "--lr-min"),
        (["--lr-min", "0.06"], "--lr-min must be a finite number in [0, 0.05]"),
        (["--lr-restart-epochs", "0"], "--lr-restart-epochs"),
        (["--lr-restart-mult", "0"], "--lr-restart-mult"),
        (["--lr-cycle-peak", "1.5"], "--lr-cycle-peak"),
        (["--lr-cycle-start", "-1"], "--lr-cycle-start"),
        (["--lr-warmup-epochs", "-1"], "--lr-warmup-epochs"),
        (["--lr-warmup-decay", "2"], "--lr-warmup-decay"),
        (["--lr-scheduler", "cosine", "--lr-warmup-epochs", "2"], "less than epochs"),
        (["--lr-scheduler", "one-cycle", "--lr-warmup-epochs", "1"], "must be 0 with"),
    ],
)
def test_wrong_options_are_refused_by_name(train, tmp_path, options, message):
    assert message in train(*options, status=2)
    assert not (tmp_path / "run").exists()
