import math

import numpy as np
import pytest

from odyssey.gradcheck import gradcheck
from odyssey.ops.loss import (
    cross_entropy,
    cross_entropy_backward,
    softmax,
    softmax_backward,
)

INF, NAN = np.inf, np.nan
LN2, LN5 = math.log(2), math.log(5)
Z = np.array([[0.0, LN2, LN5]])  # p = 1/8, 2/8, 5/8


def random_batch(seed, N=6, K=5):
    rng = np.random.default_rng(seed)
    logits = 3 * rng.standard_normal((N, K))
    return logits, rng.integers(0, K, N), rng.dirichlet(np.ones(K), N)


def test_softmax_by_hand():
    np.testing.assert_allclose(softmax(Z), [[0.125, 0.25, 0.625]], rtol=1e-15)
    grad = softmax_backward(np.array([[8.0, 16, 0]]), Z)
    np.testing.assert_allclose(grad, [[0.375, 2.75, -3.125]], rtol=1e-14)


@pytest.mark.parametrize(
    ("smoothing", "loss", "grad"),
    [
        (0.0, 2 * LN2, [0.125, -0.75, 0.625]),
        (0.3, 2.2 * LN2 - 0.1 * LN5, [0.025, -0.55, 0.525]),
    ],
)
def test_cross_entropy_by_hand(smoothing, loss, grad):
    label, row = np.array([1]), np.array([[0.0, 1, 0]])
    for labels in (label, row):
        result = cross_entropy(Z, labels, smoothing)
        assert type(result) is float
        assert result == pytest.approx(loss, rel=1e-14)
        np.testing.assert_allclose(
            cross_entropy_backward(1.0, Z, labels, smoothing), [grad], rtol=1e-14
        )


def test_mean_over_the_batch():
    logits, labels = np.concatenate([Z, np.zeros((1, 3))]), np.array([1, 2])
    assert cross_entropy(logits, labels) == pytest.approx(math.log(12) / 2, rel=1e-14)
    expected = [[0.125, -0.75, 0.625], [2 / 3, 2 / 3, -4 / 3]]  # -2 times 1/N is -1
    grad = cross_entropy_backward(-2.0, logits, labels)
    np.testing.assert_allclose(grad[0], np.negative(expected[0]), rtol=1e-14)
    np.testing.assert_allclose(grad[1], np.negative(expected[1]) / 2, rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("logits", "label", "loss", "grad"),
    [
        ([1e4, 0, 0], 0, 0.0, [0, 0, 0]),
        ([1e4, 0, 0], 1, 1e4, [1, -1, 0]),
        ([1e4, 0, -1e4], 2, 2e4, [1, 0, -1]),
        ([-INF, 0], 1, 0.0, [0, 0]),
        ([-INF, 0], 0, INF, [-1, 1]),
        ([INF, 0], 0, NAN, [NAN, NAN]),
        ([-INF, -INF], 0, NAN, [NAN, NAN]),
        ([NAN, 0], 1, NAN, [NAN, NAN]),
        ([7.0], 0, 0.0, [0]),
    ],
)
def test_extreme_logits(logits, label, loss, grad, dtype):
    logits = np.array([logits], dtype)
    labels = np.array([label])
    np.testing.assert_array_equal(cross_entropy(logits, labels), loss)
    one_hot = np.eye(logits.shape[1], dtype=dtype)[labels]
    np.testing.assert_array_equal(cross_entropy(logits, one_hot), loss)
    result = cross_entropy_backward(1.0, logits, labels)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, [grad])


def test_extreme_logits_of_float32():
    logits = np.array([[3e38, -3e38]], np.float32)
    assert cross_entropy(logits, np.array([1])) == pytest.approx(6e38, rel=1e-6)
    np.testing.assert_array_equal(softmax(logits), [[1, 0]])


def test_small_loss_of_a_confident_answer():
    """An epsilon of 1e-7 inside the logarithm would give fifty times as much."""
    loss = cross_entropy(np.array([[20.0, 0.0]]), np.array([0]))
    assert loss == pytest.approx(math.log1p(math.exp(-20)), rel=1e-6)


def test_bad_row_stays_alone():
    logits = np.array([[NAN, 0], [INF, 1], [1, 2]])
    bad = np.isnan(softmax(logits)).any(axis=1)
    assert bad.tolist() == [True, True, False]
    bad = np.isnan(cross_entropy_backward(1.0, logits, np.array([0, 0, 0])))
    assert bad.any(axis=1).tolist() == [True, True, False]


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_gradcheck(smoothing):
    logits, labels, distributions = random_batch(0)
    for targets in (labels, distributions):
        gradcheck(
            lambda z, q=targets: cross_entropy(z, q, smoothing),
            lambda g, z, q=targets: cross_entropy_backward(g, z, q, smoothing),
            [logits],
        )
        rows = cross_entropy_backward(1.7, logits, targets, smoothing).sum(axis=1)
        np.testing.assert_allclose(rows, 0, atol=1e-16)


def test_softmax_gradcheck():
    gradcheck(softmax, softmax_backward, [random_batch(1)[0]])
    # the probabilities sum to one, so equal upstream gradients have no effect
    np.testing.assert_allclose(
        softmax_backward(np.full((6, 5), 3.0), random_batch(1)[0]), 0, atol=1e-15
    )


