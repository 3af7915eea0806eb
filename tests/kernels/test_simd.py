"""Vectors, compiled, do what their Python bodies say; bfloat16 is ml_dtypes'."""

import os
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from numba import njit

from odyssey.kernels import jit, simd
from odyssey.kernels.simd import (
    fill,
    flat,
    fma,
    keep,
    load,
    load_beyond,
    load_if,
    load_part,
    load_wide,
    store,
    store_part,
    where_equal,
    where_greater,
    where_positive,
    wide,
    width,
)
from odyssey.kernels.tiles import distance

DTYPES = (np.float32, np.float64, np.uint16)
SPECIAL = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -3.3e38, 1.0, -2.5]


def numbers(dtype, count, seed=0):
    values = np.random.default_rng(seed).standard_normal(count).astype(np.float32)
    values[: len(SPECIAL)] = SPECIAL[:count]
    if dtype == np.uint16:
        return values.astype(ml_dtypes.bfloat16).view(np.uint16)
    return values.astype(dtype)


def compiled(function):
    return njit(**jit.OPTIONS)(function)


def arithmetic(x, y, out, n):
    W = width(x)
    for i in range(0, n, W):
        a, b = load_part(x, i, n - i), load_part(y, i, n - i)
        v = 2 * a - b * 0.5 + -a / 4
        v = where_greater(a, b, v, where_positive(b, a))
        v = where_equal(a, where_greater(b, a, b, a), v, v * 3)
        store_part(out, i, v + fill(x, 1), n - i)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 7, 8, 16, 33, 64])
def test_arithmetic_is_that_of_the_python_body(dtype, n):
    x, y = numbers(dtype, n), numbers(dtype, n, 1)[::-1].copy()
    got, want = np.zeros((2, n + 3), dtype)
    compiled(arithmetic)(x, y, got, n)
    with np.errstate(invalid="ignore", over="ignore"):
        arithmetic(x, y, want, n)
    assert np.any(want[:n])
    np.testing.assert_array_equal(got, want)  # and nothing written behind the end


