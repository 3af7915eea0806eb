"""What a manifest says of the data that a model learnt from."""

import json

import numpy as np
import pytest

from odyssey.data.cifar100 import CIFAR100_CLASSES, CIFAR100_MEAN, CIFAR100_STD
from odyssey.data.dataset import (
    CIFAR10_CLASSES,
    CIFAR10_MEAN,
    CIFAR10_STD,
    Dataset,
)
from odyssey.data.synthetic import make_synthetic
from odyssey.errors import InputError
from odyssey.training.origin import origin_metadata, origin_of


def test_nothing_is_added_to_what_manifests_of_cifar10_always_had():
    data = make_synthetic(1, 1)
    classes = list(data.class_names)
    metadata = {"dataset": "synthetic", "classes": classes}
    assert origin_metadata("synthetic", data) == metadata
    found = origin_of(metadata, 10, "w")
    assert found == (
        "synthetic",
        classes,
        CIFAR10_MEAN,
        CIFAR10_STD,
        (3, 32, 32),
        "stretch",
    )


def test_what_is_not_cifar10s_comes_back():
    images = np.zeros((1, 1, 28, 30), np.uint8)
    data = Dataset(images, [0], images, [0], ("a", "b"), (0.25,), (0.5,))
    metadata = json.loads(json.dumps(origin_metadata("mine", data)))
    expected = ("mine", ["a", "b"], (0.25,), (0.5,), (1, 28, 30), "stretch")
    assert origin_of(metadata, 2, "w") == expected


@pytest.mark.parametrize(
    "metadata, num_classes, expected",
    [
        ({}, 10, (None, list(CIFAR10_CLASSES), CIFAR10_MEAN, CIFAR10_STD)),
        ({}, 12, (None, [], CIFAR10_MEAN, CIFAR10_STD)),
        (
            {"dataset": "cifar100"},
            100,
            ("cifar100", list(CIFAR100_CLASSES), CIFAR100_MEAN, CIFAR100_STD),
        ),
        (
            {"dataset": "cifar100", "classes": ["x"] * 101},
            100,
            ("cifar100", [], CIFAR100_MEAN, CIFAR100_STD),
        ),
        ({"dataset": ["odd"], "classes": []}, 3, (["odd"], [], CIFAR10_MEAN, None)),
    ],
)
def test_what_is_missing_is_that_of_the_data_set_named(metadata, num_classes, expected):
    found = origin_of(metadata, num_classes, "w")
    assert found[:3] == expected[:3]
    assert found.std == (expected[3] or CIFAR10_STD)
    assert found.image_shape == (3, 32, 32)


@pytest.mark.parametrize(
    "name, value",
    [
        ("classes", "abc"),
        ("classes", [1, 2]),
        ("classes", ["a\nb"]),
        ("image_fit", "squeeze"),
        ("image_fit", ["crop"]),
        ("mean", 0.5),
        ("mean", [0.5, 0.5]),
        ("mean", [0.5, 0.5, "0.5"]),
        ("mean", [0.5, 0.5, True]),
        ("mean", [0.5, 0.5, float("nan")]),
        ("std", [0.5, 0.5, 0]),
        ("std", [0.5, 0.5, float("inf")]),
        ("std", {}),
        ("image_shape", [3, 32]),
        ("image_shape", [3, 32, 0]),
        ("image_shape", [3, 32, 32.0]),
        ("image_shape", [3, 10**9, 32]),
        ("image_shape", 32),
    ],
)
def test_damaged_manifests(name, value):
    with pytest.raises(InputError, match=f"^folder: bad {name} in the manifest$"):
        origin_of({name: value}, 10, "folder")


def test_statistics_are_those_of_as_many_channels():
    with pytest.raises(InputError, match=r"^w: bad mean in the manifest$"):
        origin_of({"image_shape": [1, 28, 28]}, 10, "w")
