"""What is peculiar to the fully connected layer; see test_all_ops.py for the rest."""

import numpy as np
import pytest
from op_checks import nerr

from odyssey.ops.linear import linear, linear_backward

DTYPES = [np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
def test_worked_by_hand(dtype):
    x = np.array([[1, 2, 3], [0, -1, 2]], dtype)
    weights = np.array([[1, 0, -1], [2, 1, 0]], dtype)
    bias = np.array([10, 20], dtype)
    out = linear(x, weights, bias)
    # 1 - 3 + 10, 2 + 2 + 20; 0 - 2 + 10, 0 - 1 + 20
    np.testing.assert_array_equal(out, [[8, 24], [8, 19]])
    assert out.dtype == dtype

    grad_output = np.array([[1, 2], [3, -1]], dtype)
    grad_input, grad_weights, grad_bias = linear_backward(grad_output, x, weights)
    # rows: 1*[1,0,-1] + 2*[2,1,0]; 3*[1,0,-1] - 1*[2,1,0]
    np.testing.assert_array_equal(grad_input, [[5, 2, -1], [1, -1, -3]])
    # 1*[1,2,3] + 3*[0,-1,2]; 2*[1,2,3] - 1*[0,-1,2]
    np.testing.assert_array_equal(grad_weights, [[1, -1, 9], [2, 5, 4]])
    np.testing.assert_array_equal(grad_bias, [4, 1])


def test_no_bias_is_a_bias_of_zeros():
    rng = np.random.default_rng(0)
    x, weights = rng.standard_normal((5, 7)), rng.standard_normal((3, 7))
    zeros = linear(x, weights, np.zeros(3))
    np.testing.assert_array_equal(linear(x, weights), zeros)


@pytest.mark.parametrize("dtype", DTYPES)
def test_small_integers_come_out_exactly(dtype):
    rng = np.random.default_rng(1)
    x, weights, bias, grad_output = (
        rng.integers(-8, 9, shape) for shape in [(33, 257), (9, 257), (9,), (33, 9)]
    )
    floats = [array.astype(dtype) for array in (x, weights, bias, grad_output)]
    out = linear(*floats[:3])
    grads = linear_backward(floats[3], floats[0], floats[1])
    want = grad_output @ weights, grad_output.T @ x, grad_output.sum(0)
    np.testing.assert_array_equal(out, x @ weights.T + bias)
    for grad, right in zip(grads, want, strict=True):
        np.testing.assert_array_equal(grad, right)


@pytest.mark.parametrize("shape", [(128, 512, 10), (1, 2048, 3), (2000, 5, 1)])
def test_float32_is_near_float64(shape):
    rng = np.random.default_rng(2)
    N, features, outputs = shape
    x, weights, bias, grad_output = (
        rng.standard_normal(s).astype(np.float32)
        for s in [(N, features), (outputs, features), (outputs,), (N, outputs)]
    )
    exact_x, exact_weights, exact_grad = (
        array.astype(np.float64) for array in (x, weights, grad_output)
    )
    assert nerr(linear(x, weights, bias), exact_x @ exact_weights.T + bias) <= 5e-6
    want = exact_grad @ exact_weights, exact_grad.T @ exact_x, exact_grad.sum(0)
    grads = linear_backward(grad_output, x, weights)
    for grad, right in zip(grads, want, strict=True):
        assert nerr(grad, right) <= 5e-6


def test_a_result_of_one_sample_is_that_of_the_batch():
    rng = np.random.default_rng(3)
    x, weights = rng.standard_normal((6, 37)), rng.standard_normal((10, 37))
    together = linear(x, weights)
    for i in range(6):
        assert nerr(linear(x[i : i + 1], weights)[0], together[i]) <= 1e-14


def test_images_must_be_flattened_first():
    with pytest.raises(ValueError, match="flatten it first"):
        linear(np.zeros((2, 3, 4, 4)), np.zeros((5, 48)))
