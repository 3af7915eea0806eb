import numpy as np
import pytest

from odyssey.data.batching import compute_num_batches, extract_batch_pair

DATA = np.arange(10 * 3 * 4).reshape(10, 3, 4)
LABELS = np.arange(10) % 3


def test_batches_are_views_and_the_last_is_short():
    data, labels = extract_batch_pair(DATA, LABELS, 8, 4)
    np.testing.assert_array_equal(data, DATA[8:])
    np.testing.assert_array_equal(labels, LABELS[8:])
    assert np.shares_memory(data, DATA) and np.shares_memory(labels, LABELS)


def test_the_batches_put_together_are_the_whole():
    for size in (1, 3, 5, 10, 11):
        starts = range(0, 10, size)
        assert len(starts) == compute_num_batches(10, size)
        parts = [extract_batch_pair(DATA, LABELS, s, size) for s in starts]
        np.testing.assert_array_equal(np.concatenate([p[0] for p in parts]), DATA)
        np.testing.assert_array_equal(np.concatenate([p[1] for p in parts]), LABELS)


def test_strided_and_channels_last_memory_stays_what_it_is():
    images = np.arange(6 * 2 * 2 * 3).reshape(6, 2, 2, 3).transpose(0, 3, 1, 2)
    data, _ = extract_batch_pair(images[::-1], LABELS[:6], 1, 2)
    np.testing.assert_array_equal(data, images[::-1][1:3])
    assert data.strides == images[::-1].strides


def test_numpy_integers_and_huge_batches_are_fine():
    start, size = np.uint8(9), np.int64(2**63 - 1)
    assert len(extract_batch_pair(DATA, LABELS, start, size)[0]) == 1
    assert len(extract_batch_pair(DATA, LABELS, 0, 10**30)[0]) == 10


@pytest.mark.parametrize(
    "arguments, error, names",
    [
        ((DATA, LABELS[:9], 0, 4), ValueError, "labels"),
        ((DATA, LABELS, 10, 4), ValueError, "start_idx"),
        ((DATA[:0], LABELS[:0], 0, 4), ValueError, "start_idx"),
        ((DATA, LABELS, -1, 4), ValueError, "start_idx"),
        ((DATA, LABELS, 0, 0), ValueError, "batch_size"),
        ((DATA, LABELS, 0, -4), ValueError, "batch_size"),
        ((np.float32(1), LABELS, 0, 4), TypeError, "data"),
        ((np.array(1.0), LABELS, 0, 4), ValueError, "data"),
        ((DATA.tolist(), LABELS, 0, 4), TypeError, "data"),
        ((DATA, LABELS.tolist(), 0, 4), TypeError, "labels"),
        ((DATA, LABELS, 0.0, 4), TypeError, "start_idx"),
        ((DATA, LABELS, True, 4), TypeError, "start_idx"),
        ((DATA, LABELS, 0, "4"), TypeError, "batch_size"),
        ((DATA, LABELS, 0, None), TypeError, "batch_size"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, names):
    with pytest.raises(error, match=f"extract_batch_pair: {names} must"):
        extract_batch_pair(*arguments)


@pytest.mark.parametrize(
    "samples, size, batches",
    [(50000, 128, 391), (0, 5, 0), (1, 5, 1), (5, 5, 1), (6, 5, 2), (10**30, 3, None)],
)
def test_number_of_batches_is_rounded_up(samples, size, batches):
    expected = (10**30 + 2) // 3 if batches is None else batches
    assert compute_num_batches(samples, size) == expected


@pytest.mark.parametrize(
    "arguments, error",
    [
        ((-1, 5), ValueError),
        ((5, 0), ValueError),
        ((5.0, 5), TypeError),
        ((5, 2.5), TypeError),
        ((True, 5), TypeError),
        ((np.bool_(True), 5), TypeError),
        ((5, float("nan")), TypeError),
    ],
)
def test_number_of_batches_refuses(arguments, error):
    with pytest.raises(error, match="compute_num_batches: "):
        compute_num_batches(*arguments)
