"""Mixup and CutMix: images, shares and labels."""

from pathlib import Path

import numpy as np
import pytest

from odyssey.data.mixing import clipped_box, cutmix, mix_batch, mixup, symmetric_beta
from odyssey.data.streams import MIX_STREAM
from odyssey.ops.loss import cross_entropy

RNG = np.random.default_rng(0)
X = RNG.standard_normal((6, 8, 10, 3)).transpose(0, 3, 1, 2)
LABELS = np.array([0, 1, 1, 2, 4, 3])
DRAWN = {"seed": 1, "epoch": 2, "batch": 3}


def test_mixup_by_hand():
    x = np.array([1.0, 2.0, 8.0]).reshape(3, 1, 1, 1)
    mixed, targets = mixup(x, np.array([0, 1, 1]), 3, 0.75)
    # the first gets the last: 0.75 * 1 + 0.25 * 8
    assert mixed.ravel().tolist() == [2.75, 1.75, 6.5]
    assert targets.tolist() == [[0.75, 0.25, 0], [0.25, 0.75, 0], [0, 1, 0]]


def test_cutmix_by_hand():
    x = np.arange(1.0, 4.0).reshape(3, 1, 1, 1) * np.ones((3, 1, 2, 4))
    mixed, targets = cutmix(x, np.array([0, 1, 1]), 3, (0, 1, 1, 4))
    assert mixed[:, 0].tolist() == [
        [[1, 3, 3, 3], [1, 1, 1, 1]],
        [[2, 1, 1, 1], [2, 2, 2, 2]],
        [[3, 2, 2, 2], [3, 3, 3, 3]],
    ]
    assert targets.tolist() == [[5 / 8, 3 / 8, 0], [3 / 8, 5 / 8, 0], [0, 1, 0]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mixup_equals_plain_numpy(dtype):
    x, share = X.astype(dtype), 0.3
    mixed, targets = mixup(x, LABELS, 5, share)
    own, other = dtype(share), dtype(1 - share)
    for n in range(6):
        np.testing.assert_array_equal(mixed[n], own * x[n] + other * x[n - 1])
        expected = np.zeros(5)
        expected[LABELS[n]] += share
        expected[LABELS[n - 1]] += 1 - share
        np.testing.assert_allclose(targets[n], expected, rtol=1e-6)
    assert mixed.dtype == targets.dtype == dtype


@pytest.mark.parametrize("alpha", [0.2, 1.0])
@pytest.mark.parametrize("shape", [(32, 32), (8, 10), (7, 5), (1, 1)])
def test_labels_have_the_weight_of_the_pixels_really_pasted(alpha, shape):
    """Each image is one number, so that pixels tell whose they are."""
    x = np.ones((4, 3, *shape)) * np.arange(4)[:, None, None, None]
    labels, shares = np.array([3, 0, 2, 1]), set()
    for batch in range(60):
        drawn = {"seed": 0, "epoch": 0, "batch": batch}
        mixed, targets = mix_batch(x, labels, 4, cutmix_alpha=alpha, **drawn)
        assert ((mixed == x) | (mixed == np.roll(x, 1, axis=0))).all()
        for n in range(4):
            pasted = (mixed[n] == x[n - 1]).mean()
            assert targets[n, labels[n - 1]] == pytest.approx(pasted, abs=1e-12)
            assert targets[n, labels[n]] == pytest.approx(1 - pasted, abs=1e-12)
        shares.add(pasted)
    assert len(shares) > (1 if shape != (1, 1) else 0)


def test_boxes_by_hand():
    assert clipped_box(0.75, 16, 16, 32, 32) == (8, 24, 8, 24)  # half of each side
    assert clipped_box(0.75, 0, 31, 32, 32) == (0, 8, 23, 32)
    assert clipped_box(0.0, 0, 0, 32, 32) == (0, 16, 0, 16)
    assert clipped_box(1.0, 5, 5, 32, 32) == (5, 5, 5, 5)
    assert clipped_box(0.5, 4, 5, 8, 10) == (2, 6, 2, 8)  # 0.7071 * 8 and * 10, even


def words(batch, seed=1, epoch=2):
    key = np.array([seed, MIX_STREAM], np.uint64)
    counter = np.array([0, batch, epoch, 0], np.uint64)
    return [int(w) for w in np.random.Philox(key=key, counter=counter).random_raw(5)]


@pytest.mark.parametrize("batch", range(12))
def test_a_batch_is_mixed_as_its_random_words_say(batch):
    coin, u, v, y, x = words(batch)
    drawn = {**DRAWN, "batch": batch}
    share = symmetric_beta(0.4, u, v)
    by_mixup = mixup(X, LABELS, 5, share)
    by_cutmix = cutmix(X, LABELS, 5, clipped_box(share, y % 8, x % 10, 8, 10))
    for alphas, expected in (
        ({"mixup_alpha": 0.4}, by_mixup),
        ({"cutmix_alpha": 0.4}, by_cutmix),
        (
            {"mixup_alpha": 0.4, "cutmix_alpha": 0.4},
            by_cutmix if coin >= 2**63 else by_mixup,
        ),
    ):
        got = mix_batch(X, LABELS, 5, **alphas, **drawn)
        np.testing.assert_array_equal(got[0], expected[0])
        np.testing.assert_array_equal(got[1], expected[1])


def test_both_come_about_equally_often():
    coins = [words(batch)[0] >= 2**63 for batch in range(400)]
    assert abs(sum(coins) - 200) < 4 * 10  # four deviations


def test_golden_shares():
    """A run can be resumed by a later version only if these numbers stay."""
    shares = [symmetric_beta(0.2, *words(batch)[1:3]) for batch in range(3)]
    golden = [0.5824217656503169, 0.05694044228874334, 0.9365914998933018]
    np.testing.assert_allclose(shares, golden, rtol=1e-12)


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0, 4.0, 200.0])
def test_shares_have_the_beta_distribution(alpha):
    """Kolmogorov and Smirnov's test, which chance fails 1 time in 10,000.

    The quantiles are SciPy's, see ``tests/golden/make_golden_beta.py``.  For smaller
    alpha too many shares are too near to 1 for float64 to tell apart.
    """
    drawn = RNG.integers(0, 2**64, (20_000, 2), np.uint64)
    shares = np.sort([symmetric_beta(alpha, int(u), int(v)) for u, v in drawn])
    with np.load(Path(__file__).parents[1] / "golden/beta.npz") as golden:
        expected, quantiles = golden["probabilities"], golden[f"alpha_{alpha}"]
    below = np.searchsorted(shares, quantiles, side="right") / len(shares)
    assert abs(below - expected).max() < 2.225 / np.sqrt(len(shares))