def test_gradient_of_what_the_forward_computes():
    """Within the tolerance a row need not sum to one; the gradient takes its sum."""
    logits, _, distributions = random_batch(2)
    off = distributions * (1 + 5e-5)
    gradcheck(
        lambda z: cross_entropy(z, off),
        lambda g, z: cross_entropy_backward(g, z, off),
        [logits],
    )


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u4", "i8", "u8", ">i4"])
def test_labels_of_any_integer_dtype(dtype):
    logits, labels, _ = random_batch(3)
    expected = cross_entropy(logits, labels)
    assert cross_entropy(logits, labels.astype(dtype)) == expected
    grad = cross_entropy_backward(1.0, logits, labels.astype(dtype))
    np.testing.assert_array_equal(grad, cross_entropy_backward(1.0, logits, labels))


def test_layouts_and_scalars():
    logits, labels, q = random_batch(4)
    loss, grad = cross_entropy(logits, q), cross_entropy_backward(2, logits, q)
    assert cross_entropy(logits[:, ::-1], q[:, ::-1]) == pytest.approx(loss, rel=1e-15)
    for z in (np.asfortranarray(logits), logits.astype(">f8")):
        assert cross_entropy(z, q) == pytest.approx(loss, rel=1e-15)
        result = cross_entropy_backward(np.float32(2), z, q)
        assert result.dtype.isnative
        np.testing.assert_allclose(result, grad, rtol=1e-13)
    assert cross_entropy_backward(
        np.array(2.0), np.asfortranarray(logits), q
    ).flags.f_contiguous
    kept = logits.copy(), labels.copy()
    cross_entropy_backward(1.0, logits, labels, 0.1)
    np.testing.assert_array_equal(logits, kept[0])
    np.testing.assert_array_equal(labels, kept[1])


def test_float32_is_rounded_once():
    logits, labels, _ = random_batch(5, N=64, K=10)
    logits = logits.astype(np.float32)
    exact = logits.astype(np.float64)
    assert cross_entropy(logits, labels) == cross_entropy(exact, labels)
    np.testing.assert_array_equal(softmax(logits), softmax(exact).astype(np.float32))


def test_empty_batch():
    assert softmax(np.empty((0, 3))).shape == (0, 3)
    assert softmax_backward(np.empty((0, 3)), np.empty((0, 3))).shape == (0, 3)
    for labels in (np.empty(0, int), np.empty((0, 3))):
        with pytest.raises(ValueError, match="cross_entropy: logits"):
            cross_entropy(np.empty((0, 3)), labels)


Q = np.full((4, 3), 1 / 3)


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        (np.array([0, 1, 2, 3]), ValueError),
        (np.array([0, 1, 2, -1]), ValueError),
        (np.array([0, 1, 2, -100]), ValueError),
        (np.array([0, 1, 2, 2**63], np.uint64), ValueError),
        (np.array([0, 1, 2]), ValueError),
        (np.zeros((4, 1), int), ValueError),
        (np.zeros((4, 3), int), ValueError),
        (np.zeros((), int), ValueError),
        (np.zeros(4), TypeError),
        (np.zeros(4, bool), TypeError),
        (np.zeros(4, object), TypeError),
        ([0, 1, 2, 0], TypeError),
        (Q.astype(np.float32), TypeError),
        (Q.astype(np.float16), TypeError),
        (Q[:3], ValueError),
        (Q[:, :2], ValueError),
        (Q * 1.01, ValueError),
        (Q * np.nan, ValueError),
        (np.tile([1.5, -0.5, 0.0], (4, 1)), ValueError),
    ],
)
def test_wrong_labels(labels, error):
    logits = np.zeros((4, 3))
    with pytest.raises(error, match=r"cross_entropy: labels must"):
        cross_entropy(logits, labels)
    with pytest.raises(error, match=r"cross_entropy_backward: labels must"):
        cross_entropy_backward(1.0, logits, labels)


def test_wrong_arguments():
    logits, labels = np.zeros((4, 3)), np.zeros(4, int)
    for smoothing in (-0.1, 1.5, NAN):
        with pytest.raises(ValueError, match="label_smoothing"):
            cross_entropy(logits, labels, smoothing)
    for wrong in (np.zeros(3), np.zeros((4, 3, 1)), np.zeros((4, 0))):
        with pytest.raises(ValueError, match="cross_entropy: logits"):
            cross_entropy(wrong, labels)
        with pytest.raises(ValueError, match="softmax: logits"):
            softmax(wrong)
    for wrong in (logits.astype(int), logits.tolist(), logits.astype(np.float16)):
        with pytest.raises(TypeError, match="cross_entropy: logits"):
            cross_entropy(wrong, labels)
    for wrong in ("1", None, True, 1j):
        with pytest.raises(TypeError, match="grad_output must be a number"):
            cross_entropy_backward(wrong, logits, labels)
    with pytest.raises(ValueError, match="grad_output"):
        cross_entropy_backward(np.ones(4), logits, labels)
    with pytest.raises(ValueError, match="softmax_backward: grad_output"):
        softmax_backward(np.ones((4, 2)), logits)
