"""What is peculiar to the convolution; see test_all_ops.py for the rest."""

import numba
import numpy as np
import pytest
from op_checks import nerr

from odyssey import reference
from odyssey.ops.conv import conv2d, conv2d_backward

# N, C, H, W, K, size of kernel, stride, padding
SHAPES = [
    (2, 3, 9, 8, 5, 1, 1, 0),
    (2, 3, 9, 8, 5, 1, 2, 0),
    (2, 4, 8, 9, 3, 3, 1, 1),
    (2, 4, 9, 8, 3, 3, 2, 1),
    (1, 2, 33, 47, 6, 3, 3, 2),
    (1, 3, 33, 47, 2, 5, 2, 2),
    (2, 1, 11, 10, 4, 5, 1, 0),
    (1, 3, 33, 47, 5, 7, 2, 3),
    (2, 2, 10, 13, 1, 7, 3, 1),
]
# first layer, one of each width, a projection: of two images each
NETWORK_LAYERS = [
    (2, 3, 32, 32, 64, 3, 1, 1),
    (2, 64, 32, 32, 64, 3, 1, 1),
    (2, 128, 16, 16, 256, 3, 2, 1),
    (2, 128, 16, 16, 256, 1, 2, 0),
    (2, 512, 4, 4, 512, 3, 1, 1),
]
# one pixel; columns split over threads; pixels in parts; slices that end within a tap
MANY_COLUMNS = [
    (1, 130, 1, 1, 70, 1, 1, 0),
    (5, 600, 3, 3, 130, 1, 2, 0),
    (6, 70, 33, 33, 130, 1, 2, 0),
    (2, 30, 9, 8, 70, 5, 1, 1),
]
DTYPES = [np.float32, np.float64]


def make(shape, draw):
    """Input, kernel, bias, upstream gradient drawn by ``draw``; stride and padding."""
    N, C, H, W, K, size, stride, padding = shape
    P, Q = ((length + 2 * padding - size) // stride + 1 for length in (H, W))
    shapes = [(N, C, H, W), (K, C, size, size), (K,), (N, K, P, Q)]
    return [draw(s) for s in shapes], (stride, padding)


def normal(seed):
    return np.random.default_rng(seed).standard_normal


def all_results(x, kernel, bias, grad_output, stride, padding, method="auto"):
    out = conv2d(x, kernel, bias, stride, padding, method=method)
    return out, *conv2d_backward(grad_output, x, kernel, stride, padding, method=method)


@pytest.mark.parametrize("dtype", DTYPES)
def test_worked_by_hand(dtype):
    x = np.array([[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]], dtype)
    kernel = np.array([[[[1, 0], [2, -1]]]], dtype)
    out = conv2d(x, kernel, np.array([10], dtype))
    # top left: 1*1 + 2*4 - 1*5 = 4; each step right adds 2, each step down 6
    np.testing.assert_array_equal(out, [[[[14, 16], [20, 22]]]])

    grad_output = np.array([[[[1, 2], [3, 4]]]], dtype)
    grad_input, grad_kernel, grad_bias = conv2d_backward(grad_output, x, kernel)
    # each gradient, times the kernel, added where its window lay
    np.testing.assert_array_equal(
        grad_input, [[[[1, 2, 0], [2 + 3, -1 + 4 + 4, -2], [6, -3 + 8, -4]]]]
    )
    # e.g. the first weight met 1, 2, 4, 5: 1*1 + 2*2 + 3*4 + 4*5
    np.testing.assert_array_equal(grad_kernel, [[[[37, 47], [67, 77]]]])
    np.testing.assert_array_equal(grad_bias, [10])


def test_the_kernel_is_not_turned():
    x = np.zeros((1, 1, 3, 3))
    x[0, 0, 0, 2] = 1  # a single pixel picks out one weight
    kernel = np.arange(9.0).reshape(1, 1, 3, 3)
    assert conv2d(x, kernel) == kernel[0, 0, 0, 2]


def integer_results(x, kernel, bias, grad_output, stride, padding):
    """All four sums in int64, one position of the kernel after the other."""
    H, W = x.shape[2:]
    P, Q = grad_output.shape[2:]
    sides = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    padded = np.pad(x, sides)
    out = np.zeros_like(grad_output) + bias[:, None, None]
    grad_padded, grad_kernel = np.zeros_like(padded), np.zeros_like(kernel)
    for r, s in np.ndindex(*kernel.shape[2:]):
        rows = slice(r, r + (P - 1) * stride + 1, stride)
        columns = slice(s, s + (Q - 1) * stride + 1, stride)
        seen, weights = padded[:, :, rows, columns], kernel[:, :, r, s]
        out += np.einsum("ncpq,kc->nkpq", seen, weights)
        grad_kernel[:, :, r, s] = np.einsum("nkpq,ncpq->kc", grad_output, seen)
        grad_padded[:, :, rows, columns] += np.einsum(
            "nkpq,kc->ncpq", grad_output, weights
        )
    grad_input = grad_padded[:, :, padding : padding + H, padding : padding + W]
    return out, grad_input, grad_kernel, grad_output.sum((0, 2, 3))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*SHAPES, *MANY_COLUMNS], ids=str)
