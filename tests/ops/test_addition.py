import numpy as np
import pytest

from odyssey.gradcheck import gradcheck
from odyssey.layout import is_channels_last
from odyssey.ops.addition import add, add_backward

SHAPES = [
    ((2, 3, 4, 5), (2, 3, 4, 5)),
    ((2, 3, 4, 5), (3, 1, 1)),
    ((3,), (2, 3)),
    ((2, 1), (1, 3)),
    ((), (2, 3)),
    ((), ()),
    ((1,), (1,)),
    ((0, 3), (3,)),
    ((0, 3), (1, 1)),
]


def channels_last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shapes", SHAPES)
def test_forward_as_numpy(shapes, dtype):
    rng = np.random.default_rng(0)
    a, b = (np.array(rng.standard_normal(shape), dtype) for shape in shapes)
    out = add(a, b)
    assert out.dtype == dtype
    np.testing.assert_array_equal(out, a + b)


@pytest.mark.parametrize("shapes", SHAPES)
def test_backward_gives_separate_buffers(shapes):
    rng = np.random.default_rng(1)
    a, b = (np.array(rng.standard_normal(shape)) for shape in shapes)
    grad_output = np.array(rng.standard_normal((a + b).shape))
    kept = grad_output.copy()
    grads = add_backward(grad_output, a, b)
    assert [grad.shape for grad in grads] == list(shapes)
    for grad in grads:
        assert not np.shares_memory(grad, grad_output)
        grad += 1
    assert not np.shares_memory(*grads)
    np.testing.assert_array_equal(grad_output, kept)


def test_backward_by_hand():
    """The row b was added to both rows of a, so its gradient sums over them."""
    a, b = np.zeros((2, 3)), np.zeros((1, 3))
    grad_a, grad_b = add_backward(np.array([[1.0, 2, 3], [40, 50, 60]]), a, b)
    np.testing.assert_array_equal(grad_a, [[1, 2, 3], [40, 50, 60]])
    np.testing.assert_array_equal(grad_b, [[41, 52, 63]])
    _, grad_b = add_backward(np.array([[1.0, 2, 3], [40, 50, 60]]), a, np.zeros(()))
    assert grad_b.shape == () and grad_b == 156


@pytest.mark.parametrize("shapes", SHAPES[2:7])  # not in op_specs, and not empty
def test_gradcheck(shapes):
    rng = np.random.default_rng(2)
    a, b = (np.array(rng.standard_normal(shape)) for shape in shapes)
    gradcheck(add, add_backward, [a, b], wrt=[0, 1], rng=rng)


def test_long_sum_is_precise():
    """In float32 alone, 2**24 + 1 is 2**24, and all the ones would be lost."""
    grad_output = np.ones((4160, 2), np.float32)
    grad_output[0] = 2.0**24
    _, grad_b = add_backward(grad_output, grad_output, np.zeros(2, np.float32))
    np.testing.assert_array_equal(grad_b, np.float32(2**24 + 4159))
    assert grad_b.dtype == np.float32


@pytest.mark.parametrize("lay_b", [np.copy, channels_last, np.asfortranarray])
def test_layouts(lay_b):
    rng = np.random.default_rng(3)
    a, b, grad_output = rng.standard_normal((3, 2, 3, 4, 5))
    laid_a, laid_b = channels_last(a), lay_b(b)
    out = add(laid_a, laid_b)
    assert is_channels_last(out)
    np.testing.assert_array_equal(out, a + b)
    grad_a, grad_b = add_backward(grad_output, laid_a, laid_b)
    assert is_channels_last(grad_a)
    assert grad_b.strides == laid_b.strides
    np.testing.assert_array_equal(grad_a, grad_output)
    np.testing.assert_array_equal(grad_b, grad_output)


def test_awkward_memory():
    rng = np.random.default_rng(4)
    a = rng.standard_normal((4, 6))
    for b in (a[::-1, ::-1], np.broadcast_to(a[0], a.shape), a.astype(">f8")):
        np.testing.assert_array_equal(add(a, b), a + b)
        np.testing.assert_array_equal(add_backward(b, a, a)[1], b)
        assert add(b, a).dtype.isnative


def test_non_finite_values_pass():
    a = np.array([np.inf, np.inf, np.nan, 1])
    b = np.array([-np.inf, 1, 1, 1])
    np.testing.assert_array_equal(add(a, b), [np.nan, np.inf, np.nan, 2])
    np.testing.assert_array_equal(add(a, b[None])[0], [np.nan, np.inf, np.nan, 2])


def test_errors():
    a = np.ones((2, 3))
    with pytest.raises(ValueError, match=r"add: a and b .*\(2, 3\) and \(2, 4\)"):
        add(a, np.ones((2, 4)))
    with pytest.raises(ValueError, match="add_backward: a and b"):
        add_backward(a, a, np.ones((2, 4)))
    for shape in ((3,), (1, 3), (3, 2)):
        with pytest.raises(ValueError, match="add_backward: grad_output"):
            add_backward(np.ones(shape), a, np.ones(3))
    for wrong in (a.astype(np.float32), a.astype(int), [[1.0]], 1.0):
        with pytest.raises(TypeError, match="add: b must"):
            add(a, wrong)
        with pytest.raises(TypeError, match="add_backward: grad_output must"):
            add_backward(wrong, a, a)
