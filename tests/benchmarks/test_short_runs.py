"""short_runs.py: that it trains what it says, by train.py's own step, and can fail."""

import click
import pytest
import short_runs
from click.testing import CliRunner
from resnet18_cifar10.architecture import MODELS

from odyssey.training.model import StepResult

QUICK = "--width 4 --threads 1 --batch-size 16 --lr 0.05".split()


def run(data_dir, *words):
    words = map(str, ["--data-dir", data_dir, *QUICK, *words])
    return CliRunner().invoke(short_runs.main, list(words))


def test_each_model_has_two_kinds_and_two_one_without_norm():
    kinds = dict(short_runs.kinds(MODELS))
    assert len(kinds) == 2 * 9 + 2
    assert kinds["resnet101 v2"] == ["--model", "resnet101", "--pre-activation"]
    assert kinds["resnet20 no norm"] == ["--model", "resnet20", "--no-normalize"]
    assert short_runs.usual_steps("resnet101") < short_runs.usual_steps("resnet110")


def test_real_images_bring_the_loss_of_small_networks_down(cifar10_dir):
    result = run(cifar10_dir, "--models", "resnet20,resnet18", "--steps", 30)
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines()[3:]]
    assert [row[0] for row in rows] == 3 * ["resnet20"] + 3 * ["resnet18"]
    for row in rows:
        steps, first, last, fell_by = map(float, row[-4:])
        assert steps == 30 and first > last and fell_by > 0
        assert first - last == pytest.approx(fell_by, abs=0.0011)


@pytest.mark.parametrize("losses, status", [([3, 2], 0), ([2, 3], 1), ([2, 2], 1)])
def test_the_status_says_whether_losses_fell(
    make_tiny_cifar, tmp_path, monkeypatch, losses, status
):
    make_tiny_cifar(tmp_path)
    seen = []

    def step(state, x, labels, lr, *, network, config, recipe):
        seen.append((state.step, len(x), lr, config.pre_activation, recipe.augment))
        return StepResult(float(losses[state.step >= 5]), 0, 0.0)

    monkeypatch.setattr(short_runs, "training_step", step)
    result = run(tmp_path, "--models", "resnet20", "--steps", 10, "--limit-train", 40)
    assert result.exit_code == status, result.output
    assert len(seen) == 30  # 40 images are three batches: the epochs go on
    assert seen[2] == (2, 8, 0.05, False, True) and seen[3][:2] == (3, 16)
    assert [row[3] for row in seen[::10]] == [False, True, False]
    assert ("did not fall: resnet20, resnet20 v2" in result.output) == bool(status)


@pytest.mark.parametrize(
    "words, named",
    [
        (["--models", "resnet20,resnet21"], "no resnet21"),
        (["--steps", 9], "--steps"),
        (["--no-such-option"], "--no-such-option"),
        (["--data-dir", "nowhere"], "nowhere"),
    ],
)
def test_wrong_options(tmp_path, words, named):
    result = run(tmp_path, *words)
    assert result.exit_code == 2 and named in result.output
    assert isinstance(result.exception, SystemExit | click.ClickException)
