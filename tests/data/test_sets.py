"""Data sets by name, images for validation, and loaders."""

import numpy as np
import pytest

from odyssey.cli.data_options import load_or_advise
from odyssey.data import sets, synthetic
from odyssey.data.dataset import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 32, 32, 3), dtype=np.uint8)
IMAGES = IMAGES.transpose(0, 3, 1, 2)
LABELS = np.arange(50)


def test_load_dataset_reads_cifar10(tiny_cifar_dir):
    data = sets.load_dataset("cifar10", tiny_cifar_dir)
    assert data.train_images.shape == (100, 3, 32, 32)
    assert data.test_images.shape == (20, 3, 32, 32)


def test_the_synthetic_set_is_drawn_no_further_than_needed(monkeypatch):
    drawn = []
    monkeypatch.setattr(synthetic, "make_synthetic", lambda *n: drawn.append(n))
    sets.load_dataset("synthetic", "", limit_train=70, limit_test=15)
    sets.load_dataset("synthetic", "", limit_test=3_000)
    assert drawn == [(70, 15), (10_000, 2_000)]


def test_load_dataset_says_what_is_missing(tmp_path):
    with pytest.raises(DataError, match=f"^{tmp_path / 'none'}: no such folder$"):
        sets.load_dataset("cifar10", tmp_path / "none")


def test_programs_say_how_to_get_the_data(tmp_path):
    with pytest.raises(DataError, match=f"--data-dir {tmp_path / 'none'}"):
        load_or_advise("cifar10", tmp_path / "none")


def test_load_dataset_knows_its_sets():
    with pytest.raises(ValueError, match="mnist"):
        sets.load_dataset("mnist", "")


def test_validation_images_are_set_apart_for_good():
    train, train_labels, val, val_labels = sets.split_validation(
        IMAGES, LABELS, 10, seed=3
    )
    assert len(val) == 10 and len(train) == 40
    assert sorted([*train_labels, *val_labels]) == list(range(50))
    np.testing.assert_array_equal(train, IMAGES[train_labels])
    np.testing.assert_array_equal(val, IMAGES[val_labels])
    assert train.transpose(0, 2, 3, 1).flags.c_contiguous
    again = sets.split_validation(IMAGES, LABELS, 10, seed=3)
    np.testing.assert_array_equal(again[3], val_labels)
    other = sets.split_validation(IMAGES, LABELS, 10, seed=4)
    assert set(other[3]) != set(val_labels)
    more = sets.split_validation(IMAGES, LABELS, 20, seed=3)
    assert set(more[3]) > set(val_labels)


def test_no_validation_leaves_all_images_to_training():
    train, train_labels, val, val_labels = sets.split_validation(
        IMAGES, LABELS, 0, seed=3
    )
    assert train is IMAGES and train_labels is LABELS
    assert len(val) == len(val_labels) == 0


@pytest.mark.parametrize("n", [-1, 50, 51])
def test_a_split_leaves_something_to_train_on(n):
    with pytest.raises(ValueError, match="split_validation: n must be"):
        sets.split_validation(IMAGES, LABELS, n, seed=0)


def test_loaders_for_training_and_evaluation():
    train = sets.make_train_loader(IMAGES, LABELS, 20, seed=1)
    test = sets.make_eval_loader(IMAGES, LABELS, 20)
    x, labels = next(train.epoch(0))
    plain = np.concatenate([x for x, _ in test.epoch(0)])
    order = np.concatenate([labels for _, labels in test.epoch(0)])
    assert order.tolist() == LABELS.tolist() != labels.tolist()
    assert not np.array_equal(x, plain[labels])
    x, labels = next(
        sets.make_train_loader(IMAGES, LABELS, 20, seed=1, augment=False).epoch(0)
    )
    np.testing.assert_array_equal(x, plain[labels])
