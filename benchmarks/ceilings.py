"""The highest rates of this machine, with which those of operations are compared."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

MATRIX = 3072  # rows and columns: 38 MB a matrix in float32
COPIED = 2**28  # bytes, beyond every cache
RUNS = 4  # the best of them counts: a ceiling is not lowered by a disturbance


def matrix_product(threads: int) -> float:
    """Return operations per second of a large float32 product by NumPy's BLAS."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((MATRIX, MATRIX), np.float32) for _ in range(2))
    out = np.empty_like(a)
    with threadpool_limits(threads, user_api="blas"):
        seconds = _least_seconds(lambda: np.matmul(a, b, out=out))
    return 2 * MATRIX**3 / seconds


def copy(threads: int) -> float:
    """Return bytes per second, read and written, of a large copy by NumPy."""
    source = np.ones(COPIED // 4, np.float32)
    target = np.zeros_like(source)
    parts = [np.array_split(array, threads) for array in (target, source)]
    with ThreadPoolExecutor(threads) as pool:
        seconds = _least_seconds(lambda: list(pool.map(np.copyto, *parts)))
    return 2 * source.nbytes / seconds


def _least_seconds(run) -> float:
    run()  # compiles, and touches the pages
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)
