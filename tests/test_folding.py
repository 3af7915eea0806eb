import numpy as np
import pytest
from op_checks import nerr

from odyssey.folding import fold_batch_norm
from odyssey.ops.activation import relu
from odyssey.ops.addition import add
from odyssey.ops.batch_norm import batch_norm2d
from odyssey.ops.conv import conv2d


def make(K, C, size, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    kernel = rng.standard_normal((K, C, size, size))
    bias, gamma, beta, mean = rng.standard_normal((4, K))
    arrays = [kernel, bias, gamma, beta, mean, rng.uniform(0.01, 3, K)]
    return [array.astype(dtype) for array in arrays]


@pytest.mark.parametrize(("dtype", "bound"), [(np.float64, 1e-13), (np.float32, 1e-5)])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("size, stride", [(3, 1), (3, 2), (1, 2)])
def test_the_folded_convolution_does_both(size, stride, with_bias, dtype, bound):
    kernel, bias, *norm = make(20, 17, size, dtype)
    bias = bias if with_bias else None
    rng = np.random.default_rng(1)
    x = rng.standard_normal((3, 17, 9, 8)).astype(dtype)
    h = conv2d(x, kernel, bias, stride, 1, method="direct")
    want, *_ = batch_norm2d(h, *norm, training=False)
    folded = fold_batch_norm(kernel, bias, *norm)
    assert folded[0].dtype == folded[1].dtype == dtype
    assert nerr(conv2d(x, *folded, stride, 1, method="direct"), want) <= bound


def test_worked_by_hand():
    one = np.ones(1)
    kernel, bias = np.full((1, 1, 1, 1), 3.0), np.array([5.0])
    # 2 * (3x + 5 - 1) / sqrt(4) + 7 = 3x + 11
    folded, offset = fold_batch_norm(
        kernel, bias, 2 * one, 7 * one, one, 4 * one, 1e-12
    )
    np.testing.assert_allclose(folded.ravel(), [3])
    np.testing.assert_allclose(offset, [11])


def test_arguments_are_left_alone():
    arrays = make(3, 2, 3)
    before = [array.copy() for array in arrays]
    folded = fold_batch_norm(*arrays)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
        assert not any(np.shares_memory(array, result) for result in folded)


def test_arguments_that_are_refused():
    kernel, bias, gamma, beta, mean, var = make(3, 2, 3)
    with pytest.raises(TypeError, match="fold_batch_norm: gamma must have the dtype"):
        fold_batch_norm(kernel, bias, gamma.astype(np.float32), beta, mean, var)
    with pytest.raises(ValueError, match="fold_batch_norm: beta must have shape"):
        fold_batch_norm(kernel, bias, gamma, beta[:2], mean, var)
    with pytest.raises(ValueError, match="fold_batch_norm: bias must have shape"):
        fold_batch_norm(kernel, bias[:1], gamma, beta, mean, var)
    with pytest.raises(
        ValueError, match="fold_batch_norm: running_var must not be neg"
    ):
        fold_batch_norm(kernel, bias, gamma, beta, mean, -var)
    with pytest.raises(ValueError, match="fold_batch_norm: eps must be"):
        fold_batch_norm(kernel, bias, gamma, beta, mean, var, 0)
    with pytest.raises(ValueError, match="fold_batch_norm: kernel must be 4-D"):
        fold_batch_norm(kernel[0], bias, gamma, beta, mean, var)


@pytest.mark.parametrize("method", ["direct", "winograd"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_follows_a_convolution_in_inference(dtype, method):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((3, 20, 9, 7)).astype(dtype)
    kernel = rng.standard_normal((70, 20, 3, 3)).astype(dtype)
    bias = rng.standard_normal(70).astype(dtype)
    plain = conv2d(x, kernel, bias, 1, 1, method=method)
    addend = rng.standard_normal(plain.shape).astype(dtype) * 10
    for given, want in [
        ({"relu": True}, relu(plain)),
        ({"addend": addend}, add(plain, addend)),
        ({"addend": addend, "relu": True}, relu(add(plain, addend))),
    ]:
        out = conv2d(x, kernel, bias, 1, 1, method=method, **given)
        np.testing.assert_allclose(out, want, rtol=1e-5, atol=2e-5)
        assert (out == 0).any() == (want == 0).any()


def test_an_addend_of_another_shape_or_dtype_is_refused():
    x, kernel = np.zeros((2, 3, 5, 5)), np.zeros((4, 3, 3, 3))
    with pytest.raises(ValueError, match="conv2d: addend must have shape"):
        conv2d(x, kernel, addend=np.zeros((2, 4, 5, 5)))
    with pytest.raises(TypeError, match="conv2d: addend must have the dtype"):
        conv2d(x, kernel, addend=np.zeros((2, 4, 3, 3), np.float32))
