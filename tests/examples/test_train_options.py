"""The options of data, loss and update in train.py: where they arrive, what they do."""

import json
from dataclasses import fields

import numpy as np
import pytest
from programs import STEPS, assert_same_run, rows_of
from resnet18_cifar10.architecture import ResNetConfig, initialize
from resnet18_cifar10.example import NETWORK
from resnet18_cifar10.model import forward
from resnet18_cifar10.weights import load_weights

from odyssey.cli.data_options import loader_options
from odyssey.data.cifar10 import load_cifar10
from odyssey.data.loader import BatchLoader
from odyssey.data.sets import make_eval_loader, make_train_loader
from odyssey.training.recipe import Recipe
from odyssey.training.state import TrainingState
from odyssey.training.step import training_step
from odyssey.weights.checkpoint import load_newest_checkpoint

#: What the recipe says for each option given, none of it the default; these are of
#: the loss and the update.
UPDATE = {
    "label_smoothing": 0.1,
    "clip_grad_norm": 0.5,
    "norm_weight_decay": 0.0,
    "ema_decay": 0.75,
    "beta_lr_factor": 8.0,
    "optimizer": "muon",
    "muon_lr": 0.1,
    "muon_momentum": 0.6,
    "muon_weight_decay": 0.1,
    "muon_steps": 3,
    "muon_rescale": True,
}
CHOICES = {
    "pad_mode": "reflect",
    "flip": "alternating",
    "cutout": 5,
    "randaugment": [1, 4],
    "mixup_alpha": 0.4,
    "cutmix_alpha": 1.0,
    **UPDATE,
}
RNG = np.random.default_rng(5)
X = RNG.standard_normal((4, 3, 8, 8)).astype(np.float32)
LABELS = np.array([3, 0, 9, 3])
MIXED = RNG.dirichlet(np.ones(10), 4).astype(np.float32)
CONFIG = ResNetConfig(width=2, blocks=(1,))


def given(choices):
    words = []
    for name, value in choices.items():
        values = value if isinstance(value, list) else [value]
        words += ["--" + name.replace("_", "-")]
        words += [] if value is True else values
    return words


def recipe(**changes):
    return Recipe("net", "cifar10", "none", **changes)


def one_step(labels=LABELS, lr=0.1, **changes):
    """Return the state after a step from the same beginning, and what it reports."""
    state = TrainingState.fresh(*initialize(CONFIG, 1))
    made = recipe(**{"weight_decay": 0.0, **changes})
    result = training_step(
        state, X, labels, lr, network=NETWORK, config=CONFIG, recipe=made
    )
    return state, result


def test_all_options_at_once_and_on_to_the_same_bits(train, data, tmp_path):
    run, whole = tmp_path / "run", tmp_path / "whole"
    options = given(CHOICES)
    output = train(*options, "--max-steps", STEPS + 3, "--log-interval", 1)
    saved = load_newest_checkpoint(run).metadata["recipe"]
    assert {name: saved[name] for name in CHOICES} == CHOICES
    refusal = train(*options[2:], "--resume", status=2)  # another --pad-mode
    assert "--pad-mode was reflect, is zero" in refusal
    train(*options, "--resume")
    train(*options, weights_dir=whole)
    assert_same_run(run, whole)
    # The log says what its accuracy is of; the share of a class is no multiple of 1/N.
    assert output.count("% of mixed labels, ") == STEPS + 3 + 2
    accuracy = float(rows_of(run)[-1][3]) * 100
    assert 0 < accuracy < 100 and abs(accuracy - round(accuracy)) > 1e-6


def test_evaluation_knows_nothing_of_smoothing(train, data, tmp_path):
    run = tmp_path / "run"
    output = train("--label-smoothing", 0.5, "--max-steps", 3)
    assert "mixed" not in output
    weights = load_weights(run)
    test = load_cifar10(data)
    x, labels = next(make_eval_loader(test.test_images, test.test_labels, 20).epoch(0))
    logits = forward(weights.params, weights.state, x, weights.config, False)[0]
    logits = logits.astype(np.float64)
    nll = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(20), labels]
    assert float(rows_of(run)[-1][4]) == pytest.approx(nll.mean(), rel=1e-4)


