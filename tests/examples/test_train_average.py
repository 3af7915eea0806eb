"""``--ema-decay`` of train.py: the average is evaluated, saved and resumed."""

import numpy as np
import pytest
from programs import SMALL, STEPS, assert_same_run, losses_of, rows_of, run_here
from resnet18_cifar10.architecture import ResNetConfig, initialize
from resnet18_cifar10.example import NETWORK
from resnet18_cifar10.model import forward
from resnet18_cifar10.weights import load_weights
from tiny_cifar import write_tiny_cifar

from odyssey.data.cifar10 import load_cifar10
from odyssey.data.sets import make_eval_loader
from odyssey.training.evaluation import evaluate
from odyssey.training.recipe import Recipe
from odyssey.training.state import TrainingState
from odyssey.training.step import training_step
from odyssey.weights.checkpoint import load_newest_checkpoint

CONFIG = ResNetConfig(width=2, blocks=(1,))
RNG = np.random.default_rng(6)
X = RNG.standard_normal((4, 3, 8, 8)).astype(np.float32)
LABELS = np.array([1, 0, 2, 3])


def averages_and_values(steps, epochs_before=0, **changes):
    """Return the averages after some steps, and all tensors after each step."""
    state = TrainingState.fresh(*initialize(CONFIG, 1), averaged=True)
    state.epoch = epochs_before
    recipe = Recipe("net", "cifar10", "none", ema_decay=0.75, **changes)
    values = []
    for _ in range(steps):
        training_step(
            state, X, LABELS, 0.1, network=NETWORK, config=CONFIG, recipe=recipe
        )
        state.count_step(0.0, 0, 4)
        tensors = {**state.params, **state.running}
        values.append({name: t.astype(np.float64) for name, t in tensors.items()})
    return state.averages, values


def test_average_of_parameters_and_running_statistics():
    averages, (a, b, c) = averages_and_values(3)
    assert averages.keys() == a.keys() and "fc_bias" in averages
    assert any(name.endswith("running_var") for name in averages)
    for name, average in averages.items():
        wanted = 0.75 * (0.75 * a[name] + 0.25 * b[name]) + 0.25 * c[name]
        np.testing.assert_allclose(average, wanted, rtol=2e-6, atol=1e-7)
        assert (average != c[name]).any()


def test_during_the_warmup_it_is_a_copy():
    averages, values = averages_and_values(2, epochs_before=1, lr_warmup_epochs=2)
    for name, average in averages.items():
        np.testing.assert_array_equal(average, values[-1][name])
    averages, (a, b) = averages_and_values(2, epochs_before=2, lr_warmup_epochs=2)
    wanted = 0.75 * a["fc_bias"] + 0.25 * b["fc_bias"]
    np.testing.assert_allclose(averages["fc_bias"], wanted, rtol=2e-6, atol=1e-7)


@pytest.fixture
def train(tmp_path):
    """Run train.py in a folder within ``tmp_path`` with more options."""
    write_tiny_cifar(tmp_path / "data")

    def train(name, *more, status=0):
        places = ["--data-dir", tmp_path / "data", "--weights-dir", tmp_path / name]
        result = run_here("train", *places, *SMALL, *more)
        assert result.exit_code == status, result.output
        return result.output

    return train


def test_a_run_with_an_average(train, tmp_path):
    parts, whole, plain = (tmp_path / name for name in ("parts", "whole", "plain"))
    train("whole", "--ema-decay", 0.9)
    train("parts", "--ema-decay", 0.9, "--max-steps", STEPS + 3)
    assert "--ema-decay was 0.9, is 0.5" in train(
        *("parts", "--resume", "--ema-decay", 0.5), status=2
    )
    train("parts", "--model-ema-decay", 0.9, "--resume")  # torchvision's name
    assert_same_run(parts, whole)
    kept, other = (load_newest_checkpoint(d).tensors for d in (parts, whole))
    assert len(kept) == 62 + 40 + 62 + 102
    for name, tensor in kept.items():
        np.testing.assert_array_equal(tensor, other[name])

    # Training takes no notice; saved and evaluated is the average.
    train("plain")
    assert losses_of(plain) == losses_of(whole)
    assert rows_of(plain)[-1][:4] == rows_of(whole)[-1][:4]
    assert rows_of(plain)[-1][4] != rows_of(whole)[-1][4]
    saved = load_weights(whole)
    for name, tensor in {**saved.params, **saved.state}.items():
        np.testing.assert_array_equal(tensor, kept["ema." + name])
    test = load_cifar10(tmp_path / "data")
    result = evaluate(
        lambda x: forward(saved.params, saved.state, x, saved.config, False)[0],
        make_eval_loader(test.test_images, test.test_labels, 20).epoch(0),
    )
    assert float(rows_of(whole)[-1][4]) == pytest.approx(result.loss, rel=1e-4)


@pytest.mark.parametrize("decay", ["1", "-0.1", "nan"])
def test_wrong_decay(train, tmp_path, decay):
    assert "--ema-decay" in train("run", "--ema-decay", decay, status=2)
    assert not (tmp_path / "run").exists()