@pytest.mark.parametrize("alpha", [1e-320, 1e-9, 1.0, 1e9, 1e308])
def test_shares_at_the_ends(alpha):
    extremes = (0, 1, 2**62, 2**63, 2**64 - 1)
    shares = [symmetric_beta(alpha, u, v) for u in extremes for v in extremes]
    assert all(0 <= share <= 1 for share in shares)


def test_mixing_depends_on_seed_epoch_and_batch_alone():
    options = {"mixup_alpha": 1.0, "cutmix_alpha": 1.0}
    base = mix_batch(X, LABELS, 5, **DRAWN, **options)
    again = mix_batch(X, LABELS, 5, **DRAWN, **options)
    np.testing.assert_array_equal(base[0], again[0])
    for name in DRAWN:
        for other in (DRAWN[name] + 1, DRAWN[name] + 2**32):
            changed = mix_batch(X, LABELS, 5, **{**DRAWN, name: other}, **options)
            assert not np.array_equal(base[0], changed[0])
    # Another batch with the same number has the same share.
    other = mix_batch(X[::-1], LABELS[::-1], 5, **DRAWN, **options)[1]
    assert sorted(set(other.ravel())) == sorted(set(base[1].ravel()))


def test_targets_are_what_the_loss_takes():
    for batch in range(20):
        _, targets = mix_batch(
            X.astype(np.float32),
            LABELS,
            5,
            **{**DRAWN, "batch": batch},
            mixup_alpha=0.3,
        )
        np.testing.assert_allclose(targets.sum(axis=1), 1, atol=2**-23)
        assert cross_entropy(np.zeros((6, 5), np.float32), targets) == pytest.approx(
            np.log(5)
        )


