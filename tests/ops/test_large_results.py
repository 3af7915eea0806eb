"""Results that are written past the caches have the bits of those that are not."""

import numpy as np
import pytest

from odyssey import (
    add,
    avgpool2d,
    avgpool2d_backward,
    batch_norm2d,
    batch_norm2d_backward,
    conv2d,
    conv2d_backward,
    gelu,
    gelu_backward,
    maxpool2d,
    maxpool2d_backward,
    relu,
    relu_backward,
)
from odyssey.kernels.ending import LARGE

C = 16
#: Images of 32x32 with 16 channels that are large together, and not by halves.
N = LARGE // (32 * 32 * C * 4) // 2 * 2 + 2
RNG = np.random.default_rng(7)
X, G = (
    RNG.standard_normal((N, 32, 32, C), np.float32).transpose(0, 3, 1, 2)
    for _ in range(2)
)
KERNEL = RNG.standard_normal((C, C, 3, 3), np.float32)
ONE = RNG.standard_normal((C, C, 1, 1), np.float32)
VECTORS = RNG.random((4, C), np.float32)


def conv(kernel, method, **options):
    return lambda x, g: conv2d(x, kernel, VECTORS[0], method=method, **options)


def grad_input(kernel, method, **options):
    return lambda x, g: conv2d_backward(g, x, kernel, method=method, **options)[0]


@pytest.mark.parametrize(
    "run",
    [
        lambda x, g: relu(x),
        lambda x, g: relu_backward(g, x),
        lambda x, g: gelu(x),
        lambda x, g: gelu_backward(g, x),
        lambda x, g: add(x, g),
        lambda x, g: maxpool2d(x, 3, 1, 1),
        lambda x, g: maxpool2d_backward(g[:, :, ::2, ::2], x, 2),
        lambda x, g: avgpool2d(x, 3, 1, 1),
        lambda x, g: avgpool2d_backward(g[:, :, ::2, ::2], x, 2),
        lambda x, g: batch_norm2d(x, *VECTORS, training=False, addend=g, relu=True)[0],
        lambda x, g: batch_norm2d(x, *VECTORS, training=False)[0],
        lambda x, g: batch_norm2d_backward(g, x, *VECTORS, training=False)[0],
        conv(KERNEL, "winograd", padding=1),
        conv(KERNEL, "direct", padding=1, relu=True),
        conv(ONE, "direct"),
        grad_input(KERNEL, "winograd", padding=1),
        grad_input(KERNEL, "direct", padding=1),
    ],
)
def test_large_results(run):
    whole = run(X, G)
    assert whole.nbytes > LARGE
    halves = [run(X[part], G[part]) for part in (slice(N // 2), slice(N // 2, N))]
    assert max(half.nbytes for half in halves) <= LARGE
    assert np.array_equal(whole, np.concatenate(halves))


def test_a_large_gradient_of_stride_2():
    # the forward's output is a quarter of its input, of which the gradient is large
    g = G[:, :, ::2, ::2]
    options = {"stride": 2, "padding": 1, "method": "winograd"}
    whole = conv2d_backward(g, X, KERNEL, **options)[0]
    assert whole.nbytes > LARGE
    for part in (slice(N // 2), slice(N // 2, N)):
        half = conv2d_backward(g[part], X[part], KERNEL, **options)[0]
        assert np.array_equal(whole[part], half)


def test_a_large_result_that_is_aligned_otherwise():
    # 4 bytes from the start of a line, and rows of 3: both go the usual way
    x = np.empty(LARGE // 4 + 65, np.float32)[1:]
    x[:] = RNG.standard_normal(x.size, np.float32)
    assert np.array_equal(relu(x), np.maximum(x, 0))
    narrow = np.ascontiguousarray(X[:, :3].transpose(0, 2, 3, 1)).repeat(6, 0)
    narrow = narrow.transpose(0, 3, 1, 2)
    out = batch_norm2d(narrow, *VECTORS[:, :3], training=False)[0]
    assert out.nbytes > LARGE
    part = batch_norm2d(narrow[:9], *VECTORS[:, :3], training=False)[0]
    assert np.array_equal(out[:9], part)
