"""A prepared kernel gives the bits that the kernel itself gives."""

import numpy as np
import pytest

import odyssey
from odyssey import PreparedKernel
from odyssey.bfloat16 import bfloat16
from odyssey.kernels import winograd_kernel
from odyssey.ops.conv import winograd_domain
from odyssey.threads import num_threads


def make(K=18, C=20, N=9, dtype=np.float32):
    rng = np.random.default_rng(0)
    kernel, x = rng.standard_normal((K, C, 3, 3)), rng.standard_normal((N, C, 13, 11))
    return x.astype(dtype), kernel.astype(dtype), rng.standard_normal(K).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", ["direct", "winograd", "auto"])
@pytest.mark.parametrize("stride", [1, 2])
def test_same_bits_as_the_kernel(stride, method, dtype):
    x, kernel, bias = make(dtype=dtype)
    prepared = PreparedKernel(kernel)
    for images in (x, x[:2], x[:, :, ::2]):  # the layout is kept, the shape is not
        want = odyssey.conv2d(images, kernel, bias, stride, 1, method=method)
        got = odyssey.conv2d(images, prepared, bias, stride, 1, method=method)
        np.testing.assert_array_equal(got, want)


def test_one_prepared_kernel_serves_both_strides_and_precisions():
    x, kernel, bias = make()
    prepared = PreparedKernel(kernel)
    for images in (x, x.astype(bfloat16())):
        for stride in (1, 2, 1):
            want = odyssey.conv2d(images, kernel, bias, stride, 1, method="winograd")
            got = odyssey.conv2d(images, prepared, bias, stride, 1, method="winograd")
            assert got.dtype == images.dtype
            np.testing.assert_array_equal(got, want)
    assert sorted(prepared.made) == ["places", "strided places"]


def test_the_kernel_is_transformed_once(monkeypatch):
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        winograd_kernel.kernel_to_places(*arguments)

    monkeypatch.setattr(winograd_domain, "kernel_to_places", counted)
    x, kernel, _ = make()
    prepared = PreparedKernel(kernel)
    for _ in range(3):
        odyssey.conv2d(x, prepared, padding=1, method="winograd")
    assert len(calls) == 1


@pytest.mark.parametrize("stride", [1, 2])
def test_a_kernel_that_few_tiles_need_is_transformed_in_between(monkeypatch, stride):
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        winograd_kernel.kernel_to_places(*arguments)

    monkeypatch.setattr(winograd_domain, "kernel_to_places", counted)
    x, kernel, _ = make(N=2)
    few = odyssey.conv2d(x, kernel, stride=stride, padding=1, method="winograd")
    assert not calls
    many = np.concatenate([x] * (64 * num_threads() + 1))
    out = odyssey.conv2d(many, kernel, stride=stride, padding=1, method="winograd")
    assert len(calls) == 1
    np.testing.assert_array_equal(out[: len(x)], few)
    np.testing.assert_array_equal(out[-len(x) :], few)


def test_it_is_a_copy():
    x, kernel, _ = make()
    want = odyssey.conv2d(x, kernel, padding=1, method="winograd")
    prepared = PreparedKernel(kernel)
    kernel[...] = 0
    np.testing.assert_array_equal(
        odyssey.conv2d(x, prepared, padding=1, method="winograd"), want
    )
    assert prepared.shape == kernel.shape and prepared.dtype == kernel.dtype
    with pytest.raises(ValueError, match="read-only"):
        prepared.array[...] = 0


def test_not_finite_results_are_summed_directly():
    x, kernel, _ = make()
    x[0, 0, 5, 5] = np.inf
    want = odyssey.conv2d(x, kernel, padding=1, method="winograd")
    got = odyssey.conv2d(x, PreparedKernel(kernel), padding=1, method="winograd")
    np.testing.assert_array_equal(got, want)
    assert np.isfinite(got[1:]).all()


def test_errors_name_what_is_wrong():
    x, kernel, _ = make()
    with pytest.raises(TypeError, match="PreparedKernel: kernel must be float32 or"):
        PreparedKernel(kernel.astype(np.int32))
    with pytest.raises(ValueError, match="PreparedKernel: kernel must be 4-D"):
        PreparedKernel(kernel[0])
    with pytest.raises(ValueError, match="kernel must have the 3 channels of x"):
        odyssey.conv2d(x[:, :3], PreparedKernel(kernel))
    with pytest.raises(TypeError, match="kernel must have the dtype of x"):
        odyssey.conv2d(x.astype(np.float64), PreparedKernel(kernel))
    with pytest.raises(TypeError, match="conv2d_backward: kernel must be a"):
        odyssey.conv2d_backward(x[:, :18], x, PreparedKernel(kernel), padding=1)
