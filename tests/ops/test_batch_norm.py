"""What is peculiar to batch normalisation; see test_all_ops.py for the rest."""

import numba
import numpy as np
import pytest
from op_checks import nerr

from odyssey import reference
from odyssey.gradcheck import gradcheck
from odyssey.ops.batch_norm import batch_norm2d, batch_norm2d_backward

DTYPES = [np.float32, np.float64]
SHAPE = (4, 3, 6, 5)


def parameters(C, dtype=np.float64, seed=0):
    """Gamma, beta, running mean and variance, none of them what they start as."""
    rng = np.random.default_rng(seed)
    gamma, beta, mean = rng.standard_normal((3, C))
    var = rng.uniform(0.5, 2, C)
    return [array.astype(dtype) for array in (gamma, beta, mean, var)]


def plain(C, dtype):
    """Gamma, beta, running mean and variance as at the start of training."""
    return [np.full(C, value, dtype) for value in (1, 0, 0, 1)]


def as_image(values, dtype):
    """One channel of one row."""
    return np.array(values, dtype).reshape(1, 1, 1, -1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_worked_by_hand(dtype):
    # mean 3, deviations -2 -1 1 2 (and no others), variance 2.5 once eps is in
    x = as_image([1, 2, 4, 5], dtype)
    args = [np.array([value], dtype) for value in (2, 10, 0, 1)]
    bar = {"atol": 1e-6 if dtype == np.float32 else 1e-14, "rtol": 0}
    options = {"eps": 3.75}  # variance 2.5 + 3.75 = 2.5**2: rstd = 0.4
    out, mean, var = batch_norm2d(x, *args, **options)
    np.testing.assert_allclose(out.ravel(), [8.4, 9.2, 10.8, 11.6], **bar)
    np.testing.assert_allclose(mean, [0.3], **bar)
    np.testing.assert_allclose(var, [0.9 + 0.1 * 10 / 3], **bar)

    # grad_beta = 1 + 2 - 1 + 2 = 4; grad_gamma = 0.4 * (-2 - 2 - 1 + 4) = -0.4
    # grad_input = 2 * 0.4 * (g - 4/4 - 0.4 * deviation * -0.4 / 4)
    g = as_image([1, 2, -1, 2], dtype)
    grad_input, grad_gamma, grad_beta = batch_norm2d_backward(g, x, *args, **options)
    np.testing.assert_allclose(grad_beta, [4], **bar)
    np.testing.assert_allclose(grad_gamma, [-0.4], **bar)
    want = [-0.064, 0.768, -1.568, 0.864]
    np.testing.assert_allclose(grad_input.ravel(), want, **bar)


@pytest.mark.parametrize("dtype", DTYPES)
def test_running_variance_is_the_unbiased_one(dtype):
    x = as_image([1, 2, 3, 4], dtype)  # biased 5/4, unbiased 5/3
    _, mean, var = batch_norm2d(x, *plain(1, dtype), momentum=0.1)
    assert mean[0] == pytest.approx(0.25, rel=1e-6)
    assert var[0] == pytest.approx(0.9 + 0.1 * 5 / 3, rel=1e-6)  # 1.0666667
    assert mean.dtype == var.dtype == dtype


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e4, 1e30])
def test_a_constant_channel_gives_beta(value):
    x = np.full((8, 3, 16, 16), value, np.float32)
    gamma, beta, mean, var = parameters(3, np.float32)
    out, _, new_var = batch_norm2d(x, gamma, beta, mean, var)
    assert np.abs(out - beta[:, None, None]).max() <= 1e-6
    np.testing.assert_allclose(new_var, 0.9 * var, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("eps", [1e-80, 5e-324])
def test_a_constant_channel_gives_beta_however_small_eps_is(eps, dtype):
    x = np.random.default_rng(8).standard_normal((8, 3, 16, 16)).astype(dtype)
    x[:, 1] = 0.1
    gamma, beta, mean, var = parameters(3, dtype)
    gamma[1] = np.finfo(dtype).max  # gamma / sqrt(eps) is beyond the dtype
    out = batch_norm2d(x, gamma, beta, mean, var, eps=eps)[0]
    assert (out[:, 1] == beta[1]).all()
    want = reference.batch_norm2d(x, gamma, beta, mean, var, eps=eps)[0]
    assert nerr(out[:, [0, 2]], want[:, [0, 2]]) <= 1e-6
    gamma[1] = np.inf  # but what is not finite is not hidden
    assert np.isnan(batch_norm2d(x, gamma, beta, mean, var, eps=eps)[0][:, 1]).all()


def test_a_channel_of_small_numbers_has_the_deviation_1_where_eps_is_small():
    rng = np.random.default_rng(9)
    x = (1e-5 * rng.standard_normal((16, 3, 8, 8))).astype(np.float32)
    g = rng.standard_normal(x.shape).astype(np.float32)
    args = plain(3, np.float32)
    exact = [array.astype(np.float64) for array in (g, x, *args)]
    options = {"momentum": 0.4, "eps": 1e-12}
    out = batch_norm2d(x, *args, **options)[0]
    assert np.abs(out.var((0, 2, 3)) - 1 / (1 + 1e-12 / 1e-10)).max() < 2e-3
    assert nerr(out, reference.batch_norm2d(*exact[1:], **options)[0]) <= 1e-6
    got = batch_norm2d_backward(g, x, *args, **options)
    want = reference.batch_norm2d_backward(*exact, **options)
    assert max(map(nerr, got, want)) <= 1e-6


@pytest.mark.parametrize(("mean", "bar"), [(1e4, 1e-3), (1e5, 1e-3)])
def test_a_large_mean_costs_no_accuracy(mean, bar):
    rng = np.random.default_rng(1)
    x = (mean + rng.standard_normal((16, 3, 16, 16))).astype(np.float32)
    g = rng.standard_normal(x.shape).astype(np.float32)
    args = parameters(3, np.float32)
    exact = [array.astype(np.float64) for array in (g, x, *args)]
    out, new_mean, new_var = batch_norm2d(x, *args)
    want, want_mean, want_var = reference.batch_norm2d(*exact[1:])
    assert np.abs(out - want).max() <= bar
    np.testing.assert_allclose(new_mean, want_mean, rtol=1e-6)
    np.testing.assert_allclose(new_var, want_var, rtol=1e-3)
    grads = batch_norm2d_backward(g, x, *args)
    for grad, right in zip(grads, reference.batch_norm2d_backward(*exact), strict=True):
        assert nerr(grad, right) <= 1e-3


@pytest.mark.parametrize("spread", [0.0, 1e-12, 1e-6, 1e-3])
def test_backward_where_there_is_almost_no_variance(spread):
    rng = np.random.default_rng(2)
    x = (spread * rng.standard_normal(SHAPE)).astype(np.float32)
    g = rng.standard_normal(SHAPE).astype(np.float32)
    args = parameters(3, np.float32)
    exact = [array.astype(np.float64) for array in (g, x, *args)]
    grads = batch_norm2d_backward(g, x, *args)
    for grad, right in zip(grads, reference.batch_norm2d_backward(*exact), strict=True):
        assert np.isfinite(grad).all()
        assert nerr(grad, right) <= 5e-6


@pytest.mark.parametrize("gamma_scale", [1.0, 100.0])
def test_grad_input_sums_to_zero_and_ignores_a_shift_of_the_input(gamma_scale):
    # out stays as it is when a constant is added to x, or x - mean is scaled
    # (but for eps): grad_input is orthogonal to both directions
    rng = np.random.default_rng(3)
    x, g = rng.standard_normal(SHAPE), rng.standard_normal(SHAPE)
    gamma, *others = parameters(3)
    args = (gamma_scale * gamma, *others)
    grad_input = batch_norm2d_backward(g, x, *args, eps=1e-30)[0]
    axes = (0, 2, 3)
    scale = np.abs(grad_input).sum(axes)
    assert (np.abs(grad_input.sum(axes)) <= 1e-12 * scale).all()
    centred = x - x.mean(axes, keepdims=True)
    assert (np.abs((grad_input * centred).sum(axes)) <= 1e-12 * scale).all()


def test_grad_beta_of_many_pixels():
    # one running float32 sum of ones would stop at 2**24, and of 0.1 far before
    side = 4096
    x = np.zeros((1, 1, side, side + 1), np.float32)
    x[..., ::2] = 1
    for value in (1.0, 0.1):
        g = np.full(x.shape, value, np.float32)
        grad_beta = batch_norm2d_backward(g, x, *plain(1, np.float32))[2]
        want = g.size * float(np.float32(value))
        assert abs(grad_beta[0] - want) <= 1e-6 * want


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_value_stays_in_its_channel(bad, training):
    rng = np.random.default_rng(4)
    x, g = rng.standard_normal(SHAPE), rng.standard_normal(SHAPE)
    spoilt = x.copy()
    spoilt[1, 1, 2, 3] = bad
    args = (*parameters(3), training)
    clean = [0, 2]
    out, want = batch_norm2d(spoilt, *args)[0], batch_norm2d(x, *args)[0]
    assert not np.isfinite(out[1, 1, 2, 3])
    np.testing.assert_array_equal(out[:, clean], want[:, clean])
    grads = batch_norm2d_backward(g, spoilt, *args)
    wanted = batch_norm2d_backward(g, x, *args)
    assert not np.isfinite(grads[1][1])  # grad_gamma
    np.testing.assert_array_equal(grads[0][:, clean], wanted[0][:, clean])
    for grad, right in zip(grads[1:], wanted[1:], strict=True):
        np.testing.assert_array_equal(grad[clean], right[clean])


@pytest.mark.parametrize("training", [True, False])
def test_both_modes_against_central_differences(training):
    rng = np.random.default_rng(5)
    x = 3 + 2 * rng.standard_normal(SHAPE)
    gamma, beta, mean, var = parameters(3)
    error = gradcheck(
        lambda x, gamma, beta: batch_norm2d(x, gamma, beta, mean, var, training)[0],
        lambda g, x, gamma, beta: batch_norm2d_backward(
            g, x, gamma, beta, mean, var, training
        ),
        (x, gamma, beta),
        samples=40,
    )
    assert error <= 1e-6


def test_inference_uses_the_running_statistics_and_leaves_them():
    rng = np.random.default_rng(6)
    x, args = rng.standard_normal(SHAPE), parameters(3)
    gamma, beta, mean, var = (array[:, None, None] for array in args)
    out, new_mean, new_var = batch_norm2d(x, *args, training=False)
    want = gamma * (x - mean) / np.sqrt(var + 1e-5) + beta
    assert nerr(out, want) <= 1e-14
    assert new_mean.tobytes() == args[2].tobytes()
    assert new_var.tobytes() == args[3].tobytes()
    # a sample does not depend on those beside it
    alone = batch_norm2d(x[1:2], *args, training=False)[0]
    np.testing.assert_array_equal(alone, out[1:2])


def test_training_needs_two_values_per_channel():
    with pytest.raises(ValueError, match="more than one value per channel"):
        batch_norm2d(np.zeros((1, 3, 1, 1)), *plain(3, np.float64))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(8, 64, 32, 32), (3, 5, 33, 47)], ids=str)
def test_bits_do_not_depend_on_the_number_of_threads(shape, dtype):
    rng = np.random.default_rng(7)
    x, g = (rng.standard_normal(shape).astype(dtype) for _ in "xg")
    args = parameters(shape[1], dtype)
    bits = []
    before = numba.get_num_threads()
    for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
        numba.set_num_threads(threads)
        values = (*batch_norm2d(x, *args), *batch_norm2d_backward(g, x, *args))
        bits.append([value.tobytes() for value in values])
    numba.set_num_threads(before)
    assert bits[0] == bits[1]
