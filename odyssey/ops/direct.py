"""The three products of a convolution, summed directly, for any kernel and stride.

Here the buffers of ``kernels/conv_direct.py`` are laid out and its kernels are called;
``ops/conv.py`` says what they compute.
"""

from collections import defaultdict

import numpy as np

from odyssey import reference
from odyssey.kernels import conv_direct as kernels
from odyssey.kernels.blas import one_blas_thread
from odyssey.memory import workspace


def forward(
    x: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray,
    addend: np.ndarray,
    relu: bool,
    stride: int,
    padding: int,
    out: np.ndarray,
) -> None:
    """Write the convolution of ``x`` (N, H, W, C) with ``kernel`` (K, C, R, S)."""
    K, C, R, S = kernel.shape
    taps = np.array([(r, s) for r in range(R) for s in range(S)])
    blocks, B = _blocks(K)
    matrix = workspace("places", (blocks, R * S * C, B), kernel.dtype)
    with one_blas_thread():
        kernels.kernel_matrix(kernel, taps, False, matrix)
        kernels.conv_forward(x, matrix, bias, addend, relu, R, S, stride, padding, out)


def grad_input(
    grad_output: np.ndarray,
    kernel: np.ndarray,
    addend: np.ndarray,
    stride: int,
    padding: int,
    out: np.ndarray,
) -> None:
    """Write the gradient of the input (N, H, W, C), plus ``addend``."""
    K, C, R, S = kernel.shape
    unreached = addend if len(addend) else 0  # the result where no tap reaches
    if not np.isfinite(kernel).all():
        # zeros packed beyond the border would meet an Inf there and make NaN
        grad_nchw, like = grad_output.transpose(0, 3, 1, 2), out.transpose(0, 3, 1, 2)
        like[...] = reference.conv2d_backward(
            grad_nchw, np.zeros_like(like), kernel, stride, padding
        )[0]
        out += unreached
        return
    H, W = out.shape[1:3]
    by_phase = defaultdict(list)  # taps (r, s), by the pixels that they reach
    if stride <= 8:  # phases that none reaches are written by the kernel, too
        for u in range(min(stride, H)):
            for v in range(min(stride, W)):
                by_phase[u, v] = []
    for r in range(R):
        for s in range(S):
            u, v = (r - padding) % stride, (s - padding) % stride
            if u < H and v < W:
                by_phase[u, v].append((r, s))
    if len(by_phase) < min(stride, H) * min(stride, W):
        out[...] = unreached
    phases, taps, shifts = [], [], []
    for (u, v), reaching in by_phase.items():
        phases.append((u, v, len(taps), len(taps) + len(reaching)))
        taps += reaching
        shifts += [
            ((u + padding - r) // stride, (v + padding - s) // stride)
            for r, s in reaching
        ]
    if not taps:
        out[...] = unreached
        return
    blocks, B = _blocks(C)
    matrix = workspace("places", (blocks, len(taps) * K, B), kernel.dtype)
    with one_blas_thread():
        kernels.kernel_matrix(kernel, np.array(taps), True, matrix)
        kernels.conv_grad_input(
            grad_output,
            matrix,
            addend,
            np.array(phases),
            np.array(shifts),
            stride,
            out,
        )


def grad_kernel(
    grad_output: np.ndarray, x: np.ndarray, stride: int, padding: int, out: np.ndarray
) -> None:
    """Write the gradient of the kernel (K, C, R, S)."""
    K, C, R, S = out.shape
    N, P, Q, _ = grad_output.shape
    blocks, B = _blocks(K)
    most = max(1, min(32, -(-N * P * Q // 256)))
    parts = max(1, min(most, 4_000_000 // (R * S * C * K)))
    partial = workspace("places", (parts, blocks, R * S * C, B), x.dtype)
    with one_blas_thread():
        kernels.conv_grad_kernel(grad_output, x, stride, padding, partial, out)


def _blocks(channels: int) -> tuple[int, int]:
    """Return into how many blocks of how many channels, at most 64, to cut."""
    blocks = -(-channels // 64)
    return blocks, -(-channels // blocks)
