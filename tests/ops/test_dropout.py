import ml_dtypes
import numpy as np
import pytest

from odyssey import reference
from odyssey.layout import is_channels_last
from odyssey.ops.dropout import dropout, dropout_backward


def channels_last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, np.float32(0.75)])
def test_mask_and_scale(dtype, p):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 400)).astype(dtype)
    kept = x.copy()
    out, mask = dropout(x, p, rng)
    assert out.dtype == mask.dtype == dtype
    assert set(np.unique(mask)) <= {0, dtype(1 / (1 - float(p)))}
    np.testing.assert_array_equal(out, x * mask)
    np.testing.assert_array_equal(x, kept)
    # the share kept is binomial: 120,000 draws, five standard deviations
    share, deviation = (mask != 0).mean(), np.sqrt(p * (1 - p) / mask.size)
    assert abs(share - (1 - p)) <= 5 * deviation


def test_evaluation_changes_nothing_and_draws_nothing():
    rng = np.random.default_rng(1)
    x = np.array([1.0, np.nan, np.inf])
    out, mask = dropout(x, 0.9, rng, training=False)
    np.testing.assert_array_equal(out, x)
    np.testing.assert_array_equal(dropout(x, 0.9, None, training=False)[0], x)
    np.testing.assert_array_equal(mask, 1)
    assert not np.shares_memory(out, x)
    assert rng.random() == np.random.default_rng(1).random()


def test_depends_on_the_seed_alone():
    x = np.random.default_rng(2).standard_normal((4, 3, 5, 6))
    _, mask = dropout(x, 0.5, np.random.default_rng(7))
    frozen = x.copy()
    frozen.setflags(write=False)
    for y in (channels_last(x), x.astype(np.float32), x.astype(">f8"), frozen):
        _, again = dropout(y, 0.5, np.random.default_rng(7))
        np.testing.assert_array_equal(again, mask)
    _, other = dropout(x, 0.5, np.random.default_rng(8))
    assert (other != mask).any()


def test_two_calls_draw_anew():
    rng = np.random.default_rng(3)
    x = np.ones(1000)
    assert (dropout(x, 0.5, rng)[1] != dropout(x, 0.5, rng)[1]).any()


def test_backward_by_hand():
    mask = np.array([0, 2, 2, 0], np.float32)
    grad_output = np.array([1, 2, -3, 4], np.float32)
    grad_input = dropout_backward(grad_output, mask)
    assert grad_input.dtype == np.float32
    np.testing.assert_array_equal(grad_input, [0, 4, -6, 0])


def test_bfloat16_has_a_mask_in_float32_and_is_rounded_once():
    """The scale 1/(1 - p) is no bfloat16 number: 1.25 is, 1.1111 is not."""
    bf16 = np.dtype(ml_dtypes.bfloat16)
    x = channels_last(np.random.default_rng(9).standard_normal((3, 4, 5, 6)))
    half = x.astype(bf16)
    out, mask = dropout(half, 0.1, np.random.default_rng(5))
    assert (out.dtype, mask.dtype) == (bf16, np.float32)
    _, same = dropout(x.astype("f4"), 0.1, np.random.default_rng(5))
    np.testing.assert_array_equal(mask, same)
    np.testing.assert_array_equal(out, (half.astype("f4") * mask).astype(bf16))
    grad_input = dropout_backward(half, mask)
    assert grad_input.dtype == bf16
    np.testing.assert_array_equal(grad_input, out)
    assert all(is_channels_last(array) for array in (out, mask, grad_input))
    for ops in (reference.dropout, dropout):
        twin, twin_mask = ops(half, 0.1, np.random.default_rng(5))
        assert (twin.dtype, twin_mask.dtype) == (bf16, np.float32)
        np.testing.assert_array_equal(twin, out)
    twin = reference.dropout_backward(half, mask)
    assert twin.dtype == bf16
    np.testing.assert_array_equal(twin, out)
    with pytest.raises(TypeError, match="mask must be float32 where grad_output is bf"):
        dropout_backward(half, mask.astype("f8"))


def test_layout_is_kept():
    x = channels_last(np.ones((2, 3, 4, 5)))
    out, mask = dropout(x, 0.5, np.random.default_rng(6))
    grad_input = dropout_backward(np.ones(x.shape), mask)
    assert all(is_channels_last(array) for array in (out, mask, grad_input))


@pytest.mark.parametrize("shape", [(), (0, 3), (5,)])
def test_any_rank(shape):
    out, mask = dropout(np.ones(shape), 0.5, np.random.default_rng(7))
    assert out.shape == mask.shape == shape
    assert dropout_backward(out, mask).shape == shape


def test_errors():
    x, rng = np.ones(3), np.random.default_rng(8)
    for p in (-0.1, 1.0, 1, 1.5, np.nan, np.inf):
        with pytest.raises(ValueError, match="dropout: p must be"):
            dropout(x, p, rng)
    for p in ("0.5", True, None):
        with pytest.raises(TypeError, match="dropout: p must be"):
            dropout(x, p, rng)
    for wrong in (None, 42, np.random.RandomState(0), np.random):
        with pytest.raises(TypeError, match="dropout: rng must be"):
            dropout(x, 0.5, wrong)
    for wrong in ([1.0], np.ones(3, int), np.ones(3, np.float16)):
        with pytest.raises(TypeError, match="dropout: x must be"):
            dropout(wrong, 0.5, rng)
    with pytest.raises(ValueError, match="dropout_backward: grad_output"):
        dropout_backward(np.ones(1), x)
    with pytest.raises(TypeError, match="dropout_backward: mask"):
        dropout_backward(np.ones(3, np.float32), x)
    assert rng.random() == np.random.default_rng(8).random()  # nothing was drawn
