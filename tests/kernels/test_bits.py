"""A process that compiles a kernel and one that loads it compute the same bits."""

import os
import subprocess
import sys

#: Prints how many kernels were compiled and loaded, and a hash of all results.
PROGRAM = """
import hashlib
import numpy as np
from odyssey import conv2d, conv2d_backward, warmup

rng = np.random.default_rng(0)
digest = hashlib.sha256()
for N, C, K, H in (3, 5, 7, 11), (1, 100, 70, 12):
    x = rng.standard_normal((N, C, H, H), np.float32)
    kernel = rng.standard_normal((K, C, 3, 3), np.float32)
    y = conv2d(x, kernel, stride=2, padding=1, method="direct")
    g = rng.standard_normal(y.shape, np.float32)
    gradients = conv2d_backward(
        g, x, kernel, stride=2, padding=1, method="winograd"
    )
    for result in (y, *gradients[:2]):
        digest.update(np.ascontiguousarray(result).tobytes())
print(*warmup.counts(), digest.hexdigest())
"""


def run(cache):
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    compiled, loaded, digest = result.stdout.split()
    return int(compiled), int(loaded), digest


def test_a_kernel_that_is_loaded_computes_what_it_did_when_compiled(tmp_path):
    compiled, _, cold = run(tmp_path)
    assert compiled >= 3
    compiled, loaded, warm = run(tmp_path)
    assert compiled == 0 and loaded >= 3
    assert warm == cold
