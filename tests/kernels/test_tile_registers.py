"""The array that stands for tile registers does what Intel's manual says."""

from fractions import Fraction

import numpy as np
import pytest
from tile_cases import to_bfloat16, widened

from odyssey.kernels import tile_registers
from odyssey.kernels.jit import serial
from odyssey.kernels.simd import flat
from odyssey.kernels.tile_registers import (
    configure,
    dot,
    load_tile,
    registers,
    release,
    store_tile,
    zero,
)
from odyssey.kernels.tile_words import transpose


@serial
def multiply_tiles(tiles, a, b, sums, row):
    """Add a @ b to ``sums``, by two tiles of sums that are one after the other."""
    configure(tiles)
    zero(tiles, 3)
    load_tile(tiles, 1, a, 0, 16)
    load_tile(tiles, 7, b, 0, 16)
    load_tile(tiles, 2, sums, 0, row)
    dot(tiles, 2, 1, 7)
    dot(tiles, 3, 1, 7)
    store_tile(tiles, 2, sums, 0, row)
    store_tile(tiles, 3, sums, 16, row)
    release(tiles)


@serial
def compiled(tiles, a, b, sums, row):
    multiply_tiles(flat(tiles), flat(a), flat(b), flat(sums), row)


@serial
def transposed(source, target):
    transpose(flat(source), 0, flat(target), 0)


def words(pairs):
    """Return bfloat16 (16, 16, 2) as words."""
    return np.ascontiguousarray(pairs).view(np.float32).reshape(16, 16)


def multiply(a, b, sums, in_python=False):
    """Return sums + a @ b, a (16, 32), b (32, 16); and a @ b."""
    pairs = to_bfloat16(b).reshape(16, 2, 16).transpose(0, 2, 1)
    both = np.zeros((16, 40), np.float32)
    both[:, :16] = sums
    left, right = words(to_bfloat16(a)), words(pairs)
    tiles = registers(1, real=False)[0]
    if in_python:
        function = getattr(multiply_tiles, "py_func", multiply_tiles)
        function(tiles, left.ravel(), right.ravel(), both.ravel(), 40)
    else:
        compiled(tiles, left, right, both, 40)
    assert not tiles.any() and not both[:, 32:].any()
    return both[:, :16], both[:, 16:32]


def test_a_product():
    rng = np.random.default_rng(0)
    a, b, sums = (rng.standard_normal(size) for size in ((16, 32), (32, 16), (16, 16)))
    right = widened(to_bfloat16(a)).astype(float) @ widened(to_bfloat16(b))
    added, alone = multiply(a, b, sums)
    np.testing.assert_allclose(alone, right, rtol=0, atol=32 * 2**-24 * 32)
    np.testing.assert_allclose(added, right + sums, rtol=0, atol=33 * 2**-24 * 32)


def test_first_and_second_numbers_of_pairs_are_added_up_apart():
    a, b = np.zeros((16, 32)), np.zeros((32, 16))
    a[0, :4], b[:4, 0] = 2.0**12, [2.0**12, 1, -(2.0**12), 1]
    # in the order of the numbers it would be 2^24 + 2^12 - 2^24 + 2^12 as well
    a[1, :4] = [2.0**12, 1, 2.0**12, 1]  # 2^24 + 1 is 2^24 in float32: 1 would be left
    added, alone = multiply(a, b, np.full((16, 16), 2.0**24))
    assert alone[0, 0] == 2.0**13
    assert alone[1, 0] == 2
    assert added[1, 0] == 2.0**24 + 2  # the product is added at once
    assert added[0, 0] == 2.0**24 + 2.0**13


TINY = 2.0**-126


@pytest.mark.parametrize(
    ("a", "b", "sums", "right"),
    [
        (TINY / 2, 2.0**100, 0, 0),  # denormal numbers count as zero
        (TINY, 1, 0, TINY),
        (TINY, 0.5, 0, 0),  # and so do results
        (2.0**-70, -(2.0**-70), 0, 0),
        (2.0**-63, 2.0**-63, -TINY / 4, TINY),  # and sums that are there
        (2.0**-63, 2.0**-63, -1.5 * TINY, 0),
        (1 + 2.0**-7, 1 + 2.0**-7, 2.0**11, 2.0**11 + 1 + 2.0**-6),
        (1, 2.0**-7, 2.0**17, 2.0**17),  # ties to even
        (1, 2.0**-7, 2.0**17 + 2.0**-6, 2.0**17 + 2.0**-5),
        (1 + 2.0**-7, 2.0**-7, 2.0**17, 2.0**17 + 2.0**-6),
        (np.inf, 1, -np.inf, np.nan),
        (np.inf, -1, 5, -np.inf),
        (3e38, 2, 0, np.inf),
    ],
)
def test_numbers_at_the_edges(a, b, sums, right):
    left, other = np.zeros((16, 32)), np.zeros((32, 16))
    with np.errstate(over="ignore"):
        left[:, 5], other[5, :] = a, b
        if not np.isfinite(a):  # Inf times 0 is no number
            other[5, :] = b
        added, _ = multiply(left, other, np.float32(sums))
    np.testing.assert_array_equal(added, np.full((16, 16), right, np.float32))


def test_the_python_of_an_instruction_is_what_is_compiled():
    rng = np.random.default_rng(1)
    a, b, sums = (
        rng.standard_normal(size) * 2.0 ** rng.integers(-70, -50, size)
        for size in ((16, 32), (32, 16), (16, 16))
    )
    for scale in (1, 2.0**60):
        ours = multiply(a * scale, b, sums, in_python=True)
        theirs = multiply(a * scale, b, sums)
        for one, two in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, two)


def test_fused_multiplication_rounds_once():
    rng = np.random.default_rng(2)
    rounded_twice = 0
    for _ in range(2000):
        a, b = (np.float32(n) for n in rng.integers(128, 256, 2))
        # from a million times the product down to a millionth
        c = np.float32(rng.integers(2**23, 2**24) * 2.0 ** rng.integers(-44, 16))
        c *= np.float32(rng.choice([-1, 1]))
        exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
        got = tile_registers.multiply_add(a, b, c)
        below = np.nextafter(got, np.float32(-np.inf))
        above = np.nextafter(got, np.float32(np.inf))
        error = abs(Fraction(float(got)) - exact)
        assert error <= abs(Fraction(float(below)) - exact)
        assert error <= abs(Fraction(float(above)) - exact)
        rounded_twice += Fraction(float(a) * float(b) + float(c)) != exact
    assert rounded_twice > 100


def test_transpose():
    source = np.arange(256, dtype=np.float32)
    target = np.zeros(256, np.float32)
    transposed(source, target)
    np.testing.assert_array_equal(target.reshape(16, 16), source.reshape(16, 16).T)
    transposed.py_func(source, source)
    np.testing.assert_array_equal(source, target)


def test_what_configures_the_processors_own():
    layout = registers(3, real=True)
    assert layout.shape == (3, 64) and layout.dtype == np.uint8
    right = bytes([1, *[0] * 15, *[64, 0] * 8, *[0] * 16, *[16] * 8, *[0] * 8])
    assert [row.tobytes() for row in layout] == [right] * 3
