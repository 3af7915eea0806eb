"""Products of whole matrices, against NumPy's in float64."""

import numba
import numpy as np
import pytest

from odyssey.kernels import matrix
from odyssey.kernels.simd import width

dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def drawn(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def sizes(dtype):
    """Less than a block of columns, one, one and a part, several."""
    block = 2 * width(np.empty(0, dtype))
    return 1, block - 1, block, block + 1, 3 * block + block // 2, 4 * block


@dtypes
@pytest.mark.parametrize("terms", [1, 7, 300])
def test_products_of_rows(dtype, terms):
    for rows in sizes(dtype):
        x, out = drawn(rows, terms, dtype=dtype), np.full((rows, rows), 9, dtype)
        matrix.products_of_rows(x, out)
        bound = np.finfo(dtype).eps * (terms + 2) * (abs(x) @ abs(x.T))
        assert (abs(out - x.astype(float) @ x.T) <= bound).all()
        np.testing.assert_array_equal(out, out.T)


@dtypes
@pytest.mark.parametrize(("rows", "terms"), [(1, 1), (3, 7), (29, 29), (16, 300)])
def test_product(dtype, rows, terms):
    for columns in sizes(dtype):
        a, b = drawn(rows, terms, dtype=dtype), drawn(terms, columns, dtype=dtype)
        out = np.full((rows, columns), 9, dtype)
        matrix.product(a, b, out)
        bound = np.finfo(dtype).eps * (terms + 2) * (abs(a) @ abs(b))
        assert (abs(out - a.astype(float) @ b) <= bound).all()


def test_the_bits_do_not_depend_on_the_threads():
    a, x, results = drawn(100, 100), drawn(100, 333), set()
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        gram, out = np.empty((100, 100), "f4"), np.empty((100, 333), "f4")
        matrix.products_of_rows(x, gram)
        matrix.product(a, x, out)
        results.add(gram.tobytes() + out.tobytes())
    assert len(results) == 1
