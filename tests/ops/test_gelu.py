"""gelu: how near it is to the right numbers, and what becomes of those far out."""

import math

import ml_dtypes
import numba
import numpy as np
import pytest

from odyssey.kernels.simd import LANES
from odyssey.ops.gelu import gelu, gelu_backward

INF, NAN = np.inf, np.nan
FORMS = ("none", "tanh")
EPS = float(np.finfo(np.float32).eps)
erfc, exp = (
    np.vectorize(function, otypes=[np.float64]) for function in (math.erfc, math.exp)
)


def right(x, approximate):
    """The share that passes and its derivative, in float64; so are small ones."""
    x = x.astype(np.float64)
    if approximate == "none":
        return erfc(-x / math.sqrt(2)) / 2, exp(-x * x / 2) / math.sqrt(2 * math.pi)
    c = 2 * math.sqrt(2 / math.pi)
    e = exp(-np.abs(c * (x + 0.044715 * x**3)))
    slope = e / (1 + e) ** 2 * c * (1 + 0.134145 * x**2)
    return np.where(x > 0, 1, e) / (1 + e), slope


#: Each 997th float32 from 1e-30 to where Phi(-x) ends, of both signs.
POSITIVE = np.arange(
    np.float32(1e-30).view(np.int32), np.float32(14).view(np.int32), 997
)
POSITIVE = POSITIVE.astype(np.int32).view(np.float32)
X = np.concatenate([POSITIVE, -POSITIVE])


@pytest.mark.parametrize("approximate", FORMS)
def test_float32_results_are_right_to_a_few_units_of_the_last_place(approximate):
    share, slope = right(X, approximate)
    out = gelu(X, approximate).astype(np.float64)
    grad_input = gelu_backward(np.ones_like(X), X, approximate)
    # 4 eps for what is rounded on the way; the exponent of the tanh form is rounded
    # four times, by half an eps each, and then it is an exponent
    exponent = 0.0 if approximate == "none" else -np.log(np.minimum(share, 0.5))
    bound = (4 + 2 * exponent) * EPS
    small = 2.0**-126  # shares less than the smallest normal number may be 0
    assert np.all(abs(out - X * share) <= (share * bound + small) * abs(X))
    terms = share + abs(X) * slope  # which nearly cancel around -0.75
    # where the share is so small, the other term is 170 times as large
    assert np.all(abs(grad_input - (share + X * slope)) <= terms * bound + 200 * small)


@pytest.mark.parametrize("approximate", FORMS)
def test_float64_results_are_right(approximate):
    x = np.linspace(-8, 8, 4001)
    share, slope = right(x, approximate)
    np.testing.assert_allclose(gelu(x, approximate), x * share, rtol=1e-13)
    want = share + x * slope
    got = gelu_backward(np.ones_like(x), x, approximate)
    assert np.all(abs(got - want) <= 1e-13 * (share + abs(x) * slope))


def test_values_by_hand():
    """Phi(1) = 0.84134475 and phi(1) = 0.24197072, as tables have them."""
    x = np.array([-1.0, 0.0, 1.0])
    np.testing.assert_allclose(gelu(x), [-0.15865525, 0, 0.84134475], atol=5e-9)
    grad_input = gelu_backward(np.array([1.0, 6.0, 10.0]), x)
    by_hand = [0.15865525 - 0.24197072, 6 * 0.5, 10 * (0.84134475 + 0.24197072)]
    np.testing.assert_allclose(grad_input, by_hand, atol=1e-7)


def test_both_forms_differ_by_little():
    x = np.linspace(-6, 6, 10001)
    difference = np.abs(gelu(x) - gelu(x, "tanh"))
    assert 4e-4 < difference.max() < 5e-4


@pytest.mark.parametrize("approximate", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, ml_dtypes.bfloat16])
def test_far_from_zero_the_gradient_is_exactly_0_or_1(dtype, approximate):
    most = float(ml_dtypes.finfo(dtype).max)
    x = np.array([-most, -1e30, -1e3, -40, -0.0, 0.0, 10, 1e3, 1e30, most], dtype)
    grad_output = np.full_like(x, 3)
    want = np.array([0, 0, 0, 0, 0, 0, *x[6:].astype(float)])
    got = gelu(x, approximate).astype(np.float64)
    np.testing.assert_array_equal(got, want)
    got = gelu_backward(grad_output, x, approximate).astype(np.float64)
    np.testing.assert_array_equal(got, [0, 0, 0, 0, 1.5, 1.5, 3, 3, 3, 3])


@pytest.mark.parametrize("approximate", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, ml_dtypes.bfloat16])
def test_what_is_not_finite(dtype, approximate):
    """Infinity times a share of 0 is NaN, as in PyTorch; nothing is hidden."""
    x = np.array([NAN, INF, -INF, 1, -100, 100], dtype)
    got = gelu(x, approximate).astype(float)
    np.testing.assert_array_equal(got[[0, 1, 2, 4, 5]], [NAN, INF, NAN, 0, 100])
    grad_output = np.array([1, 1, 1, NAN, INF, INF], dtype)
    got = gelu_backward(grad_output, x, approximate).astype(float)
    # an infinite gradient times 0 is NaN
    np.testing.assert_array_equal(got, [NAN, NAN, NAN, NAN, NAN, INF])


@pytest.mark.parametrize("approximate", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_bits_depend_neither_on_the_place_nor_on_the_threads(dtype, approximate):
    rng = np.random.default_rng(7)
    count = 2 * 4096 + LANES - 1  # some blocks, and a part of a vector
    x, grad_output = (5 * rng.standard_normal((2, count))).astype(dtype)

    def both(x, grad_output):
        return gelu(x, approximate), gelu_backward(grad_output, x, approximate)

    whole = [array.view(np.uint8) for array in both(x, grad_output)]
    for start in (1, LANES - 3):
        part = both(x[start:].copy(), grad_output[start:].copy())
        for got, want in zip(part, whole, strict=True):
            skipped = start * want.size // count
            np.testing.assert_array_equal(got.view(np.uint8), want[skipped:])
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        alone = both(x, grad_output)
    finally:
        numba.set_num_threads(before)
    for got, want in zip(alone, whole, strict=True):
        np.testing.assert_array_equal(got.view(np.uint8), want)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ml_dtypes.bfloat16])
def test_backward_into_a_given_array(dtype):
    rng = np.random.default_rng(5)
    x, grad_output = rng.standard_normal((2, 2, 3, 4, 5)).astype(dtype)
    want = gelu_backward(grad_output, x, "tanh")
    wide = np.full((2, 3, 4, 10), 7, dtype)
    for out in (np.empty_like(x), np.asfortranarray(x), wide[..., ::2]):
        assert gelu_backward(grad_output, x, "tanh", out=out) is out
        np.testing.assert_array_equal(out, want)
    assert np.all(wide[..., 1::2] == 7)
    assert gelu_backward(grad_output, x, "tanh", out=grad_output) is grad_output
    np.testing.assert_array_equal(grad_output, want)


def test_arrays_for_the_result_that_are_refused():
    x, grad_output = np.ones((3, 4)), np.ones((3, 4))
    for out, error, text in [
        (np.ones((4, 3)), ValueError, "out must have shape"),
        (np.ones((3, 4), np.float32), TypeError, "out must have the dtype"),
        (x, ValueError, "overlaps x"),
    ]:
        with pytest.raises(error, match=f"gelu_backward: .*{text}"):
            gelu_backward(grad_output, x, out=out)