def fused(x, y, out):
    a, b, c = load(x, 0), load(y, 0), load(x, 1)
    W = width(x)
    store(out, 0, fma(a, b, c))
    store(out, W, fma(-3, a, 0.5))
    store(out, 2 * W, fma(x[3], 0.25, b))
    out[3 * W] = fma(x[1], y[1], x[2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fma_is_that_of_the_python_body(dtype):
    # small integers and halves: exact, so that one rounding more makes no difference
    x, y = np.random.default_rng(3).integers(-9, 9, (2, 20)).astype(dtype) / 2
    got, want = np.zeros((2, 4 * 16), dtype)
    compiled(fused)(x, y, got)
    fused(x, y, want)
    assert want.any()
    np.testing.assert_array_equal(got, want)


def unfused(x, y, products, out):
    store(out, 0, load(x, 0) * load(y, 0) - load(products, 0))
    for i in range(width(x), len(x)):  # LLVM makes vectors of its own
        out[i] = x[i] * y[i] - products[i]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_is_fused_that_is_not_written_so(dtype):
    x, y, out = np.random.default_rng(4).standard_normal((3, 99)).astype(dtype)
    compiled(unfused)(x, y, x * y, out)
    assert not out.any()


def moves(x, out, sums, n):
    a, b, s = flat(x), flat(out), flat(sums)
    W = width(a)
    store(b, 0, load(a, 1))
    store(b, W, load_if(n > 0, a, 2, W - 1))
    store(b, 2 * W, load_if(n < 0, a, 2, W - 1))
    store_part(b, 3 * W, load(a, 0), 0)
    store_part(b, 4 * W, load_part(a, 0, -3), W)
    store(s, 0, load_wide(s, 1, a) + wide(load(a, 0)))
    store(b, 5 * W, fill(b, a[3]) if n < 0 else load(a, 3))


@pytest.mark.parametrize("dtype", DTYPES)
def test_moves_are_those_of_the_python_body(dtype):
    x = numbers(dtype, 40, 2)
    got, want = (np.ones(6 * 16, dtype) for _ in range(2))
    sums, more = (np.arange(40.0) for _ in range(2))
    compiled(moves)(x, got, sums, 1)
    moves(x, want, more, 1)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(sums, more)


@pytest.mark.parametrize("dtype", DTYPES)
def test_beyond_an_array_are_zeros_elsewhere(dtype):
    x, zeros = np.ones(24, dtype), np.zeros(24, dtype)
    out, beyond = np.ones((2, 2 * 16), dtype), distance.py_func(x, zeros)

    def run(x, out, beyond):
        W = width(x)
        store(out, 0, load_beyond(x, 3, W - 2))
        store(out, W, load_beyond(x, beyond + 5, W))

    compiled(run)(x, out[0], beyond)
    run(x, out[1], beyond)
    W = width(x)
    assert out[0, :W].astype(bool).tolist() == [True] * (W - 2) + [False] * 2
    assert not out[0, W : 2 * W].any()
    np.testing.assert_array_equal(*out)
    assert distance(x, zeros) == beyond
    assert distance(x, x[7:]) == 7


def test_a_position_may_lie_anywhere_if_nothing_is_loaded():
    x, out = np.ones(3, np.float32), np.ones(16, np.float32)

    def run(x, out):
        store(out, 0, load_part(x, 10**9, 0) + load_if(False, x, -(10**9), 16))

    compiled(run)(x, out)
    assert not out[: simd.LANES].any()


def round_trip(x, out):
    for i in range(0, len(x), width(x)):
        store(out, i, load(x, i))


def test_every_bfloat16_is_widened_exactly():
    bits = np.arange(2**16, dtype=np.uint16)
    out = np.empty(2**16, np.float32)
    compiled(round_trip)(bits, out)
    want = bits.view(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(out, want)


def test_rounding_is_that_of_ml_dtypes():
    # each upper half with lower halves on both sides of the middle, and on it
    upper = np.arange(2**16, dtype=np.uint32)[:, None] << 16
    lower = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    x = (upper | lower).reshape(-1).view(np.float32)
    out = np.empty(x.size, np.uint16)
    compiled(round_trip)(x, out)
    with np.errstate(invalid="ignore", over="ignore"):
        want = x.astype(ml_dtypes.bfloat16).view(np.uint16)
    np.testing.assert_array_equal(out, want)
    # and the Python body's
    np.testing.assert_array_equal(simd._narrowed(x), want)


OWN = os.environ.get("ODYSSEY_DISABLE", "")


@pytest.mark.parametrize("disabled", [OWN, "avx512"])
def test_the_width_follows_from_the_processor(disabled):
    environment = {**os.environ, "ODYSSEY_DISABLE": disabled}
    source = "from odyssey.kernels import simd; print(simd.BYTES)"
    run = [sys.executable, "-c", source]
    result = subprocess.run(run, env=environment, capture_output=True, text=True)
    expected = simd.BYTES if disabled == OWN else min(simd.BYTES, 32)
    assert result.stdout.strip() == str(expected)


def test_a_feature_that_is_not_known_is_named():
    environment = {**os.environ, "ODYSSEY_DISABLE": "sse9"}
    run = [sys.executable, "-c", "import odyssey.kernels.simd"]
    result = subprocess.run(run, env=environment, capture_output=True, text=True)
    assert result.returncode == 1
    assert "ODYSSEY_DISABLE: expected avx512" in result.stderr
    assert "'sse9'" in result.stderr


def test_an_array_lives_until_it_is_kept():
    @njit
    def first_of(count):
        zeros = np.zeros(count, np.float32)
        memory = flat(zeros)
        ones = np.ones(count, np.float32)  # in the place of the zeros, if that is free
        value = memory[0]
        keep(zeros)
        return value, ones[0]

    for count in (16, 300, 5000):
        assert first_of(count) == (0, 1)
