"""Winograd's way with stride 2; see test_conv_methods.py for that with stride 1."""

import numba
import numpy as np
import pytest
from op_checks import nerr

from odyssey import gradcheck, reference
from odyssey.ops.conv import conv2d, conv2d_backward, winograd_strided

# N, C, H, W, K: images smaller than a tile, whole tiles, tiles cut off by one pixel and
# by more on each side, channels in one block, in several, and filling none
SHAPES = [
    (1, 1, 1, 1, 1),
    (2, 3, 2, 3, 16),
    (1, 2, 7, 8, 1),
    (2, 3, 8, 8, 3),
    (1, 16, 9, 16, 20),
    (2, 5, 33, 47, 6),
    (3, 1, 17, 1, 16),
    (1, 70, 6, 15, 130),
    (2, 130, 13, 10, 70),
    (40, 64, 8, 8, 20),
]


def make(shape, seed, dtype=np.float64):
    N, C, H, W, K = shape
    rng = np.random.default_rng(seed)
    sizes = [(N, C, H, W), (K, C, 3, 3), (K,), (N, K, (H + 1) // 2, (W + 1) // 2)]
    return [rng.standard_normal(size).astype(dtype) for size in sizes]


def results(arrays, method="winograd"):
    x, kernel, bias, grad_output = arrays
    out = conv2d(x, kernel, bias, 2, 1, method=method)
    return out, *conv2d_backward(grad_output, x, kernel, 2, 1, method=method)


def twin(arrays):
    x, kernel, bias, grad_output = arrays
    out = reference.conv2d(x, kernel, bias, 2, 1)
    return out, *reference.conv2d_backward(grad_output, x, kernel, 2, 1)


@pytest.fixture(autouse=True)
def _only_winograd(monkeypatch, request):
    """Fail where a result is summed directly after all, but for what may need it."""
    if "not_finite" in request.node.name or "large" in request.node.name:
        return
    for name in ("forward", "grad_input", "grad_kernel"):
        way = getattr(winograd_strided, name)

        def finished(*arguments, way=way, **made):
            assert way(*arguments, **made)
            return True

        monkeypatch.setattr(winograd_strided, name, finished)


@pytest.mark.parametrize(("dtype", "bound"), [(np.float64, 1e-12), (np.float32, 1e-4)])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_all_products_agree_with_the_twin(shape, dtype, bound):
    arrays = make(shape, 1, dtype)
    right = twin([array.astype(np.float64) for array in arrays])
    for got, want in zip(results(arrays), right, strict=True):
        assert got.shape == want.shape
        assert got.dtype == dtype
        assert nerr(got, want) <= bound


@pytest.mark.parametrize("shape", [(1, 2, 1, 2, 2), (2, 3, 9, 4, 2)], ids=str)
def test_gradients_by_central_differences(shape):
    x, kernel, bias, _ = make(shape, 2)
    gradcheck(
        lambda *a: conv2d(*a, 2, 1, method="winograd"),
        lambda g, x, kernel, bias: conv2d_backward(
            g, x, kernel, 2, 1, method="winograd"
        ),
        [x, kernel, bias],
    )


@pytest.mark.parametrize("shape", [SHAPES[2], SHAPES[5], SHAPES[7]], ids=str)
def test_addend_and_relu(shape):
    x, kernel, bias, grad_output = make(shape, 3)
    addend = np.random.default_rng(4).standard_normal(grad_output.shape)
    ending = {"addend": addend, "relu": True, "method": "winograd"}
    got = conv2d(x, kernel, bias, 2, 1, **ending)
    want = np.maximum(reference.conv2d(x, kernel, bias, 2, 1) + addend, 0)
    assert 0 < (want == 0).mean() < 1
    assert nerr(got, want) <= 1e-12
    addend = np.random.default_rng(5).standard_normal(x.shape)
    got, *_ = conv2d_backward(
        grad_output, x, kernel, 2, 1, addend=addend, method="winograd"
    )
    want, *_ = reference.conv2d_backward(grad_output, x, kernel, 2, 1)
    assert nerr(got, want + addend) <= 1e-12


@pytest.mark.parametrize("C, side", [(64, 32), (128, 16), (256, 8)])
def test_error_in_float32_of_the_layers_of_the_network(C, side):
    arrays = make((4, C, side, side, 2 * C), 6, np.float32)
    arrays[1] *= np.float32(np.sqrt(2 / (9 * C)))  # He's initialisation
    right = results([array.astype(np.float64) for array in arrays], "direct")
    for got, want in zip(results(arrays), right, strict=True):
        error = np.linalg.norm(got - want) / np.linalg.norm(want)
        assert error < 2e-5


@pytest.mark.parametrize("shape", [SHAPES[5], SHAPES[7], SHAPES[9]], ids=str)
def test_bits_do_not_depend_on_threads_or_on_what_ran_before(shape):
    arrays = make(shape, 7, np.float32)
    bits, before = set(), numba.get_num_threads()
    for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS), 1):
        numba.set_num_threads(threads)
        bits.add(b"".join(array.tobytes() for array in results(arrays)))
        # leaves other numbers in the buffers that calls share
        results(make((2, 80, 13, 9, 48), 8, np.float32))
    numba.set_num_threads(before)
    assert len(bits) == 1


