"""The learning rates of a run: PyTorch's, those of before, and what is refused."""

import math
from pathlib import Path

import numpy as np
import pytest
from schedule_cases import CASES, fields_of

from odyssey.training.learning_rate import SCHEDULERS, SHAPES, LearningRate
from odyssey.training.recipe import Recipe

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "schedules.npz"


@pytest.mark.parametrize("name", CASES)
def test_same_rates_as_pytorch(name):
    steps_per_epoch, choice = CASES[name][0], LearningRate(**fields_of(name))
    with np.load(GOLDEN) as golden:
        expected = golden[name]
    assert len(expected) == choice.epochs * steps_per_epoch + 1
    rates = [choice.lr_at(s, steps_per_epoch) for s in range(len(expected))]
    # float64 both; PyTorch multiplies its way along, hence some last bits of lr, 0.3
    np.testing.assert_allclose(rates, expected, rtol=0, atol=1e-15)


def test_every_schedule_is_compared_with_pytorch():
    assert {fields_of(name)["lr_scheduler"] for name in CASES} == set(SCHEDULERS)


@pytest.mark.parametrize("changes", [{}, {"lr": 0.1, "lr_decay_epochs": 7}])
def test_rates_without_a_choice_are_those_of_before_to_the_last_bit(changes):
    recipe = Recipe("net", "cifar10", "a" * 64, **changes)
    lr, epochs = changes.get("lr", 0.01), changes.get("lr_decay_epochs", 60)
    for step in range(0, 200 * 391, 17):
        assert recipe.lr_at(step, 391) == lr * 0.2 ** (step // 391 // epochs)


def test_first_and_last_updates_on_both_sides_of_a_drop():
    recipe = Recipe("net", "cifar10", "a" * 64)
    rates = [recipe.lr_at(s, 391) for s in (0, 60 * 391 - 1, 60 * 391, 200 * 391 - 1)]
    assert rates == [0.01, 0.01, 0.01 * 0.2, 0.01 * 0.2**3]


def test_the_fields_that_shape_a_schedule_are_those_that_change_it():
    others = {
        "lr_decay_epochs": 3,
        "lr_decay_factor": 0.5,
        "lr_milestones": (2, 5),
        "lr_gamma": 0.5,
        "lr_min": 0.005,
        "lr_restart_epochs": 3,
        "lr_restart_mult": 2,
        "lr_cycle_peak": 0.5,
        "lr_cycle_start": 0.5,
    }
    common = {"epochs": 12, "lr_milestones": (4,), "lr_restart_epochs": 2}
    common["lr_decay_epochs"] = 5
    for name, shape in SHAPES.items():

        def rates(changes, name=name):
            choice = LearningRate(**common | {"lr_scheduler": name} | changes)
            return [choice.lr_at(step, 4) for step in range(48)]

        usual = rates({})
        changing = {f for f, v in others.items() if rates({f: v}) != usual}
        assert changing == set(shape), name


def test_default_milestones():
    choice = LearningRate(lr=0.1, lr_scheduler="multistep")
    rates = [choice.lr_at(s, 391) for s in (0, 39099, 39100, 58649, 58650, 78199)]
    assert rates == [0.1, 0.1, 0.1 * 0.1, 0.1 * 0.1, 0.1 * 0.1**2, 0.1 * 0.1**2]


def test_cosine_ends_with_the_run_and_warmup_comes_before_it():
    cosine = LearningRate(epochs=10, lr=0.4, lr_scheduler="cosine")
    assert [cosine.lr_at(s, 4) for s in (0, 40)] == [0.4, 0.0]
    assert cosine.lr_at(20, 4) == pytest.approx(0.2, rel=1e-15)
    assert 0 < cosine.lr_at(39, 4) < 0.001
    warm = LearningRate(epochs=10, lr=0.4, lr_scheduler="cosine", lr_warmup_epochs=2)
    assert [warm.lr_at(s, 4) for s in (0, 8, 40)] == [0.01 * 0.4, 0.4, 0.0]
    # halfway from 0.01 to 1; halfway from epoch 2 to epoch 10
    assert warm.lr_at(4, 4) == pytest.approx(0.505 * 0.4, rel=1e-15)
    assert warm.lr_at(24, 4) == pytest.approx(0.2, rel=1e-15)


def test_restarts_begin_with_an_epoch_that_warmup_puts_off():
    options = {"lr_scheduler": "cosine-restarts", "lr_restart_epochs": 1}
    choice = LearningRate(epochs=9, lr_restart_mult=2, **options)
    assert [s for s in range(24) if choice.lr_at(s, 3) == 0.01] == [0, 3, 9, 21]
    warm = LearningRate(epochs=9, lr_restart_mult=2, lr_warmup_epochs=1, **options)
    assert [s for s in range(25) if warm.lr_at(s, 3) == 0.01] == [3, 6, 12, 24]


def test_drops_stay_at_their_epochs_under_warmup():
    choice = LearningRate(lr=1.0, lr_decay_epochs=2, lr_warmup_epochs=3)
    rates = [choice.lr_at(s, 1) for s in range(5)]
    expected = [0.01, 0.34, 0.67 * 0.2, 0.2, 0.2**2]
    assert rates == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("scheduler", sorted(set(SCHEDULERS) - {"one-cycle"}))
def test_no_warmup_is_the_same_as_warmup_from_the_full_rate(scheduler):
    plain = LearningRate(epochs=6, lr_scheduler=scheduler, lr_warmup_decay=0.0)
    assert plain.lr_at(0, 5) == 0.01
    if scheduler in ("constant", "step", "multistep"):
        full = LearningRate(
            epochs=6, lr_scheduler=scheduler, lr_warmup_epochs=3, lr_warmup_decay=1.0
        )
        assert all(full.lr_at(s, 5) == plain.lr_at(s, 5) for s in range(30))


@pytest.mark.parametrize(
    "name, value",
    [
        ("lr", 0.0),
        ("lr_scheduler", "linear"),
        ("lr_decay_epochs", 0),
        ("lr_milestones", (5, 4)),
        ("lr_gamma", 0.0),
        ("lr_gamma", 1.5),
        ("lr_min", -0.001),
        ("lr_min", 0.02),  # more than lr
        ("lr_min", math.nan),
        ("lr_restart_epochs", 0),
        ("lr_restart_mult", 0),
        ("lr_cycle_peak", 1.1),
        ("lr_cycle_start", -0.1),
        ("lr_warmup_epochs", -1),
        ("lr_warmup_decay", 1.1),
    ],
)
def test_values_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"^LearningRate: {name} must"):
        LearningRate(**{name: value})


