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
    taps = [(r, s) for r in range(R) for s in range(S)]
    shifts = [(r - padding, s - padding) for r, s in taps]
    runs, slices = _runs(shifts, 512 // C)
    blocks, B = _blocks(K)
    matrix = workspace("kernel", (blocks, R * S * C, B), kernel.dtype)
    with one_blas_thread():
        kernels.kernel_matrix(kernel, np.array(taps), False, matrix)
        kernels.conv_forward(
            x,
            matrix,
            bias,
            addend,
            relu,
            np.array(runs),
            np.array(slices),
            stride,
            out,
        )


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
        for s in reversed(range(S)):  # so that those of a phase see q, q + 1, ...
            u, v = (r - padding) % stride, (s - padding) % stride
            if u < H and v < W:
                by_phase[u, v].append((r, s))
    if len(by_phase) < min(stride, H) * min(stride, W):
        out[...] = unreached
    phases, taps, runs, slices = [], [], [], []
    for (u, v), reaching in by_phase.items():
        shifts = [
            ((u + padding - r) // stride, (v + padding - s) // stride)
            for r, s in reaching
        ]
        more_runs, more_slices = _runs(shifts, 512 // K)
        before = np.array([len(runs), len(runs), len(taps), len(taps)])
        phases.append((u, v, len(slices), len(slices) + len(more_slices)))
        slices += [before + cut for cut in more_slices]
        runs += more_runs
        taps += reaching
    if not taps:
        out[...] = unreached
        return
    blocks, B = _blocks(C)
    matrix = workspace("kernel", (blocks, len(taps) * K, B), kernel.dtype)
    tables = [np.array(table) for table in (phases, runs, slices)]
    with one_blas_thread():
        kernels.kernel_matrix(kernel, np.array(taps), True, matrix)
        kernels.conv_grad_input(grad_output, matrix, addend, *tables, stride, out)


def grad_kernel(
    grad_output: np.ndarray, x: np.ndarray, stride: int, padding: int, out: np.ndarray
) -> None:
    """Write the gradient of the kernel (K, C, R, S)."""
    K, C, R, S = out.shape
    N, P, Q, _ = grad_output.shape
    blocks, B = _blocks(K)
    most = max(1, min(32, -(-N * P * Q // 256)))
    parts = max(1, min(most, 4_000_000 // (R * S * C * K)))
    partial = workspace("kernel", (parts, blocks, R * S * C, B), x.dtype)
    shifts = [(r - padding, s - padding) for r in range(R) for s in range(S)]
    tables = [np.array(table) for table in _runs(shifts, 128 // C)]
    with one_blas_thread():
        kernels.conv_grad_kernel(grad_output, x, *tables, stride, partial, out)


def _runs(shifts: list[tuple[int, int]], most: int) -> tuple[list, list]:
    """Cut taps into slices of at most ``most``, but one, and those into runs.

    ``shifts`` tell how far the pixel that a tap sees lies from the output's, (dh, dw);
    in a run dh is the same, and dw grows by one.

    Returns
    -------
    runs : list of (dh, dw of the first, number of taps)
    slices : list of (first run, one after the last, first tap, one after the last)
    """
    runs, slices, most = [], [], max(1, most)
    for first in range(0, len(shifts), most):
        begin, part = len(runs), shifts[first : first + most]
        for i, (dh, dw) in enumerate(part):
            if i and part[i - 1] == (dh, dw - 1):
                runs[-1][2] += 1
            else:
                runs.append([dh, dw, 1])
        slices.append((begin, len(runs), first, first + len(part)))
    return runs, slices


def _blocks(channels: int) -> tuple[int, int]:
    """Return into how many blocks of how many channels, at most 64, to cut."""
    blocks = -(-channels // 64)
    return blocks, -(-channels // blocks)
