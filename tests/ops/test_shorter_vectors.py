"""Convolutions with vectors of 32 bytes, on a processor that has those of 64.

How many channels are taken at a time follows from the length of a vector, so there are
blocks of 8, 24 and 40 channels that no other test of such a processor ever sees.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from op_checks import nerr

import odyssey
from odyssey import reference
from odyssey.kernels import simd

# N, C, H, W, K, stride: a few tiles, and so many that each thread has several chunks
SHAPES = [
    (1, 70, 6, 5, 30, 1),
    (2, 40, 9, 8, 24, 2),
    (8, 70, 24, 23, 30, 1),
    (8, 70, 48, 48, 30, 2),
]
BOUNDS = {"winograd": 1e-4, "direct": 1e-5}


def results(ops, shape, dtype, **options):
    """Return a convolution and its two gradients."""
    N, C, H, W, K, stride = shape
    rng = np.random.default_rng(7)
    x = rng.standard_normal((N, H, W, C), np.float32).transpose(0, 3, 1, 2)
    kernel = rng.standard_normal((K, C, 3, 3), np.float32)
    size = N, K, (H - 1) // stride + 1, (W - 1) // stride + 1
    grad_output = rng.standard_normal(size, np.float32)
    x, kernel, grad_output = (a.astype(dtype) for a in (x, kernel, grad_output))
    out = ops.conv2d(x, kernel, None, stride, 1, **options)
    grads = ops.conv2d_backward(grad_output, x, kernel, stride, 1, **options)
    return out, *grads[:2]


def errors():
    """Return the largest error of each method, relative to the largest number."""
    found = dict.fromkeys(BOUNDS, 0.0)
    for shape in SHAPES:
        want = results(reference, shape, np.float64)
        for method in found:
            got = results(odyssey, shape, np.float32, method=method)
            worst = max(nerr(*pair) for pair in zip(got, want, strict=True))
            found[method] = max(found[method], worst)
    return found


@pytest.mark.skipif(simd.BYTES < 64, reason="all tests run with such vectors here")
def test_convolutions_with_shorter_vectors():
    run = subprocess.run(
        [sys.executable, __file__],
        env={
            **os.environ,
            "ODYSSEY_DISABLE": "avx512",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert run.returncode == 0, run.stderr
    width, found = json.loads(run.stdout)
    assert width == 32
    for method, bound in BOUNDS.items():
        assert found[method] <= bound, found


if __name__ == "__main__":
    print(json.dumps([simd.BYTES, errors()]))
