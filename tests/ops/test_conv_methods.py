"""Winograd's way beside the direct one; see test_conv.py for what they share."""

import ml_dtypes
import numba
import numpy as np
import pytest
from op_checks import nerr

from odyssey import gradcheck, reference
from odyssey.kernels import winograd_kernel
from odyssey.kernels.tile_registers import registers
from odyssey.ops.conv import (
    conv2d,
    conv2d_backward,
    tiles,
    winograd,
    winograd_domain,
)

# N, C, H, W, K, padding: fewer pixels than a tile, whole tiles, tiles cut off on each
# side, channels in one block, in several, and filling none, tiles in several parts
SHAPES = [
    (1, 1, 3, 3, 1, 0),
    (2, 3, 4, 4, 2, 1),
    (1, 16, 9, 7, 20, 1),
    (2, 5, 33, 47, 6, 2),
    (1, 70, 6, 5, 130, 3),
    (1, 2, 1, 1, 3, 1),
    (3, 64, 8, 8, 64, 1),
    (8, 20, 32, 33, 18, 1),
]


def make(shape, seed, dtype=np.float64):
    N, C, H, W, K, padding = shape
    P, Q = H + 2 * padding - 2, W + 2 * padding - 2
    rng = np.random.default_rng(seed)
    sizes = [(N, C, H, W), (K, C, 3, 3), (K,), (N, K, P, Q)]
    return [rng.standard_normal(size).astype(dtype) for size in sizes], padding


def results(arrays, padding, method):
    x, kernel, bias, grad_output = arrays
    out = conv2d(x, kernel, bias, 1, padding, method=method)
    return out, *conv2d_backward(grad_output, x, kernel, 1, padding, method=method)


def twin(arrays, padding):
    x, kernel, bias, grad_output = arrays
    out = reference.conv2d(x, kernel, bias, 1, padding)
    return out, *reference.conv2d_backward(grad_output, x, kernel, 1, padding)


@pytest.mark.parametrize(("dtype", "bound"), [(np.float64, 1e-12), (np.float32, 1e-4)])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_all_products_agree_with_the_twin(shape, dtype, bound):
    arrays, padding = make(shape, 1, dtype)
    right = twin([array.astype(np.float64) for array in arrays], padding)
    for got, want in zip(results(arrays, padding, "winograd"), right, strict=True):
        assert got.shape == want.shape
        assert got.dtype == dtype
        assert nerr(got, want) <= bound


@pytest.mark.parametrize("shape", [*SHAPES[:2], (2, 3, 6, 5, 4, 2)], ids=str)
def test_gradients_by_central_differences(shape):
    (x, kernel, bias, _), padding = make(shape, 2)
    gradcheck(
        lambda *a: conv2d(*a, 1, padding, method="winograd"),
        lambda g, x, kernel, bias: conv2d_backward(
            g, x, kernel, 1, padding, method="winograd"
        ),
        [x, kernel, bias],
    )


@pytest.mark.parametrize("C, side", [(64, 32), (128, 16), (256, 8), (512, 4)])
def test_error_in_float32_of_the_layers_of_the_network(C, side):
    arrays, padding = make((4, C, side, side, C, 1), 3, np.float32)
    arrays[1] *= np.float32(np.sqrt(2 / (9 * C)))  # He's initialisation
    right = results([array.astype(np.float64) for array in arrays], padding, "direct")
    for got, want in zip(results(arrays, padding, "winograd"), right, strict=True):
        error = np.linalg.norm(got - want) / np.linalg.norm(want)
        assert error < 2e-5


@pytest.mark.parametrize("shape", [SHAPES[3], SHAPES[4], SHAPES[6]], ids=str)
def test_bits_do_not_depend_on_threads_or_on_what_ran_before(shape):
    arrays, padding = make(shape, 4, np.float32)
    bits, before = set(), numba.get_num_threads()
    for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS), 1):
        numba.set_num_threads(threads)
        got = results(arrays, padding, "winograd")
        bits.add(b"".join(array.tobytes() for array in got))
        # leaves other numbers in the buffers that calls share
        results(make((2, 80, 13, 9, 48, 1), 5, np.float32)[0], 1, "winograd")
    numba.set_num_threads(before)
    assert len(bits) == 1


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(1, 11, 10), (8, 32, 33)], ids=["chunk", "parts"])
def test_bits_do_not_depend_on_many_threads(monkeypatch, size, stride):
    """Buffers for many threads, on few: channels and kernels are split as well."""
    (N, H, W), C, K, rng = size, 70, 130, np.random.default_rng(8)
    x = rng.standard_normal((N, C, H, W), np.float32)
    kernel = rng.standard_normal((K, C, 3, 3), np.float32)
    P, Q = (H - 1) // stride + 1, (W - 1) // stride + 1
    grad_output = rng.standard_normal((N, K, P, Q), np.float32)
    bits = set()
    for threads in (1, 2, 3, 7, 50):
        monkeypatch.setattr(winograd_domain, "num_threads", lambda n=threads: n)
        given = {"stride": stride, "padding": 1, "method": "winograd"}
        grads = conv2d_backward(grad_output, x, kernel, **given)
        out = conv2d(x, kernel, **given)
        bits.add(b"".join(array.tobytes() for array in (out, *grads)))
    assert len(bits) == 1


