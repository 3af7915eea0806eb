"""The product of small matrices, against NumPy's in float64."""

import numpy as np
import pytest
from numba import njit

from odyssey.kernels import product
from odyssey.kernels.product import TERMS, Matrix, multiply
from odyssey.kernels.simd import flat, width


@njit
def run(a, b, c, at, steps, add):
    row, column, gap = steps
    M, N, K = c.shape[0], b.shape[1] - gap, b.shape[0]
    multiply(
        Matrix(flat(a), at, row, column),
        Matrix(flat(b), 0, b.shape[1], 1),
        Matrix(flat(c), 0, c.shape[1], 1),
        M,
        N,
        K,
        add,
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("terms", [0, 1, 5, TERMS, TERMS + 3, 2 * TERMS])
@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_products_of_all_panels(dtype, add, transposed, terms, columns):
    rng = np.random.default_rng(terms + columns)
    N = columns * width(np.empty(0, dtype))
    for M in (1, 2, 3, 7, 13, 14, 15, 29, 42):
        a = rng.standard_normal((M, terms)).astype(dtype)
        b = rng.standard_normal((terms, N + 5)).astype(dtype)
        c = rng.standard_normal((M, N + 7)).astype(dtype)
        want = a.astype(float) @ b[:, :N] + add * c[:, :N]
        before = c[:, N:].copy()
        stored = np.concatenate([[9.0], a.T.ravel() if transposed else a.ravel()])
        steps = (1, M, 5) if transposed else (terms, 1, 5)
        run(stored.astype(dtype), b, c, 1, steps, add)
        bound = np.finfo(dtype).eps * (terms + 2) * (abs(a) @ abs(b[:, :N]) + 4)
        assert (abs(c[:, :N] - want) <= bound).all()
        np.testing.assert_array_equal(c[:, N:], before)  # nothing behind the columns


def test_a_row_has_the_same_bits_wherever_it_stands():
    # so that neither the number of threads nor the size of a batch changes results
    rng = np.random.default_rng(3)
    b = rng.standard_normal((70, 32)).astype(np.float32)
    a = np.tile(rng.standard_normal((1, 70)).astype(np.float32), (29, 1))
    c = np.empty((29, 32), np.float32)
    run(a, b, c, 0, (70, 1, 0), False)
    assert (c == c[0]).all()


def test_the_python_body_multiplies_too():
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((15, 9)), rng.standard_normal((9, 16))
    c = np.zeros((15, 16))
    rows, lanes = product.ROWS[0], 2 * width(c)
    right = Matrix(flat(b), 0, 16, 1)
    product.panel_0(
        Matrix(flat(a), 0, 9, 1), right, Matrix(flat(c), 0, 16, 1), 2, 9, False
    )
    np.testing.assert_allclose(c[:rows, :lanes], (a @ b)[:rows, :lanes])