def test_small_integers_come_out_exactly(shape, dtype):
    # |sums| stay far below 2**24: float32 has no excuse, whatever the order of the sum
    draw = np.random.default_rng(1).integers
    integers, geometry = make(shape, lambda size: draw(-8, 9, size))
    arrays = [array.astype(dtype) for array in integers]
    got = all_results(*arrays, *geometry, method="direct")
    want = integer_results(*integers, *geometry)
    assert max(np.abs(array).max() for array in want) < 2**24
    for value, right in zip(got, want, strict=True):
        assert value.dtype == dtype
        np.testing.assert_array_equal(value, right)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_three_products_are_adjoint(shape):
    (x, kernel, _, g), geometry = make(shape, normal(2))
    out = conv2d(x, kernel, None, *geometry)
    grad_input, grad_kernel, _ = conv2d_backward(g, x, kernel, *geometry)
    scale = np.abs(out * g).sum()
    assert abs((out * g).sum() - (x * grad_input).sum()) <= 1e-12 * scale
    assert abs((out * g).sum() - (kernel * grad_kernel).sum()) <= 1e-12 * scale


@pytest.mark.parametrize("shape", NETWORK_LAYERS, ids=str)
def test_layers_of_the_network_in_float32_are_near_float64(shape):
    arrays, geometry = make(shape, normal(3))
    arrays = [array.astype(np.float32) for array in arrays]
    x, kernel, bias, g = (array.astype(np.float64) for array in arrays)
    results = all_results(*arrays, *geometry, method="direct")
    out, grad_input, grad_kernel, grad_bias = results
    assert nerr(out, reference.conv2d(x, kernel, bias, *geometry)) <= 5e-6
    want = reference.conv2d_backward(g, x, kernel, *geometry)
    assert nerr(grad_input, want[0]) <= 5e-6
    assert nerr(grad_kernel, want[1]) <= 2e-5
    assert nerr(grad_bias, want[2]) <= 5e-6


def test_grad_bias_of_many_pixels():
    # one running float32 sum of ones would stop at 2**24, and of 0.1 far before
    side = 4096
    x = np.zeros((1, 1, side, side + 1), np.float32)
    kernel = np.ones((1, 1, 1, 1), np.float32)
    for value in (1.0, 0.1):
        g = np.full((1, 1, side, side + 1), value, np.float32)
        grad_bias = conv2d_backward(g, x, kernel, needs_grad_input=False)[2]
        want = g.size * float(np.float32(value))
        assert abs(grad_bias[0] - want) <= 1e-6 * want


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [SHAPES[7], *MANY_COLUMNS], ids=str)
def test_bits_do_not_depend_on_the_number_of_threads(shape, dtype):
    arrays, geometry = make(shape, normal(4))
    arrays = [array.astype(dtype) for array in arrays]
    bits, before = [], numba.get_num_threads()
    for threads in {1, min(2, numba.config.NUMBA_NUM_THREADS)}:
        numba.set_num_threads(threads)
        bits.append([value.tobytes() for value in all_results(*arrays, *geometry)])
    numba.set_num_threads(before)
    assert all(other == bits[0] for other in bits)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_gradient_of_the_input_can_be_left_out(shape):
    (x, kernel, _, g), geometry = make(shape, normal(5))
    want = conv2d_backward(g, x, kernel, *geometry)
    got = conv2d_backward(g, x, kernel, *geometry, needs_grad_input=False)
    assert got[0] is None
    for value, right in zip(got[1:], want[1:], strict=True):
        np.testing.assert_array_equal(value, right)