@pytest.mark.parametrize("method", ["direct", "winograd"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", [0, 1, 2, 3], ids=["x", "kernel", "bias", "grad"])
def test_what_is_not_finite_goes_where_the_twin_has_it(which, value, method):
    arrays, padding = make((1, 16, 10, 10, 16, 0), 6)
    arrays[which].flat[arrays[which].size // 2] = value
    with np.errstate(invalid="ignore"):
        right = twin(arrays, padding)
    for got, want in zip(results(arrays, padding, method), right, strict=True):
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        np.testing.assert_array_equal(np.isinf(got), np.isinf(want))


def test_large_numbers_do_not_overflow_in_the_transforms():
    arrays, padding = make((1, 16, 8, 8, 16, 1), 7, np.float32)
    arrays[0] *= np.float32(1e37)
    arrays[1] *= np.float32(0.01)
    for value in results(arrays, padding, "winograd"):
        assert np.isfinite(value).all()


@pytest.mark.parametrize(
    ("size", "stride", "method", "text"),
    [
        (3, 2, "winograd", "a padding of 1, got 'winograd'"),
        (3, 3, "winograd", "a padding of 1, got 'winograd'"),
        (5, 1, "winograd", "3 x 3"),
        (3, 1, "fft", "got 'fft'"),
        (3, 1, None, "got None"),
    ],
)
def test_methods_that_are_refused(size, stride, method, text):
    x, kernel = np.zeros((1, 2, 9, 9)), np.zeros((3, 2, size, size))
    with pytest.raises(ValueError, match=f"conv2d: method must .*{text}"):
        conv2d(x, kernel, None, stride, method=method)
    out = conv2d(x, kernel, None, stride)
    with pytest.raises(ValueError, match=f"conv2d_backward: method must .*{text}"):
        conv2d_backward(out, x, kernel, stride, method=method)


def test_auto_takes_winograd_where_it_can_pay():
    kernel = np.zeros((64, 64, 3, 3))
    assert winograd.worthwhile(kernel, 128, 32, 32)
    assert not winograd.worthwhile(kernel[:, :3], 128, 32, 32)
    assert not winograd.worthwhile(kernel, 63, 4, 4)
    assert winograd.worthwhile(kernel, 64, 4, 4)
    large = np.zeros((128, 128, 3, 3))
    assert winograd.worthwhile(large, 1, 8, 8)
    assert not winograd.worthwhile(large, 1, 8, 8, "grad_kernel")
    assert winograd.worthwhile(large, 32, 4, 4, "grad_kernel")


def test_tiles_are_for_bfloat16():
    x, kernel = np.ones((1, 2, 4, 4), np.float32), np.ones((3, 2, 3, 3), np.float32)
    for call in (
        lambda: conv2d(x, kernel, method="tiles"),
        lambda: conv2d_backward(x[:, :1, :2, :2], x, kernel[:1], method="tiles"),
    ):
        with pytest.raises(ValueError, match="unless x is bfloat16, got 'tiles'"):
            call()


def test_auto_takes_tiles_where_the_processor_has_them(monkeypatch):
    rng = np.random.default_rng(3)
    kind = ml_dtypes.bfloat16
    x = rng.standard_normal((2, 16, 6, 6)).astype(kind)
    kernel = rng.standard_normal((16, 16, 3, 3)).astype(kind)
    calls = []
    given = tiles.forward
    monkeypatch.setattr(
        tiles, "forward", lambda *a, **made: calls.append(1) or given(*a)
    )
    for there in (False, True):
        monkeypatch.setattr(tiles, "has_amx", lambda there=there: there)
        # with what stands in for the instructions that are not there
        monkeypatch.setattr(tiles, "registers", lambda n, real: registers(n, False))
        out = conv2d(x, kernel, padding=1)
        assert len(calls) == there
    np.testing.assert_array_equal(out, conv2d(x, kernel, padding=1, method="tiles"))


@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.parametrize("c_width", [8, 24, 40])
def test_sums_of_blocks_of_any_width_are_turned_back(c_width, strided):
    """Where vectors are shorter than with AVX-512, so may blocks of channels be."""
    C, K, parts, rng = 70, 30, 2, np.random.default_rng(9)
    c_blocks = -(-C // c_width)
    sums = rng.standard_normal((parts, c_blocks, 1, 36, c_width, 32))
    whole = sums.transpose(0, 2, 3, 1, 4, 5).reshape(parts, 1, 1, 36, -1, 32)
    padded = np.zeros((parts, 1, 1, 36, 128, 32))
    padded[..., : whole.shape[4], :] = whole
    results = []
    for totals in (sums, padded):
        grad, checks = np.zeros((K, C, 3, 3)), np.zeros((1, C))
        winograd_kernel.totals_to_kernel(totals, strided, grad, checks)
        assert (grad != 0).all() and not checks.any()
        results.append(grad)
    np.testing.assert_array_equal(*results)
