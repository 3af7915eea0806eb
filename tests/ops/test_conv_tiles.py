"""Convolutions of bfloat16 on tiles, by the array that stands for them."""

import numba
import numpy as np
import pytest
from tile_cases import SHAPES, arrays, in_small_pieces, products, to_bfloat16, widened

from odyssey import memory, reference
from odyssey.ops.conv import tiles

#: Half a step of bfloat16, which has 8 digits, and of float32, which has 24.
HALF_STEP, HALF_STEP_OF_SUMS = 2.0**-8, 2.0**-24


@pytest.fixture(autouse=True)
def _by_the_array(monkeypatch):
    monkeypatch.setattr(tiles, "has_amx", lambda: False)


def in_float64(shape, addends, relu, absolute=False):
    """Return out, grad_input and grad_kernel by the twin, or of absolute values."""
    x, kernel, bias, addend, grad_output, grad_addend = arrays(shape)
    stride, padding = shape[-2:]
    kernel = widened(to_bfloat16(kernel))
    x, addend, grad_output, grad_addend = (
        widened(a).transpose(0, 3, 1, 2) for a in (x, addend, grad_output, grad_addend)
    )
    wide = [
        np.abs(a).astype(np.float64) if absolute else a.astype(np.float64)
        for a in (x, kernel, bias, addend, grad_output, grad_addend)
    ]
    x, kernel, bias, addend, grad_output, grad_addend = wide
    out = reference.conv2d(x, kernel, bias, stride, padding)
    grad_input, grad_kernel, _ = reference.conv2d_backward(
        grad_output, x, kernel, stride, padding
    )
    if addends:
        out, grad_input = out + addend, grad_input + grad_addend
    if relu:
        out = np.maximum(out, 0)
    return out.transpose(0, 2, 3, 1), grad_input.transpose(0, 2, 3, 1), grad_kernel


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("ending", [False, True], ids=["plain", "addend and relu"])
def test_products_err_by_rounding_alone(shape, ending):
    """Sums of n terms err by n half steps of float32 at most, results by one."""
    C, K, size = shape[1], *shape[4:6]
    N, P, Q, _ = arrays(shape)[4].shape
    right = in_float64(shape, ending, ending)
    largest = in_float64(shape, ending, ending, absolute=True)
    terms = size * size * C + 2, size * size * K + 1, N * P * Q
    found = products(shape, addends=ending, relu=ending)
    for got, want, most, n in zip(found, right, largest, terms, strict=True):
        of_sums = (n + 1) * HALF_STEP_OF_SUMS * most
        if got.dtype == np.uint16:
            allowed = of_sums + HALF_STEP * (np.abs(want) + of_sums)
            got = widened(got)
        else:
            allowed = of_sums
        assert got.shape == want.shape
        assert (np.abs(got - want) <= allowed).all()
    if ending and found[0].size > 20:
        assert 0 < (found[0] == 0).mean() < 1


def bits(results):
    return b"".join(result.tobytes() for result in results)


@pytest.mark.parametrize("shape", [SHAPES[2], SHAPES[6], SHAPES[8]], ids=str)
def test_bits_do_not_depend_on_threads_or_on_what_ran_before(shape):
    found, before = set(), numba.get_num_threads()
    for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS), 1):
        numba.set_num_threads(threads)
        found.add(bits(products(shape, addends=True)))
        for name in ("kernel", "patches", "products"):  # what calls share: NaN
            buffer = getattr(memory._buffers, name)
            buffer[:] = 0xFF
    numba.set_num_threads(before)
    assert len(found) == 1


@pytest.mark.parametrize("shape", [SHAPES[1], SHAPES[2], SHAPES[6]], ids=str)
def test_images_are_cut_into_pieces(shape, monkeypatch):
    """The same sums, but for the order of those of grad_kernel."""
    whole = products(shape)
    monkeypatch.setattr(tiles, "_pieces", in_small_pieces)
    cut = products(shape)
    assert bits(whole[:2]) == bits(cut[:2])
    np.testing.assert_allclose(whole[2], cut[2], rtol=1e-4, atol=1e-4)
    assert (whole[2] != cut[2]).any()


def test_rounding_is_to_nearest_even_and_keeps_nan_and_inf():
    half, x = 2.0**-8, np.ones((1, 1, 5, 1), np.uint16)
    x[0, 0, :, 0] = to_bfloat16([1, 1, 1, np.inf, 1])
    x[0, 0, 4, 0] = 0xFFC0  # NaN
    addend = to_bfloat16([half, 3 * half, half + 2.0**-15, 0, 0]).reshape(1, 1, 5, 1)
    out = np.empty_like(x)
    kernel, bias = np.ones((1, 1, 1, 1), np.float32), np.zeros(1, np.float32)
    assert tiles.forward(x, kernel, bias, addend, False, 1, 0, out)
    got = widened(out).ravel()
    assert got[:4].tolist() == [1, 1 + 4 * half, 1 + 2 * half, np.inf]
    assert np.isnan(got[4])


@pytest.mark.parametrize("value", [np.nan, np.inf, 3.4e38])
def test_a_kernel_that_is_not_finite_is_left_to_others(value):
    x, kernel, bias, addend, grad_output, grad_addend = arrays(SHAPES[0])
    kernel.flat[7] = value  # the last is Inf when it is rounded
    out = np.empty_like(grad_output)
    assert not tiles.forward(x, kernel, bias, addend, False, 1, 1, out)
    assert not tiles.grad_input(grad_output, kernel, grad_addend, 1, 1, out)


def test_images_that_are_not_finite():
    x, kernel, bias, addend, grad_output, _ = arrays(SHAPES[0])
    right = np.empty_like(grad_output)
    assert tiles.forward(x, kernel, bias, addend[:0], False, 1, 1, right)
    x[1, 2, 3, 1] = to_bfloat16([np.inf])[0]
    out = np.empty_like(grad_output)
    assert tiles.forward(x, kernel, bias, addend[:0], False, 1, 1, out)
    reached = np.zeros(out.shape, bool)
    reached[1, 1:4, 2:5] = True
    assert np.isinf(widened(out))[reached].all()
    np.testing.assert_array_equal(out[~reached], right[~reached])
    assert not tiles.grad_kernel(grad_output, x, 1, 1, np.empty_like(kernel))


def test_tiles_are_taken_where_they_can_pay(monkeypatch):
    kernel = np.zeros((64, 64, 3, 3))
    assert not tiles.worthwhile(kernel, 128, 32, 32)  # there are none
    monkeypatch.setattr(tiles, "has_amx", lambda: True)
    assert tiles.worthwhile(kernel, 128, 32, 32)
    assert tiles.worthwhile(kernel[:, :3], 128, 32, 32)
    assert tiles.worthwhile(kernel[:, :, :1, :1], 128, 32, 32)
    assert not tiles.worthwhile(kernel[:, :1, :1, :1], 128, 32, 32)
    assert not tiles.worthwhile(kernel, 1, 4, 4)