def test_options_reach_the_loader():
    images = RNG.integers(0, 256, (24, 3, 32, 32), dtype=np.uint8)
    labels = RNG.integers(0, 10, 24)
    choices = {name: CHOICES[name] for name in CHOICES.keys() - UPDATE.keys()}
    made = recipe(seed=3, **choices)

    def batch(recipe):
        options = loader_options(recipe)
        loader = make_train_loader(images, labels, 8, num_classes=10, **options)
        return list(loader.epoch(1))[1]

    ops, magnitude = choices.pop("randaugment")
    choices |= {"randaugment_ops": ops, "randaugment_magnitude": magnitude}
    wanted = BatchLoader(
        images, labels, 8, seed=3, augment=True, num_classes=10, **choices
    )
    for ours, theirs in zip(batch(made), list(wanted.epoch(1))[1], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    plain = BatchLoader(images, labels, 8, seed=3, augment=True)
    for ours, theirs in zip(
        batch(recipe(seed=3)), list(plain.epoch(1))[1], strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_norm_weight_decay_is_that_of_gamma_beta_and_biases():
    before, _ = initialize(CONFIG, 1)
    bare, _ = one_step()
    same, _ = one_step(weight_decay=0.25)
    apart, _ = one_step(weight_decay=0.25, norm_weight_decay=0.0625)
    assert {n.rsplit("_", 1)[1] for n, p in before.items() if p.ndim == 1} == {
        *("gamma", "beta", "bias")
    }
    for name, param in before.items():  # velocity is gradient + decay * param
        for state, decay in (
            (same, 0.25),
            (apart, 0.0625 if param.ndim == 1 else 0.25),
        ):
            extra = state.velocities[name] - bare.velocities[name]
            np.testing.assert_allclose(extra, decay * param, rtol=1e-4, atol=1e-6)


def test_clipping_is_of_all_gradients_together():
    free, result = one_step()
    norm = result.grad_norm
    assert norm > 0.5
    clipped, result = one_step(clip_grad_norm=0.5)
    assert result.grad_norm == norm  # reported as it was
    for name, velocity in clipped.velocities.items():
        np.testing.assert_allclose(
            velocity, free.velocities[name] * (0.5 / norm), rtol=1e-5, atol=1e-9
        )
    generous, _ = one_step(clip_grad_norm=2 * norm)
    for name, velocity in generous.velocities.items():
        np.testing.assert_array_equal(velocity, free.velocities[name])


@pytest.mark.parametrize("labels", [LABELS, MIXED], ids=["whole", "mixed"])
def test_loss_and_gradient_of_smoothed_labels(labels):
    params, running = initialize(CONFIG, 1)
    logits = forward(params, running, X, CONFIG, True)[0].astype(np.float64)
    q = labels if labels.ndim == 2 else np.eye(10)[labels]
    q = 0.8 * q + 0.2 / 10
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    state, result = one_step(labels, label_smoothing=0.2)
    assert result.loss == pytest.approx(-(q * log_p).sum(axis=1).mean(), rel=1e-6)
    grad_bias = (np.exp(log_p) - q).mean(axis=0)
    np.testing.assert_allclose(
        state.velocities["fc_bias"], grad_bias, rtol=1e-4, atol=1e-7
    )


def test_accuracy_of_mixed_labels_is_the_share_of_the_predicted_class():
    params, running = initialize(CONFIG, 1)
    predicted = forward(params, running, X, CONFIG, True)[0].argmax(axis=1)
    _, result = one_step(MIXED)
    shares = [float(MIXED[n, k]) for n, k in enumerate(predicted)]
    assert result.correct == pytest.approx(sum(shares), rel=1e-12)
    _, result = one_step(predicted)
    assert result.correct == 4 and isinstance(result.correct, int)


def test_defaults_are_those_of_the_recipe():
    from resnet18_cifar10.train import main

    params = main.make_context("train", []).params
    names = {f.name for f in fields(Recipe)} & params.keys() - {"model", "dataset"}
    assert names >= CHOICES.keys() | {"augment", "momentum", "weight_decay"}
    for name in names:
        assert params[name] == getattr(Recipe, name), name


def test_a_recipe_of_before_these_options_is_one_with_the_defaults():
    new = recipe().to_dict()
    old = {name: value for name, value in new.items() if name not in CHOICES}
    assert recipe().differences(json.loads(json.dumps(old))) == []
    for name, value in CHOICES.items():
        value = tuple(value) if isinstance(value, list) else value
        (line,) = recipe(**{name: value}).differences(old)
        assert line.startswith("--" + name.replace("_", "-") + " was ")


@pytest.mark.parametrize(
    "options, message",
    [
        (["--pad-mode", "edge"], "--pad-mode"),
        (["--flip", "always"], "--flip"),
        (["--cutout", "-1"], "--cutout"),
        (["--randaugment", "2", "31"], "--randaugment"),
        (["--mixup-alpha", "nan"], "--mixup-alpha"),
        (["--cutmix-alpha", "-0.1"], "--cutmix-alpha"),
        (["--label-smoothing", "1.1"], "--label-smoothing"),
        (["--clip-grad-norm", "0"], "--clip-grad-norm"),
        (["--norm-weight-decay", "inf"], "--norm-weight-decay"),
        (["--optimizer", "adam"], "--optimizer"),
        (["--muon-lr", "-1"], "--muon-lr"),
        (["--muon-momentum", "1"], "--muon-momentum"),
        (["--muon-steps", "0"], "--muon-steps"),
        (["--beta-lr-factor", "nan"], "--beta-lr-factor"),
        (["--no-augment", "--cutout", "8"], "excludes --cutout"),
        (["--no-augment", "--randaugment", "1", "9"], "--randaugment"),
    ],
)
def test_wrong_options_are_refused_by_name(train, tmp_path, options, message):
    assert message in train(*options, status=2)
    assert not (tmp_path / "run").exists()