def test_pixels_that_no_window_reaches_have_no_gradient():
    rng = np.random.default_rng(6)
    x, kernel = rng.standard_normal((1, 2, 6, 6)), rng.standard_normal((3, 2, 1, 1))
    grad_input = conv2d_backward(np.ones((1, 3, 2, 2)), x, kernel, stride=3)[0]
    reached = np.zeros((6, 6), bool)
    reached[::3, ::3] = True
    assert not grad_input[:, :, ~reached].any()
    assert grad_input[:, :, reached].all()


@pytest.mark.parametrize("shape", MANY_COLUMNS, ids=str)
def test_what_is_not_finite_stays_in_its_channel_and_in_its_call(shape):
    (x, kernel, _, g), geometry = make(shape, normal(12))
    before = conv2d_backward(g, x, kernel, *geometry)[1]
    for array, value in ((x, np.nan), (g, np.inf)):
        kept, array[0, -1, 0, 0] = array[0, -1, 0, 0], value
        got = conv2d_backward(g, x, kernel, *geometry)[1]
        with np.errstate(invalid="ignore"):
            want = reference.conv2d_backward(g, x, kernel, *geometry)[1]
        array[0, -1, 0, 0] = kept
        assert not np.isfinite(want).all()
        for wrong in (np.isnan, np.isinf):
            np.testing.assert_array_equal(wrong(got), wrong(want))
    np.testing.assert_array_equal(conv2d_backward(g, x, kernel, *geometry)[1], before)


def test_padding_holds_zeros_even_beside_infinities():
    x = np.full((1, 1, 2, 2), np.inf)
    out = conv2d(x, np.ones((1, 1, 1, 1)), None, 1, 1)
    assert np.isinf(out[0, 0, 1:3, 1:3]).all()
    assert np.isfinite(out).sum() == 12


# stride 3 with a 1x1 kernel leaves pixels that no tap reaches, and stride 9 has more
# phases than the kernel goes through
@pytest.mark.parametrize("size, stride", [(3, 1), (3, 2), (1, 3), (1, 9)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.5, np.inf])
def test_what_is_added_to_the_gradient_of_the_input(value, dtype, size, stride):
    rng = np.random.default_rng(11)
    x = rng.standard_normal((2, 17, 11, 10)).astype(dtype)
    kernel = rng.standard_normal((20, 17, size, size)).astype(dtype)
    kernel[0, 0, 0, 0] = value
    grad_output = np.ones_like(conv2d(x, kernel, None, stride, 1))
    addend = 10 * rng.standard_normal(x.shape).astype(dtype)
    before = addend.copy()
    with np.errstate(invalid="ignore"):
        alone = conv2d_backward(grad_output, x, kernel, stride, 1)
        both = conv2d_backward(grad_output, x, kernel, stride, 1, addend=addend)
    assert both[0].dtype == dtype
    np.testing.assert_allclose(both[0], alone[0] + addend, rtol=1e-4, atol=1e-4)
    for with_addend, without in zip(both[1:], alone[1:], strict=True):
        np.testing.assert_array_equal(with_addend, without)
    np.testing.assert_array_equal(addend, before)


def test_addends_that_are_refused():
    x, kernel = np.ones((1, 2, 5, 5)), np.ones((3, 2, 3, 3))
    grad_output = np.ones((1, 3, 3, 3))
    with pytest.raises(ValueError, match="conv2d_backward: addend must have shape"):
        conv2d_backward(grad_output, x, kernel, addend=grad_output)
    with pytest.raises(TypeError, match="conv2d_backward: addend must have the dtype"):
        conv2d_backward(grad_output, x, kernel, addend=x.astype(np.float32))


@pytest.mark.parametrize("left_out", ["grad_input", "grad_kernel", "grad_bias"])
@pytest.mark.parametrize("N", [0, 1])
def test_a_gradient_that_is_not_needed_is_left_out(left_out, N):
    x, kernel = np.ones((N, 2, 5, 5)), np.ones((3, 2, 3, 3))
    grad_output = np.ones((N, 3, 3, 3))
    options = {f"needs_{left_out}": False}
    found = conv2d_backward(grad_output, x, kernel, **options)
    names = ("grad_input", "grad_kernel", "grad_bias")
    for name, got, want in zip(
        names, found, conv2d_backward(grad_output, x, kernel), strict=True
    ):
        if name == left_out:
            assert got is None
        else:
            np.testing.assert_array_equal(got, want)