def test_types():
    for name, value in [
        ("epochs", 1.5),
        ("lr_restart_mult", 2.0),
        ("lr_milestones", "12"),
        ("lr_warmup_epochs", True),
        ("lr_min", None),
    ]:
        with pytest.raises(TypeError, match=f"^LearningRate: {name} must"):
            LearningRate(**{name: value})
    for step, steps_per_epoch in ((1.0, 5), (0, 5.0)):
        with pytest.raises(TypeError, match="lr_at: step"):
            LearningRate().lr_at(step, steps_per_epoch)
    for step, steps_per_epoch in ((-1, 5), (0, 0)):
        with pytest.raises(ValueError, match="lr_at: step"):
            LearningRate().lr_at(step, steps_per_epoch)


def test_what_does_not_go_together():
    LearningRate(epochs=3, lr_scheduler="cosine", lr_warmup_epochs=2)
    with pytest.raises(ValueError, match="lr_warmup_epochs must be less than epochs"):
        LearningRate(epochs=3, lr_scheduler="cosine", lr_warmup_epochs=3)
    with pytest.raises(ValueError, match="lr_warmup_epochs must be 0 with one-cycle"):
        LearningRate(lr_scheduler="one-cycle", lr_warmup_epochs=1)
    LearningRate(epochs=3, lr_warmup_epochs=3)