def test_channels_in_parts_give_the_same_bits_as_in_one(monkeypatch):
    """One chunk of tiles for two threads: each computes half of the kernels."""
    arrays = make((1, 130, 9, 9, 140), 9, np.float32)
    before = numba.get_num_threads()
    got = []
    for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
        numba.set_num_threads(threads)
        got.append(results(arrays))
    numba.set_num_threads(before)
    for one, two in zip(*got, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", [0, 1, 2, 3], ids=["x", "kernel", "bias", "grad"])
@pytest.mark.parametrize("at", [0.5, 0.57])
def test_what_is_not_finite_goes_where_the_twin_has_it(which, value, at):
    arrays = make((1, 16, 17, 17, 16), 10)
    arrays[which].flat[int(arrays[which].size * at)] = value
    with np.errstate(invalid="ignore"):
        right = twin(arrays)
    for got, want in zip(results(arrays), right, strict=True):
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        np.testing.assert_array_equal(np.isinf(got), np.isinf(want))


def test_large_numbers_do_not_overflow_in_the_transforms():
    arrays = make((1, 16, 16, 16, 16), 11, np.float32)
    arrays[0] *= np.float32(1e37)
    arrays[1] *= np.float32(0.01)
    for value in results(arrays):
        assert np.isfinite(value).all()


def test_auto_takes_it_where_it_can_pay(monkeypatch):
    kernel = np.zeros((64, 64, 3, 3))
    assert winograd_strided.worthwhile(kernel, 128, 16, 16)
    for product in ("forward", "grad_input", "grad_kernel"):
        for channels, least in [(8, 128), (127, 128), (128, 16)]:
            layer = np.zeros((512, channels, 3, 3))
            assert winograd_strided.worthwhile(layer, least, 4, 4, product)
            assert not winograd_strided.worthwhile(layer, least - 1, 4, 4, product)
    assert not winograd_strided.worthwhile(kernel[:, :7], 128, 16, 16)
    assert not winograd_strided.worthwhile(kernel, 128, 5, 5)  # 2.6 times the results

    taken = []
    for name in ("forward", "grad_input", "grad_kernel"):
        monkeypatch.setattr(
            winograd_strided, name, lambda *_, name=name, **__: taken.append(name)
        )
    x, kernel, _, grad_output = make((128, 64, 7, 8, 64), 12, np.float32)
    conv2d(x, kernel, None, 2, 1)
    conv2d_backward(grad_output, x, kernel, 2, 1)
    assert taken == ["forward", "grad_input", "grad_kernel"]
    for stride, padding in ((1, 1), (2, 0), (2, 2), (3, 1)):
        conv2d(x, kernel, None, stride, padding)
    conv2d(x[:127], kernel, None, 2, 1)
    assert len(taken) == 3
