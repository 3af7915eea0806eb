"""Batch norm with what follows it in a residual block: an addend, a relu."""

import numpy as np
import pytest
from op_checks import nerr

from odyssey import gradcheck
from odyssey.kernels import batch_norm as kernels
from odyssey.ops.activation import relu, relu_backward
from odyssey.ops.addition import add
from odyssey.ops.batch_norm import (
    BatchStatistics,
    batch_norm2d,
    batch_norm2d_backward,
    batch_norm_training_backward,
    batch_statistics,
)

SHAPES = [(4, 3, 5, 2), (2, 37, 9, 11), (1, 2, 3, 5)]


def make(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    C = shape[1]
    x, addend, grad_output = (rng.standard_normal(shape) for _ in range(3))
    statistics = [rng.standard_normal(C) for _ in range(3)]
    parameters = [*statistics, rng.uniform(0.5, 2, C)]
    return [array.astype(dtype) for array in (x + 1, addend, grad_output, *parameters)]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_one_pass_gives_what_three_give(shape, dtype, training):
    x, addend, _, *parameters = make(shape, dtype)
    plain, mean, var = batch_norm2d(x, *parameters, training)
    expected = {
        "relu": (relu(plain), {"relu": True}),
        "addend": (add(plain, addend), {"addend": addend}),
        "both": (relu(add(plain, addend)), {"addend": addend, "relu": True}),
    }
    for want, options in expected.values():
        out, new_mean, new_var = batch_norm2d(x, *parameters, training, **options)
        assert out.dtype == dtype
        np.testing.assert_allclose(out, want, rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(new_mean, mean)
        np.testing.assert_array_equal(new_var, var)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_backward_is_that_of_the_two_in_turn(shape, training):
    x, _, grad_output, *parameters = make(shape, np.float64)
    plain, *_ = batch_norm2d(x, *parameters, training)
    assert 0 < (plain > 0).sum() < plain.size
    passed = relu_backward(grad_output, plain)
    want = batch_norm2d_backward(passed, x, *parameters, training)
    got = batch_norm2d_backward(grad_output, x, *parameters, training, relu=True)
    for value, right in zip(got, want, strict=True):
        assert nerr(value, right) <= 1e-12


@pytest.mark.parametrize("training", [True, False])
def test_gradients_by_central_differences(training):
    x, _, _, *parameters = make((3, 2, 4, 3), np.float64, seed=3)
    plain, *_ = batch_norm2d(x, *parameters, training)
    assert np.abs(plain).min() > 1e-4  # no kink within the step of the differences
    gradcheck(
        lambda x, gamma, beta: batch_norm2d(
            x, gamma, beta, *parameters[2:], training, relu=True
        )[0],
        lambda g, x, gamma, beta: batch_norm2d_backward(
            g, x, gamma, beta, *parameters[2:], training, relu=True
        ),
        [x, *parameters[:2]],
    )


def test_worked_by_hand():
    # mean 2, variance 1: xhat is -1 and 1; 3 * xhat + 1 is -2 and 4
    x = np.array([1.0, 3.0]).reshape(1, 1, 1, 2)
    one = np.ones(1)
    out, *_ = batch_norm2d(x, 3 * one, one, one, one, eps=1e-12, relu=True)
    np.testing.assert_allclose(out.ravel(), [0, 4], atol=1e-9)
    addend = np.array([2.5, -5.0]).reshape(x.shape)
    out, *_ = batch_norm2d(
        x, 3 * one, one, one, one, eps=1e-12, addend=addend, relu=True
    )
    np.testing.assert_allclose(out.ravel(), [0.5, 0], atol=1e-9)


def test_nan_passes_the_relu():
    x, _, _, *parameters = make((2, 3, 4, 4), np.float32)
    x[1, 2, 3, 3] = np.nan
    out, *_ = batch_norm2d(x, *parameters, False, relu=True)
    assert np.argwhere(np.isnan(out)).tolist() == [[1, 2, 3, 3]]


def test_what_is_not_finite_stays_where_it_is_in_inference():
    x, _, grad_output, *parameters = make((2, 3, 4, 4), np.float32)
    x[0, 0, 0, 0], x[1, 1, 0, 0] = np.inf, np.nan
    parameters[2][2] = np.nan  # running mean
    grad_input, *_ = batch_norm2d_backward(grad_output, x, *parameters, False)
    assert np.isfinite(grad_input).all()


def test_any_layout_of_the_addend():
    x, addend, _, *parameters = make((2, 5, 4, 3), np.float32)
    want, *_ = batch_norm2d(x, *parameters, addend=addend)
    last = np.ascontiguousarray(addend.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for same in (last, addend[::-1].copy()[::-1], addend.astype(">f4")):
        before = same.copy()
        out, *_ = batch_norm2d(x, *parameters, addend=same)
        np.testing.assert_array_equal(out, want)
        np.testing.assert_array_equal(same, before)


def test_addends_that_are_refused():
    x, addend, _, *parameters = make((2, 5, 4, 3), np.float32)
    with pytest.raises(TypeError, match="batch_norm2d: addend must have the dtype"):
        batch_norm2d(x, *parameters, addend=addend.astype(np.float64))
    with pytest.raises(ValueError, match="batch_norm2d: addend must have shape"):
        batch_norm2d(x, *parameters, addend=addend[:1])
    with pytest.raises(TypeError, match="batch_norm2d: addend must be a"):
        batch_norm2d(x, *parameters, addend=1.0)


def test_bits_do_not_depend_on_where_the_arrays_lie():
    # arrays within a SIMD width of the one written to take another version of the loop
    M, C = 7, 6
    rng = np.random.default_rng(8)
    x, addend = rng.standard_normal((2, M, C)).astype(np.float32)
    mean, scale, shift = rng.standard_normal((3, C)).astype(np.float32)
    bits = set()
    for gap in (0, 16, 64, 4096):
        memory = np.zeros(4 * C + M * C + 3 * gap, np.float32)
        near = []
        for i, values in enumerate((mean, scale, shift)):
            part = memory[i * (C + gap) : i * (C + gap) + C]
            part[...] = values
            near.append(part)
        start = 3 * (C + gap)
        out = memory[start : start + M * C].reshape(M, C)
        kernels.scale_shift(x, *near, addend, True, out)
        bits.add(out.tobytes())
    assert len(bits) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_statistics_of_the_batch_give_the_same_bits(shape, dtype):
    x, _, grad_output, *parameters = make(shape, dtype)
    given = batch_statistics(x)
    np.testing.assert_allclose(given.mean, x.mean((0, 2, 3), np.float64), rtol=1e-12)
    np.testing.assert_allclose(given.var, x.astype(float).var((0, 2, 3)), rtol=1e-12)
    for function, first in [
        (batch_norm2d, (x,)),
        (batch_norm2d_backward, (grad_output, x)),
    ]:
        own = function(*first, *parameters)
        for value, right in zip(
            function(*first, *parameters, statistics=given), own, strict=True
        ):
            np.testing.assert_array_equal(value, right)
        # others are taken at their word, and in inference not looked at
        other = BatchStatistics(given.mean + 1, given.var * 2)
        assert nerr(function(*first, *parameters, statistics=other)[0], own[0]) > 0.01
        inference = function(*first, *parameters, False)[0]
        np.testing.assert_array_equal(
            function(*first, *parameters, False, statistics=other)[0], inference
        )


def test_statistics_that_are_refused():
    x, _, grad_output, *parameters = make((4, 3, 5, 2), np.float32)
    wrong = batch_statistics(x[:, :2])
    for function, first in [
        (batch_norm2d, (x,)),
        (batch_norm2d_backward, (grad_output, x)),
    ]:
        name = function.__name__
        with pytest.raises(TypeError, match=f"{name}: statistics must be what"):
            function(*first, *parameters, statistics=(wrong.mean, wrong.var))
        with pytest.raises(ValueError, match=rf"{name}: statistics\.mean must have"):
            function(*first, *parameters, statistics=wrong)
    with pytest.raises(ValueError, match="batch_statistics: x must have values"):
        batch_statistics(x[:0])
    with pytest.raises(ValueError, match="batch_statistics: x must be 4-D"):
        batch_statistics(x[0])
    with pytest.raises(TypeError, match="batch_statistics: x must"):
        batch_statistics(x.astype(np.int32))


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_backward_over_its_own_argument(training, channels_last):
    x, _, grad_output, *parameters = make((2, 5, 3, 4), np.float32, seed=4)
    want = batch_norm2d_backward(grad_output, x, *parameters, training, relu=True)
    if channels_last:
        rows = np.ascontiguousarray(grad_output.transpose(0, 2, 3, 1))
        grad_output = rows.transpose(0, 3, 1, 2)
    given = x, *parameters, training
    got = batch_norm2d_backward(grad_output, *given, relu=True, out=grad_output)
    assert got[0] is grad_output
    for value, right in zip(got, want, strict=True):
        np.testing.assert_array_equal(value, right)


@pytest.mark.parametrize("training", [True, False])
def test_backward_over_what_it_normalised(training):
    x, _, grad_output, *parameters = make((2, 5, 3, 4), np.float32, seed=4)
    given = *parameters, training
    want = batch_norm2d_backward(grad_output, x, *given, relu=True)
    half = x[::-1]  # the same memory, in another order
    with pytest.raises(ValueError, match=r"batch_norm2d_backward: .*overlaps x"):
        batch_norm2d_backward(grad_output, x, *given, out=half)
    got = batch_norm2d_backward(grad_output, x, *given, relu=True, out=x)
    assert got[0] is x
    for value, right in zip(got, want, strict=True):
        np.testing.assert_array_equal(value, right)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_backward_of_training_is_the_same_without_running_statistics(
    shape, dtype, relu
):
    x, _, grad_output, gamma, beta, mean, var = make(shape, dtype)
    statistics, kept = batch_statistics(x), grad_output.copy()
    options = {"eps": 1e-3, "relu": relu}
    want = batch_norm2d_backward(grad_output, x, gamma, beta, mean, var, **options)
    got = batch_norm_training_backward(
        grad_output, x, gamma, beta, statistics, **options
    )
    for value, right in zip(got, want, strict=True):
        assert value.dtype == dtype
        np.testing.assert_array_equal(value, right)
    np.testing.assert_array_equal(grad_output, kept)
    into, *others = batch_norm_training_backward(
        grad_output, x, gamma, beta, statistics, out=grad_output, **options
    )
    assert into is grad_output
    for value, right in zip((into, *others), want, strict=True):
        np.testing.assert_array_equal(value, right)


def test_the_backward_of_training_checks_its_arguments():
    x, _, grad_output, gamma, beta, *_ = make((2, 3, 4, 5), np.float32)
    name, statistics = "batch_norm_training_backward", batch_statistics(x)

    def call(**changes):
        arguments = {
            "grad_output": grad_output,
            "x": x,
            "gamma": gamma,
            "beta": beta,
            "statistics": statistics,
        }
        batch_norm_training_backward(**{**arguments, **changes})

    for change, error, argument in (
        ({"grad_output": grad_output[:1]}, ValueError, "grad_output"),
        ({"grad_output": grad_output.astype(np.float64)}, TypeError, "grad_output"),
        ({"gamma": gamma[:2]}, ValueError, "gamma"),
        ({"beta": beta.astype(np.int32)}, TypeError, "beta"),
        ({"x": x[0]}, ValueError, "x must"),
        ({"x": x[:1, :, :1, :1]}, ValueError, "more than one value"),
        ({"statistics": (1, 2)}, TypeError, "statistics"),
        ({"statistics": None}, TypeError, "statistics"),
        ({"eps": 0.0}, ValueError, "eps"),
        ({"out": x[::-1]}, ValueError, "out"),
    ):
        with pytest.raises(error, match=f"^{name}: .*{argument}"):
            call(**change)