def test_without_either_labels_become_distributions():
    mixed, targets = mix_batch(X, LABELS, 5, **DRAWN)
    np.testing.assert_array_equal(mixed, X)
    np.testing.assert_array_equal(targets, np.eye(5)[LABELS])
    assert not np.may_share_memory(mixed, X)


@pytest.mark.parametrize("alphas", [{"mixup_alpha": 1.0}, {"cutmix_alpha": 1.0}])
def test_layouts_and_arguments(alphas):
    expected = mix_batch(X, LABELS, 5, **DRAWN, **alphas)
    assert expected[0].transpose(0, 2, 3, 1).flags.c_contiguous  # as X
    plain = np.ascontiguousarray(X)
    plain.flags.writeable = False
    for x in (plain, X.astype(">f8"), np.repeat(X, 2, axis=3)[..., ::2]):
        before, labels = x.copy(), LABELS.astype(np.uint8)
        mixed, targets = mix_batch(x, labels, 5, **DRAWN, **alphas)
        np.testing.assert_array_equal(mixed, expected[0])
        np.testing.assert_array_equal(targets, expected[1])
        np.testing.assert_array_equal(x, before)
        np.testing.assert_array_equal(labels, LABELS)
    assert mix_batch(plain, LABELS, 5, **DRAWN, **alphas)[0].flags.c_contiguous


def test_few_images():
    options = {"mixup_alpha": 1.0, "cutmix_alpha": 1.0}
    for batch in range(4):
        drawn = {**DRAWN, "batch": batch}
        mixed, targets = mix_batch(X[:1], LABELS[3:4], 5, **drawn, **options)
        np.testing.assert_allclose(mixed, X[:1], rtol=1e-15)  # mixed with itself
        np.testing.assert_allclose(targets, np.eye(5)[2:3], rtol=1e-15)
        assert mix_batch(X[:0], LABELS[:0], 5, **drawn, **options)[1].shape == (0, 5)


@pytest.mark.parametrize(
    "changed, error, named",
    [
        ({"x": X.astype(np.float16)}, TypeError, "x"),
        ({"x": (X * 9).astype(np.uint8)}, TypeError, "x"),
        ({"x": X[0]}, ValueError, "x"),
        ({"labels": LABELS.astype(float)}, TypeError, "labels"),
        ({"labels": LABELS > 2}, TypeError, "labels"),
        ({"labels": LABELS.tolist()}, TypeError, "labels"),
        ({"labels": LABELS[:5]}, ValueError, "labels"),
        ({"labels": LABELS - 1}, ValueError, "labels"),
        ({"labels": np.eye(6)}, ValueError, "labels"),
        ({"num_classes": 4}, ValueError, "labels"),
        ({"num_classes": 0}, ValueError, "num_classes"),
        ({"num_classes": 5.0}, TypeError, "num_classes"),
        ({"mixup_alpha": -0.1}, ValueError, "mixup_alpha"),
        ({"mixup_alpha": float("nan")}, ValueError, "mixup_alpha"),
        ({"cutmix_alpha": float("inf")}, ValueError, "cutmix_alpha"),
        ({"cutmix_alpha": "1"}, TypeError, "cutmix_alpha"),
        ({"seed": 2**64}, ValueError, "seed"),
        ({"epoch": -1}, ValueError, "epoch"),
        ({"batch": 1.0}, TypeError, "batch"),
    ],
)
def test_wrong_arguments_are_named(changed, error, named):
    arguments = {"x": X, "labels": LABELS, "num_classes": 5, **DRAWN, **changed}
    with pytest.raises(error, match=f"mix_batch: {named} must"):
        mix_batch(**arguments)


@pytest.mark.parametrize(
    "box, error",
    [
        ((0, 9, 0, 1), ValueError),
        ((3, 2, 0, 1), ValueError),
        ((-1, 2, 0, 1), ValueError),
        ((0, 1, 0), TypeError),
        ((0, 1.0, 0, 1), TypeError),
    ],
)
def test_wrong_boxes_and_shares(box, error):
    with pytest.raises(error, match="cutmix: box must"):
        cutmix(X, LABELS, 5, box)
    with pytest.raises(ValueError, match="mixup: share must"):
        mixup(X, LABELS, 5, 1.5)
