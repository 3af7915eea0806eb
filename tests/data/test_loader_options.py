"""The loader's options of augmentation and mixing."""

import numpy as np
import pytest

from odyssey.data.augment import augment_batch
from odyssey.data.loader import BatchLoader
from odyssey.data.mixing import mix_batch

RNG = np.random.default_rng(0)
N = 23
IMAGES = RNG.integers(0, 256, (N, 32, 32, 3), dtype=np.uint8).transpose(0, 3, 1, 2)
LABELS = np.arange(N, dtype=np.uint8) % 10
HARD = {"flip": "alternating", "cutout": 8, "randaugment_ops": 2}
MIXED = {"mixup_alpha": 0.4, "cutmix_alpha": 1.0, "num_classes": 10}
ALL = {"augment": True, "randaugment_magnitude": 14, **HARD, **MIXED}


def loader(batch_size=5, images=IMAGES, labels=LABELS, **options):
    return BatchLoader(images, labels, batch_size, **{"seed": 3, **options})


def test_batches_are_augmented_by_sample_and_mixed_by_their_number():
    batches = list(loader(**ALL).epoch(4))
    order = loader(**ALL).order(4)
    assert [len(x) for x, _ in batches] == [5, 5, 5, 5, 3]
    for number, (x, targets) in enumerate(batches):
        indices = order[5 * number : 5 * number + 5]
        plain = np.empty_like(x)
        augment_batch(
            IMAGES, indices, plain, seed=3, epoch=4, randaugment_magnitude=14, **HARD
        )
        expected, expected_targets = mix_batch(
            plain, LABELS[indices], epoch=4, batch=number, seed=3, **MIXED
        )
        np.testing.assert_array_equal(x, expected)
        np.testing.assert_array_equal(targets, expected_targets)
        assert x.transpose(0, 2, 3, 1).flags.c_contiguous
        assert targets.dtype == x.dtype == np.float32


@pytest.mark.parametrize("start", range(6))
def test_resuming_in_an_epoch_gives_what_was_left(start):
    whole = list(loader(**ALL).epoch(2))
    rest = list(loader(**ALL).epoch(2, start_batch=start))
    assert len(rest) == 5 - start
    for batch, again in zip(whole[start:], rest, strict=True):
        np.testing.assert_array_equal(batch[0], again[0])
        np.testing.assert_array_equal(batch[1], again[1])


def test_without_mixing_the_company_does_not_matter():
    options = {"augment": True, **HARD}
    batches = list(loader(5, **options).epoch(1))
    in_order = np.concatenate(
        [x for x, _ in loader(7, shuffle=False, **options).epoch(1)]
    )
    order = loader(**options).order(1)
    np.testing.assert_array_equal(
        np.concatenate([x for x, _ in batches]), in_order[order]
    )
    assert batches[0][1].dtype == np.int64  # labels stay as they are


def test_num_classes_alone_changes_nothing():
    for one, other in zip(
        loader(augment=True, num_classes=10).epoch(0),
        loader(augment=True).epoch(0),
        strict=True,
    ):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_mixing_without_augmentation():
    (x, targets), *_ = loader(N, mixup_alpha=1.0, num_classes=10).epoch(0)
    plain, labels = next(loader(N).epoch(0))
    expected = mix_batch(plain, labels, 10, seed=3, epoch=0, batch=0, mixup_alpha=1.0)
    np.testing.assert_array_equal(x, expected[0])
    np.testing.assert_array_equal(targets, expected[1])


def test_the_images_of_the_caller_stay_as_they_were():
    images, labels = IMAGES.copy(), LABELS.copy()
    list(loader(images=images, labels=labels, **ALL).epoch(0))
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)


@pytest.mark.parametrize(
    "options, error, named",
    [
        ({"mixup_alpha": 1.0}, ValueError, "num_classes"),
        ({"cutmix_alpha": 1.0}, ValueError, "num_classes"),
        ({**MIXED, "num_classes": 9}, ValueError, "labels"),
        ({**MIXED, "num_classes": 10.0}, TypeError, "num_classes"),
        ({"num_classes": 0}, ValueError, "num_classes"),
        ({**MIXED, "mixup_alpha": -1.0}, ValueError, "mixup_alpha"),
        ({**MIXED, "cutmix_alpha": float("nan")}, ValueError, "cutmix_alpha"),
        ({**MIXED, "mixup_alpha": None}, TypeError, "mixup_alpha"),
        ({"augment": True, "flip": "twice"}, ValueError, "flip"),
        ({"augment": True, "cutout": -1}, ValueError, "cutout"),
        ({"augment": True, "randaugment_ops": 1.0}, TypeError, "randaugment_ops"),
        (
            {"augment": True, "randaugment_magnitude": 31},
            ValueError,
            "randaugment_magnitude",
        ),
        ({"cutout": 8}, ValueError, "cutout"),
        ({"randaugment_ops": 2}, ValueError, "randaugment_ops"),
    ],
)
def test_wrong_options_are_refused_when_the_loader_is_made(options, error, named):
    with pytest.raises(error, match=f": {named} must"):
        loader(**options)
