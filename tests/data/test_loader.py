import numpy as np
import pytest

from odyssey.data.dataset import CIFAR10_MEAN, CIFAR10_STD
from odyssey.data.loader import SHUFFLE_STREAM, BatchLoader, permutation

RNG = np.random.default_rng(0)
N = 23
IMAGES = RNG.integers(0, 256, (N, 32, 32, 3), dtype=np.uint8).transpose(0, 3, 1, 2)
LABELS = np.arange(N, dtype=np.uint8)  # so that a label says which image it is of


def loader(batch_size=5, **options):
    return BatchLoader(IMAGES, LABELS, batch_size, **options)


def gather(batches):
    """Return all images and labels of an iteration, and the sizes of its batches."""
    xs, labels = zip(*batches, strict=True)
    return np.concatenate(xs), np.concatenate(labels), [len(x) for x in xs]


def normalized(images):
    mean, std = (np.array(m)[:, None, None] for m in (CIFAR10_MEAN, CIFAR10_STD))
    return ((images / 255 - mean) / std).astype(np.float32)


def test_an_epoch_has_every_sample_once_and_a_short_last_batch():
    x, labels, sizes = gather(loader().epoch(0))
    assert sizes == [5, 5, 5, 5, 3]
    assert loader().num_batches == 5
    assert sorted(labels) == list(range(N))
    np.testing.assert_array_equal(x, normalized(IMAGES[labels]))


@pytest.mark.parametrize(("batch_size", "batches"), [(5, 4), (23, 1), (24, 0)])
def test_a_short_last_batch_can_be_left_out(batch_size, batches):
    whole = loader(batch_size, drop_last=True)
    assert whole.num_batches == batches
    found = [labels for _, labels in whole.epoch(2)]
    assert [len(labels) for labels in found] == [batch_size] * batches
    for labels, all_labels in zip(found, loader(batch_size).epoch(2), strict=False):
        np.testing.assert_array_equal(labels, all_labels[1])


def test_evaluation_keeps_the_order():
    x, labels, _ = gather(loader(shuffle=False).epoch(3))
    np.testing.assert_array_equal(labels, LABELS)
    np.testing.assert_array_equal(x, normalized(IMAGES))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batches_are_channels_last_and_fresh(dtype):
    batches = list(loader(dtype=dtype, augment=True).epoch(0))
    for x, labels in batches:
        assert x.dtype == dtype and x.shape[1:] == (3, 32, 32)
        assert x.transpose(0, 2, 3, 1).flags.c_contiguous and x.flags.writeable
        assert labels.dtype == np.int64
    assert not np.may_share_memory(batches[0][0], batches[1][0])


def test_every_epoch_has_another_order():
    orders = [tuple(loader(seed=4).order(epoch)) for epoch in range(20)]
    assert len(set(orders)) == 20
    assert all(sorted(order) == list(range(N)) for order in orders)
    assert tuple(loader(seed=5).order(0)) != orders[0]
    assert tuple(loader(seed=4, batch_size=7).order(0)) == orders[0]
    assert tuple(gather(loader(seed=4).epoch(3))[1]) == orders[3]


def test_golden_order():
    """A run can be resumed by a later version only if this stays."""
    order = permutation(8, seed=42, stream=SHUFFLE_STREAM, epoch=7)
    assert order.tolist() == [0, 4, 2, 1, 5, 7, 6, 3]


def test_every_order_is_as_likely_as_any_other():
    orders = [permutation(4, seed=0, stream=2, epoch=e) for e in range(2400)]
    ranks = np.array(orders) @ [64, 16, 4, 1]
    counts = np.unique(ranks, return_counts=True)[1]
    assert len(counts) == 24
    # Each count is binomial: 100, and more than 5 deviations away 1 time in 70,000.
    assert abs(counts - 100).max() < 5 * np.sqrt(100 * 23 / 24)


@pytest.mark.parametrize("seed", [0, -1, 2**63, 2**64 - 1, -(2**63)])
def test_seeds_of_64_bits(seed):
    x, labels, _ = gather(loader(seed=seed, augment=True).epoch(2**64 - 1))
    assert sorted(labels) == list(range(N)) and np.isfinite(x).all()


