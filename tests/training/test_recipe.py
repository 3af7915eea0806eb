import json
import math
from dataclasses import fields

import numpy as np
import pytest

from odyssey.training.learning_rate import LearningRate
from odyssey.training.recipe import Recipe, data_digest


def recipe(**changes):
    return Recipe("net", "cifar10", "a" * 64, {"width": 8}, **changes)


def test_recipe_comes_back_from_json_without_a_difference():
    saved = json.loads(json.dumps(recipe(lr=0.1 + 0.2, weight_decay=1e-17).to_dict()))
    assert recipe(lr=0.1 + 0.2, weight_decay=1e-17).differences(saved) == []


def test_every_difference_is_named_with_both_values():
    saved = recipe().to_dict()
    now = Recipe(
        "net", "synthetic", "b" * 64, {"width": 16}, lr=0.02, nesterov=True, seed=1
    )
    lines = " / ".join(now.differences({**saved, "later_option": 3}))
    for part in (
        "--lr was 0.01, is 0.02",
        "--nesterov was off, is on",
        "--seed was 0, is 1",
        "--width was 8, is 16",
        "--dataset was cifar10, is synthetic",
        "the training images (sha256) was aaaaaaaaaaaa, is bbbbbbbbbbbb",
        "--later-option was 3, is not given",
    ):
        assert part in lines
    assert len(now.differences(saved)) == 6


def test_a_norm_weight_decay_like_all_others_is_none_of_its_own():
    plain, same = (
        recipe(weight_decay=0.1),
        recipe(weight_decay=0.1, norm_weight_decay=0.1),
    )
    assert plain.differences(same.to_dict()) == []
    assert same.differences(plain.to_dict()) == []
    other = recipe(weight_decay=0.1, norm_weight_decay=0.2)
    (line,) = other.differences(same.to_dict())
    assert line == "--norm-weight-decay was not given, is 0.2"
    (line,) = recipe(weight_decay=0.3).differences(plain.to_dict())
    assert line == "--weight-decay was 0.1, is 0.3"


def test_epochs_may_differ():
    assert recipe(epochs=300).differences(recipe(epochs=200).to_dict()) == []


@pytest.mark.parametrize("scheduler", ["constant", "multistep", "cosine-restarts"])
def test_epochs_may_differ_where_the_rates_do_not_depend_on_them(scheduler):
    saved = recipe(epochs=200, lr_scheduler=scheduler).to_dict()
    assert recipe(epochs=300, lr_scheduler=scheduler).differences(saved) == []


@pytest.mark.parametrize("scheduler", ["cosine", "one-cycle"])
def test_epochs_may_not_differ_where_they_are_the_end_of_the_curve(scheduler):
    saved = recipe(epochs=200, lr_scheduler=scheduler).to_dict()
    assert recipe(epochs=200, lr_scheduler=scheduler).differences(saved) == []
    (line,) = recipe(epochs=300, lr_scheduler=scheduler).differences(saved)
    assert "--epochs was 200, is 300" in line
    assert f"--lr-scheduler {scheduler}" in line


def test_every_option_of_the_learning_rate_counts():
    other = {
        "lr": 0.02,
        "lr_scheduler": "constant",
        "lr_decay_epochs": 61,
        "lr_decay_factor": 0.3,
        "lr_milestones": (1, 2),
        "lr_gamma": 0.2,
        "lr_min": 0.001,
        "lr_restart_epochs": 3,
        "lr_restart_mult": 2,
        "lr_cycle_peak": 0.5,
        "lr_cycle_start": 0.1,
        "lr_warmup_epochs": 5,
        "lr_warmup_decay": 0.1,
    }
    assert {"epochs", *other} == {f.name for f in fields(LearningRate)}
    saved = json.loads(json.dumps(recipe(**other).to_dict()))
    assert recipe(**other).differences(saved) == []
    lines = recipe().differences(saved)
    assert len(lines) == len(other)
    assert "--lr-milestones was 1,2, is 100,150" in lines
    assert "--lr-scheduler was constant, is step" in lines


def test_where_a_run_began_does_not_count_later():
    begun = recipe(init_from="net.pth", init_sha256="a" * 64)
    assert begun.differences(recipe().to_dict()) == []
    assert recipe().differences(begun.to_dict()) == []
    with pytest.raises(TypeError, match="init_from must be text, got 3"):
        recipe(init_from=3)


def test_a_recipe_of_before_there_were_schedules_is_one_with_the_defaults():
    saved = {
        **{"model": "net", "dataset": "cifar10", "data_sha256": "a" * 64, "width": 8},
        **{"epochs": 200, "batch_size": 128, "lr": 0.01, "lr_decay_epochs": 60},
        **{"lr_decay_factor": 0.2, "momentum": 0.9, "nesterov": False},
        **{"weight_decay": 5e-4, "augment": True, "seed": 0, "val_split": 0},
        **{"limit_train": None, "limit_test": None},
    }
    assert recipe().differences(saved) == []
    assert recipe(epochs=300).differences(saved) == []
    (line,) = recipe(lr_scheduler="cosine-restarts").differences(saved)
    assert line == "--lr-scheduler was step, is cosine-restarts"
    (line,) = recipe(lr_warmup_epochs=5).differences(saved)
    assert line == "--lr-warmup-epochs was 0, is 5"
    (line,) = recipe(precision="bf16").differences(saved)
    assert line == "--precision was float32, is bf16"


@pytest.mark.parametrize(
    "name, value",
    [
        ("lr", 0.0),
        ("lr", math.nan),
        ("lr", math.inf),
        ("momentum", 1.0),
        ("weight_decay", -1e-9),
        ("lr_decay_factor", 0.0),
        ("lr_decay_epochs", 0),
        ("epochs", 0),
        ("batch_size", 0),
        ("limit_train", 0),
        ("seed", -1),
        ("norm_weight_decay", -1e-9),
        ("label_smoothing", 1.01),
        ("clip_grad_norm", 0.0),
        ("beta_lr_factor", -1.0),
        ("optimizer", "adam"),
        ("muon_lr", -0.1),
        ("muon_momentum", 1.0),
        ("muon_weight_decay", math.inf),
        ("muon_steps", 0),
        ("pad_mode", "edge"),
        ("flip", "sometimes"),
        ("precision", "float16"),
        ("cutout", -1),
        ("mixup_alpha", math.nan),
        ("cutmix_alpha", -0.1),
    ],
)
def test_values_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        recipe(**{name: value})


@pytest.mark.parametrize(
    "name, value",
    [
        ("lr", "1e-4"),
        ("epochs", 3.0),
        ("nesterov", 1),
        ("dataset", None),
        ("flip", ["none"]),
        ("precision", 16),
        ("optimizer", None),
        ("muon_rescale", 1),
        ("muon_steps", 3.0),
        ("randaugment", 2),
        ("randaugment", (2,)),
        ("randaugment", (2, "9")),
    ],
)
def test_values_of_another_type_are_refused_by_name(name, value):
    values = {"model": "net", "dataset": "cifar10", "data_sha256": "", name: value}
    with pytest.raises(TypeError, match=f"Recipe: {name} must be "):
        Recipe(**values)


def test_digest_tells_images_and_labels_but_not_memory_orders_apart():
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 6), dtype=np.uint8)
    labels = np.arange(4)
    digest = data_digest(images, labels)
    nhwc = np.ascontiguousarray(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert data_digest(nhwc, labels.astype(np.uint8)) == digest
    assert data_digest(images[::-1], labels) != digest
    assert data_digest(images, labels[::-1]) != digest
    assert data_digest(images.reshape(4, 3, 6, 5), labels) != digest
