"""The textbook twins, against numerical derivatives and against arithmetic by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from op_checks import check_adjoint, check_gradients

from odyssey import reference
from odyssey.gradcheck import gradcheck
from odyssey.op_specs import ALL_CASES, OPS, name_of


def image(rows, dtype=np.float64):
    """One image of one channel, (1, 1, H, W)."""
    return np.array(rows, dtype)[None, None]


@pytest.mark.parametrize(("spec", "case"), ALL_CASES, ids=name_of)
def test_backward_agrees_with_central_differences(spec, case):
    assert check_gradients(reference, spec, case, samples=40) <= 1e-6


LINEAR = [(spec, case) for spec, case in ALL_CASES if spec.linear_in]


@pytest.mark.parametrize(("spec", "case"), LINEAR, ids=name_of)
def test_backward_is_the_adjoint_of_a_linear_forward(spec, case):
    check_adjoint(reference, spec, case)


@pytest.mark.parametrize("spec", OPS, ids=name_of)
def test_dtype_is_kept(spec):
    case = spec.cases[0]
    inputs = [x.astype(np.float32) if x.dtype.kind == "f" else x for x in case.make()]
    grad_output = spec.grad_output(reference, inputs, case.options)
    results = [
        *spec.forward(reference, inputs, case.options),
        *spec.backward(reference, grad_output, inputs, case.options),
    ]
    for result in results:
        assert isinstance(result, float) or result.dtype == np.float32


def test_conv2d_by_hand():
    x = image([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    kernel = image([[1, 0], [0, 10]])
    # Top left: 1 * 1 + 5 * 10 = 51, and + 0.5 of bias.
    out = reference.conv2d(x, kernel, np.array([0.5]))
    assert_array_equal(out, image([[51.5, 62.5], [84.5, 95.5]]))
    g = image([[1, 2], [3, 4]])
    grad_input, grad_kernel, grad_bias = reference.conv2d_backward(g, x, kernel)
    # The pixel 5 met tap 1 in the last window and tap 10 in the first: 4 * 1 + 1 * 10.
    assert_array_equal(grad_input, image([[1, 2, 0], [3, 14, 20], [0, 30, 40]]))
    # Tap (0, 0) met 1, 2, 4, 5 under g: 1 * 1 + 2 * 2 + 3 * 4 + 4 * 5 = 37.
    assert_array_equal(grad_kernel, image([[37, 47], [67, 77]]))
    assert_array_equal(grad_bias, [10])


def test_conv2d_skips_what_the_stride_does_not_reach():
    x = np.arange(25.0).reshape(1, 1, 5, 5)
    out = reference.conv2d(x, image([[1, 0], [0, 0]]), stride=2)
    assert_array_equal(out, image([[0, 2], [10, 12]]))
    grad_input, _, _ = reference.conv2d_backward(
        np.ones((1, 1, 2, 2)), x, np.ones((1, 1, 2, 2)), stride=2
    )
    assert_array_equal(grad_input[0, 0, 4], np.zeros(5))
    assert_array_equal(grad_input[0, 0, :, 4], np.zeros(5))


def test_batch_norm2d_by_hand():
    # Mean 2.5, biased variance 1.25, unbiased 5/3.
    x = image([[1, 2], [3, 4]])
    one, zero = np.ones(1), np.zeros(1)
    out, mean, var = reference.batch_norm2d(x, 2 * one, 3 * one, zero, one, eps=1.0)
    xhat = np.array([-1.5, -0.5, 0.5, 1.5]) / 1.5  # sqrt(1.25 + eps) is 1.5
    assert_allclose(out.ravel(), 2 * xhat + 3, rtol=1e-15)
    assert_allclose(mean, [0.25], rtol=1e-15)
    assert_allclose(var, [0.9 + 0.1 * 5 / 3], rtol=1e-15)
    assert mean.dtype == var.dtype == np.float64


def test_batch_norm2d_evaluates_with_running_statistics():
    x = image([[1, 2], [3, 4]])
    one = np.ones(1)
    results = reference.batch_norm2d(
        x, one, one, 2 * one, 8 * one, training=False, eps=1.0
    )
    assert_allclose(results[0], (x - 2) / 3 + 1, rtol=1e-15)
    assert_array_equal(results[1:], [[2], [8]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batch_norm2d_of_a_constant_channel_is_beta(dtype):
    x = np.full((3, 2, 7, 5), 0.1, dtype)
    one, beta = np.ones(2, dtype), np.array([0.25, -3.0], dtype)
    out, _, _ = reference.batch_norm2d(x, one, beta, one, one)
    assert_allclose(out, np.broadcast_to(beta[:, None, None], x.shape), atol=1e-6)


def test_relu_by_hand():
    x = np.array([-1.0, -0.0, 0.0, 2.0, np.nan, np.inf, -np.inf])
    assert_array_equal(reference.relu(x), [0, 0, 0, 2, np.nan, np.inf, 0])
    g = np.array([np.nan, 1.0, 1.0, 5.0, 6.0, 7.0, np.inf])
    assert_array_equal(reference.relu_backward(g, x), [0, 0, 0, 5, 6, 7, 0])


def test_add_backward_sums_what_was_stretched_into_separate_buffers():
    g = np.array([[1.0, 2.0], [3.0, 4.0]])
    grad_a, grad_b = reference.add_backward(g, np.zeros((2, 1)), np.zeros(2))
    assert_array_equal(grad_a, [[3], [7]])
    assert_array_equal(grad_b, [4, 6])
    grads = reference.add_backward(g, g, g)
    assert not any(np.shares_memory(grad, g) for grad in grads)
    assert not np.shares_memory(*grads)


def test_avgpool2d_counts_its_padding():
    ones = np.ones((1, 1, 2, 2))
    assert_array_equal(reference.avgpool2d(ones, 2, 2, 1), ones / 4)
    grad_input = reference.avgpool2d_backward(image([[4, 8], [12, 16]]), ones, 2, 2, 1)
    assert_array_equal(grad_input, image([[1, 2], [3, 4]]))


def test_maxpool2d_gives_the_gradient_to_the_first_maximum():
    x = image([[1, 3, 3], [3, 0, 3]])
    g = image([[1, 10]])
    assert_array_equal(reference.maxpool2d(x, 2, 1), image([[3, 3]]))
    grad_input = reference.maxpool2d_backward(g, x, 2, 1)
    assert_array_equal(grad_input, image([[0, 11, 0], [0, 0, 0]]))


def test_maxpool2d_never_takes_padding_and_keeps_nan():
    lowest = np.full((1, 1, 2, 2), -np.inf)
    g = np.ones((1, 1, 2, 2))
    assert_array_equal(reference.maxpool2d(lowest, 2, 2, 1), lowest)
    assert_array_equal(reference.maxpool2d_backward(g, lowest, 2, 2, 1), g)
    out = reference.maxpool2d(image([[1, np.nan, 5, 4]] * 2), 2)
    assert_array_equal(out, image([[np.nan, 5]]))


def test_cross_entropy_by_hand():
    logits = np.array([[0.0, np.log(3.0)], [0.0, 0.0]])  # softmax 1/4, 3/4; 1/2, 1/2
    loss = reference.cross_entropy(logits, np.array([1, 0]))
    assert type(loss) is float
    assert_allclose(loss, (np.log(4 / 3) + np.log(2)) / 2, rtol=1e-15)
    grad = reference.cross_entropy_backward(4.0, logits, np.array([1, 0]))
    assert_allclose(grad, [[0.5, -0.5], [-1, 1]], rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropy_does_not_overflow(dtype):
    logits = np.array([[1e4, 0, 0]], dtype)
    assert reference.cross_entropy(logits, np.array([0])) == 0.0
    assert reference.cross_entropy(logits, np.array([2])) == 10000.0
    assert_array_equal(reference.softmax(logits), [[1, 0, 0]])
    logits[0, 1] = -np.inf
    assert reference.cross_entropy(logits, np.array([0])) == 0.0


def test_dropout_scales_what_it_keeps_and_rests_in_evaluation():
    x = np.ones((50, 40))
    out, mask = reference.dropout(x, 0.2, np.random.default_rng(3))
    assert_array_equal(np.unique(mask), [0, 1.25])
    assert abs((mask == 0).mean() - 0.2) < 0.04  # 4.5 standard deviations
    assert_array_equal(out, mask)
    out, mask = reference.dropout(x, 0.2, np.random.default_rng(3), training=False)
    assert_array_equal(out, x)
    assert_array_equal(mask, x)


def test_sgd_by_hand():
    # p = 1, g = 0.5, decay 0.01: step 1 sums 0.51, step 2 0.9 * 0.51 + 0.5 + 0.00949.
    param, velocity = np.array([1.0]), np.zeros(1)
    seen = []
    for lr in (0.1, 0.1, 0.01):
        reference.sgd_momentum_update_inplace(
            param, np.array([0.5]), velocity, lr, 0.9, weight_decay=0.01
        )
        seen.append(param[0])
    assert_allclose(seen[:2], [0.949, 0.852151], rtol=1e-14)
    # The drop of lr acts at once: velocity is 0.9 * 0.96849 + 0.5 + 0.00852151.
    assert_allclose(seen[2], 0.852151 - 0.01 * 1.38016251, rtol=1e-14)


def test_clip_scales_all_or_nothing():
    grads = {"a": np.array([3.0]), "b": np.array([[4.0]])}
    assert reference.clip_grad_norm_inplace(grads, 5.0) == 5.0
    assert grads["a"] == 3.0
    assert reference.clip_grad_norm_inplace(grads.values(), 1.0) == 5.0
    assert_allclose([grads["a"][0], grads["b"][0, 0]], [0.6, 0.8], rtol=1e-6)


def test_batches_are_views_and_the_last_is_short():
    data, labels = np.arange(10).reshape(5, 2), np.arange(5)
    assert reference.compute_num_batches(5, 2) == 3
    batch, batch_labels = reference.extract_batch_pair(data, labels, 4, 2)
    assert batch.shape == (1, 2)
    assert batch_labels == [4]
    assert np.shares_memory(batch, data)


def test_a_perturbed_backward_is_caught():
    # Not a test of the twins but of the test above: 0.1 % must not pass.
    rng = np.random.default_rng(1)
    x, kernel = rng.standard_normal((2, 2, 4, 4)), rng.standard_normal((3, 2, 3, 3))
    with pytest.raises(AssertionError, match="input 1"):
        gradcheck(
            reference.conv2d,
            lambda g, x, k: (
                reference.conv2d_backward(g, x, k)[0],
                reference.conv2d_backward(g, x, k)[1] * 1.001,
            ),
            (x, kernel),
        )
