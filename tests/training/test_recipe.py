import json
import math

import numpy as np
import pytest

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


def test_epochs_may_differ():
    assert recipe(epochs=300).differences(recipe(epochs=200).to_dict()) == []


@pytest.mark.parametrize("epoch, drops", [(0, 0), (59, 0), (60, 1), (119, 1), (120, 2)])
def test_rate_on_both_sides_of_a_drop(epoch, drops):
    assert recipe().lr_at(epoch) == 0.01 * 0.2**drops


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
    ],
)
def test_values_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        recipe(**{name: value})


def test_digest_tells_images_and_labels_but_not_memory_orders_apart():
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 6), dtype=np.uint8)
    labels = np.arange(4)
    digest = data_digest(images, labels)
    nhwc = np.ascontiguousarray(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert data_digest(nhwc, labels.astype(np.uint8)) == digest
    assert data_digest(images[::-1], labels) != digest
    assert data_digest(images, labels[::-1]) != digest
    assert data_digest(images.reshape(4, 3, 6, 5), labels) != digest