@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize("start", range(6))
def test_resuming_in_an_epoch_gives_what_was_left(augment, start):
    options = {"seed": 9, "augment": augment}
    whole = list(loader(**options).epoch(2))
    rest = list(loader(**options).epoch(2, start_batch=start))
    assert len(rest) == 5 - start
    for (x, labels), (x_again, labels_again) in zip(whole[start:], rest, strict=True):
        np.testing.assert_array_equal(x, x_again)
        np.testing.assert_array_equal(labels, labels_again)


def test_no_state_is_left_by_iterating():
    one = loader(seed=1, augment=True)
    first = gather(one.epoch(0))
    list(one.epoch(1))
    half = one.epoch(0)
    next(half)
    again = gather(one.epoch(0))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_augmentation_depends_on_the_sample_and_not_on_the_order():
    options = {"seed": 1, "augment": True}
    x, labels, _ = gather(loader(**options).epoch(6))
    in_order, _, _ = gather(loader(7, shuffle=False, **options).epoch(6))
    np.testing.assert_array_equal(x, in_order[labels])
    assert not np.array_equal(in_order, normalized(IMAGES))
    other_epoch, _, _ = gather(loader(7, shuffle=False, **options).epoch(7))
    assert not np.array_equal(in_order, other_epoch)


def test_the_padding_is_handed_on():
    options = {"augment": True, "shuffle": False}
    zero, _, _ = gather(loader(**options).epoch(0))
    reflect, _, _ = gather(loader(pad_mode="reflect", **options).epoch(0))
    assert not np.array_equal(zero, reflect)
    # Without padding there is only the flip left.
    flipped, _, _ = gather(loader(padding=0, **options).epoch(0))
    plain = normalized(IMAGES)
    same = (flipped == plain).all(axis=(1, 2, 3))
    mirrored = (flipped == plain[..., ::-1]).all(axis=(1, 2, 3))
    assert (same | mirrored).all() and same.any() and mirrored.any()


def test_images_in_another_memory_order():
    plain = BatchLoader(np.ascontiguousarray(IMAGES), LABELS, 5, augment=True)
    np.testing.assert_array_equal(
        gather(plain.epoch(0))[0], gather(loader(augment=True).epoch(0))[0]
    )


def test_no_images_make_no_batches():
    empty = BatchLoader(IMAGES[:0], LABELS[:0], 5)
    assert empty.num_batches == 0 and list(empty.epoch(0)) == []


@pytest.mark.parametrize(
    "arguments, options, error",
    [
        ((IMAGES, LABELS[:-1], 5), {}, ValueError),
        ((IMAGES[0], LABELS[:3], 5), {}, ValueError),
        ((IMAGES, LABELS[:, None], 5), {}, ValueError),
        ((IMAGES, LABELS.astype(float), 5), {}, TypeError),
        ((IMAGES, LABELS > 3, 5), {}, TypeError),
        ((IMAGES, LABELS.tolist(), 5), {}, TypeError),
        ((IMAGES / 255, LABELS, 5), {}, TypeError),
        ((IMAGES, LABELS, 0), {}, ValueError),
        ((IMAGES, LABELS, 2.5), {}, TypeError),
        ((IMAGES, LABELS, 5), {"seed": 2**64}, ValueError),
        ((IMAGES, LABELS, 5), {"seed": None}, TypeError),
        ((IMAGES, LABELS, 5), {"padding": -1, "augment": True}, ValueError),
        ((IMAGES, LABELS, 5), {"pad_mode": "wrap"}, ValueError),
        ((IMAGES, LABELS, 5), {"mean": (0.5,)}, ValueError),
        ((IMAGES, LABELS, 5), {"std": (0.5, 0.5, 0.0)}, ValueError),
        ((IMAGES, LABELS, 5), {"dtype": np.float16}, TypeError),
    ],
)
def test_wrong_arguments_are_refused_when_the_loader_is_made(arguments, options, error):
    with pytest.raises(error):
        BatchLoader(*arguments, **options)


@pytest.mark.parametrize(
    "epoch, start, error",
    [(-1, 0, ValueError), (0, -1, ValueError), (0, 6, ValueError), (0.0, 0, TypeError)],
)
def test_wrong_epochs_are_refused_before_the_first_batch(epoch, start, error):
    with pytest.raises(error, match=r"BatchLoader\.epoch: (epoch|start_batch) must"):
        loader().epoch(epoch, start)
