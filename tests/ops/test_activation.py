import numpy as np
import pytest

from odyssey.layout import is_channels_last
from odyssey.ops.activation import relu, relu_backward

INF, NAN = np.inf, np.nan


def channels_last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def read_only(x):
    x = x.copy()
    x.setflags(write=False)
    return x


LAYOUTS = {
    "contiguous": np.copy,
    "channels last": channels_last,
    "Fortran": np.asfortranarray,
    "negative strides": lambda x: x[:, :, ::-1].copy()[:, :, ::-1],
    "every second": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "read-only": read_only,
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_by_hand(dtype):
    x = np.array([NAN, -0.0, 0.0, -1.0, 2.5, INF, -INF], dtype)
    out = relu(x)
    assert out.dtype == dtype
    np.testing.assert_array_equal(out, np.array([NAN, 0, 0, 0, 2.5, INF, 0], dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradient_by_hand(dtype):
    """The derivative at 0 is 0; NaN lets the gradient through."""
    x = np.array([-1, -0.0, 0.0, 1, INF, -INF, NAN], dtype)
    grad_output = np.array([2, 3, 4, 5, 6, 7, 8], dtype)
    grad_input = relu_backward(grad_output, x)
    assert grad_input.dtype == dtype
    np.testing.assert_array_equal(grad_input, np.array([0, 0, 0, 5, 6, 0, 8], dtype))


def test_upstream_is_masked_not_multiplied():
    x = np.array([-1.0, 0.0, 1.0, 1.0])
    grad_input = relu_backward(np.array([NAN, INF, NAN, INF]), x)
    np.testing.assert_array_equal(grad_input, [0, 0, NAN, INF])


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same(name):
    rng = np.random.default_rng(1)
    x, grad_output = rng.standard_normal((2, 2, 3, 5, 4), dtype=np.float32)
    laid, grad_laid = LAYOUTS[name](x), LAYOUTS[name](grad_output)
    np.testing.assert_array_equal(relu(laid), np.maximum(x, 0))
    expected = np.where(x > 0, grad_output, 0)
    for g, y in ((grad_laid, laid), (grad_output, laid), (grad_laid, x)):
        result = relu_backward(g, y)
        np.testing.assert_array_equal(result, expected)
        assert result.dtype.isnative


def test_result_keeps_the_layout():
    x = channels_last(np.random.default_rng(2).standard_normal((2, 3, 4, 5)))
    assert is_channels_last(relu(x))
    assert is_channels_last(relu_backward(x.copy(order="C"), x))
    assert relu(x.copy(order="C")).flags.c_contiguous


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (1000,), (2, 3, 4, 5, 6)])
def test_any_rank(shape):
    rng = np.random.default_rng(3)
    x, grad_output = np.array(rng.standard_normal(shape)), np.ones(shape)
    kept = x.copy()
    assert relu(x).shape == relu_backward(grad_output, x).shape == shape
    np.testing.assert_array_equal(relu(x), np.maximum(x, 0))
    np.testing.assert_array_equal(x, kept)


def test_result_is_a_new_array():
    x = np.ones((2, 3))
    assert not np.shares_memory(relu(x), x)
    assert not np.shares_memory(relu_backward(x, x), x)


@pytest.mark.parametrize(
    "x", [[1.0], None, np.ones(2, int), np.ones(2, bool), np.ones(2, np.float16), 1.0]
)
def test_wrong_type(x):
    with pytest.raises(TypeError, match="relu: x must be"):
        relu(x)
    with pytest.raises(TypeError, match="relu_backward"):
        relu_backward(np.ones(2), x)


def test_wrong_gradient():
    x = np.ones((2, 3))
    for shape in ((3, 2), (3,), (1, 3), (2, 3, 1)):
        with pytest.raises(ValueError, match=r"relu_backward: grad_output .*\(2, 3\)"):
            relu_backward(np.ones(shape), x)
    with pytest.raises(TypeError, match="relu_backward: grad_output"):
        relu_backward(np.ones((2, 3), np.float32), x)


@pytest.mark.parametrize("order", ["channels-last", "channels-first", "strided"])
def test_backward_into_a_given_array(order):
    rng = np.random.default_rng(5)
    x, grad_output = rng.standard_normal((2, 2, 3, 4, 5)).astype(np.float32)
    want = relu_backward(grad_output, x)
    out = np.full((2, 3, 4, 10), 7, np.float32)[..., ::2]
    if order != "strided":
        out = np.ascontiguousarray(out)
    if order == "channels-last":
        out = np.ascontiguousarray(out.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert relu_backward(grad_output, x, out=out) is out
    np.testing.assert_array_equal(out, want)
    out[...] = grad_output
    assert relu_backward(out, x, out=out) is out
    np.testing.assert_array_equal(out, want)


def test_arrays_for_the_result_that_are_refused():
    x, grad_output = np.ones((3, 4)), np.ones((3, 4))
    for out, error, text in [
        (np.ones((4, 3)), ValueError, "out must have shape"),
        (np.ones((3, 4), np.float32), TypeError, "out must have the dtype"),
        ([0.0], TypeError, "out must be a plain"),
        (np.broadcast_to(np.ones(4), (3, 4)), ValueError, "writeable"),
        (x, ValueError, "overlaps x"),
    ]:
        with pytest.raises(error, match=f"relu_backward: .*{text}"):
            relu_backward(grad_output, x, out=out)
    both = np.ones((4, 4))
    with pytest.raises(ValueError, match="overlaps grad_output"):
        relu_backward(both[1:], x, out=both[:-1])
    np.testing.assert_array_equal(both, 1)
