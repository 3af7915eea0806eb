"""Squares transposed in registers, and what is moved so: kernels, lane by lane."""

import numpy as np
import pytest
from numba import njit
from op_checks import nerr

from odyssey.kernels import jit, simd
from odyssey.kernels.simd import flat, width
from odyssey.kernels.transposing import transpose
from odyssey.kernels.winograd_kernel import kernel_to_places, totals_to_kernel
from odyssey.kernels.winograd_strided_transforms import kernel_1d as strided_kernel_1d
from odyssey.kernels.winograd_transforms import kernel_1d
from odyssey.ops.conv.winograd_domain import blocks_of, whole_vectors

DTYPES = np.float32, np.float64, np.uint16
# one of each, whole squares, and squares with a rest of kernels, of channels, of both
SIZES = [(1, 1), (16, 16), (32, 48), (33, 16), (16, 35), (50, 7), (40, 41), (8, 64)]


def turned_square(source, target, at, step, to, row):
    transpose(flat(source), at, step, flat(target), to, row)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_square_is_transposed(dtype):
    W = width(np.empty(0, dtype))
    step, row = W + 3, W + 5
    bits = np.random.default_rng(0).integers(0, 2**15, 3 + W * step)
    source = bits.astype(np.uint16) if dtype == np.uint16 else bits.astype(dtype)
    if dtype == np.uint16:  # no NaN, of which only the sign is kept
        source &= 0xBFFF
    square = source[3:].reshape(W, step)[:, :W]
    compiled = njit(**jit.OPTIONS)(turned_square)
    for function in (compiled, turned_square):
        target = np.zeros(2 + W * row, dtype)
        function(source, target, 3, step, 2, row)
        rows = target[2:].reshape(W, row)
        np.testing.assert_array_equal(rows[:, :W], square.T)
        assert not rows[:, W:].any()
        assert not target[:2].any()


def test_by_hand():
    W = simd.LANES
    source = np.arange(W * W, dtype=np.float32)
    target = np.empty_like(source)
    turned_square(source, target, 0, W, 0, W)
    assert target[:2].tolist() == [0, W]
    assert target[W] == 1


def matrix_of(strided):
    """Return G (6, 3) of stride 1 or 2."""
    transform = strided_kernel_1d if strided else kernel_1d
    return np.stack(transform.py_func(*np.eye(3)))


@pytest.mark.parametrize("strided", [False, True], ids=["stride 1", "stride 2"])
@pytest.mark.parametrize("turned", [False, True], ids=["", "turned"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("K", "C"), SIZES)
def test_kernels_of_any_size_go_to_their_places(K, C, dtype, turned, strided):
    kernel = np.random.default_rng(K * C).standard_normal((K, C, 3, 3)).astype(dtype)
    seen = kernel.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1] if turned else kernel
    blocks, B = blocks_of(len(seen), 32)
    channels = seen.shape[1]
    places = np.full((blocks, 36, channels * B + 16), np.nan, dtype)
    kernel_to_places(kernel, turned, strided, B, places)
    got = places[..., : channels * B].reshape(blocks, 6, 6, channels, B)
    got = got.transpose(0, 4, 3, 1, 2).reshape(blocks * B, channels, 6, 6)
    G = matrix_of(strided)
    want = np.einsum("ia,kcab,jb->kcij", G, seen.astype(np.float64), G)
    assert nerr(got[: len(seen)], want) < 8 * np.finfo(dtype).eps
    # beyond the last kernel lie zeros, so that no sum is spoilt
    assert not got[len(seen) :].any()


@pytest.mark.parametrize("strided", [False, True], ids=["stride 1", "stride 2"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("K", "C"), SIZES)
def test_sums_of_any_size_are_turned_back(K, C, dtype, strided):
    k_blocks, k_width = blocks_of(K, 32)
    width_of_c = whole_vectors(C)
    shape = 1, 1, k_blocks, 36, width_of_c, k_width
    totals = np.random.default_rng(K * C).standard_normal(shape).astype(dtype)
    grad, checks = np.full((K, C, 3, 3), np.nan, dtype), np.zeros((k_blocks, C), dtype)
    totals_to_kernel(totals, strided, grad, checks)
    sums = totals[0, 0].astype(np.float64).transpose(0, 3, 2, 1)
    sums = sums.reshape(k_blocks * k_width, width_of_c, 6, 6)[:K, :C]
    G = matrix_of(strided)
    assert (
        nerr(grad, np.einsum("ia,kcij,jb->kcab", G, sums, G)) < 30 * np.finfo(dtype).eps
    )
    assert not checks.any()


@pytest.mark.parametrize(("K", "C"), [(16, 32), (20, 5)])
def test_a_sum_that_is_not_finite_is_noticed_wherever_it_is(K, C):
    k_blocks, k_width = blocks_of(K, 32)
    totals = np.zeros((1, 1, k_blocks, 36, whole_vectors(C), k_width), np.float32)
    for k, c in ((0, 0), (K - 1, C - 1), (K // 2, 3)):
        spoilt = totals.copy()
        spoilt[0, 0, k // k_width, 7, c, k % k_width] = np.inf
        grad = np.empty((K, C, 3, 3), np.float32)
        checks = np.zeros((k_blocks, C), np.float32)
        totals_to_kernel(spoilt, False, grad, checks)
        assert np.isnan(checks).any()
