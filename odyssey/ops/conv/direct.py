"""The three sums of a convolution by the direct method, for any kernel and stride.

This module prepares the buffers of ``kernels/conv_direct.py`` and calls its kernels;
``convolution.py`` says what they compute.  This method always succeeds.
"""

from collections import defaultdict

import numpy as np

from odyssey import reference
from odyssey.bfloat16 import as_numbers, widen
from odyssey.kernels import conv_direct as kernels
from odyssey.kernels.packing import kernel_matrix
from odyssey.kernels.simd import LANES
from odyssey.kernels.tiles import BLOCK
from odyssey.memory import workspace
from odyssey.threads import num_threads

#: Terms of the gradient of the kernel that are packed together.
COLUMNS = 64
#: Terms of a sum that are packed together: they stay in the core's own cache.
TERMS = 512
#: Up to this stride, phases that no tap reaches are written by the kernel, too; beyond
#: it they are most of the pixels, and are written before.
STRIDE_BY_PHASES = 8
#: The gradient of the kernel is added up in parts: at most so many, each of so many
#: pixels at least, and with so many sums altogether at most.
MOST_PARTS, PART_PIXELS, MOST_SUMS = 32, 256, 2**21
#: Pixels that are packed at a time for it.
HEIGHT = 128


def forward(
    x: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray,
    addend: np.ndarray,
    relu: bool,
    stride: int,
    padding: int,
    out: np.ndarray,
    *,
    made: dict[str, np.ndarray] | None = None,
) -> bool:
    """Write the convolution of ``x`` (N, H, W, C) with ``kernel`` (K, C, R, S)."""
    K, C, R, S = kernel.shape
    taps = [(r, s) for r in range(R) for s in range(S)]
    shifts = [(r - padding, s - padding) for r, s in taps]
    runs, slices = _runs(shifts, C, TERMS)
    blocks, B = _blocks(K, BLOCK, LANES)
    matrix = workspace("kernel", (blocks, R * S * C, B), kernel.dtype)
    kernel_matrix(kernel, np.array(taps), False, matrix)
    kernels.conv_forward(
        x=x,
        packed_x=_packed(x, kernel, stride, padding),
        matrix=matrix,
        bias=bias,
        addend=addend,
        relu=relu,
        runs=np.array(runs),
        slices=np.array(slices),
        stride=stride,
        out=out,
    )
    return True


def grad_input(
    grad_output: np.ndarray,
    kernel: np.ndarray,
    addend: np.ndarray,
    stride: int,
    padding: int,
    out: np.ndarray,
) -> bool:
    """Write the gradient of the input (N, H, W, C), plus ``addend``."""
    K, C, R, S = kernel.shape
    unreached = addend if len(addend) else 0  # the result where no tap reaches
    if not np.isfinite(kernel).all():
        # zeros packed beyond the border would be multiplied by an Inf and make NaN
        grad_nchw = widen(as_numbers(grad_output)).transpose(0, 3, 1, 2)
        zeros = np.zeros(out.shape, kernel.dtype).transpose(0, 3, 1, 2)
        sums, *_ = reference.conv2d_backward(grad_nchw, zeros, kernel, stride, padding)
        sums = sums.transpose(0, 2, 3, 1)
        as_numbers(out)[...] = sums + widen(as_numbers(addend)) if len(addend) else sums
        return True
    H, W = out.shape[1:3]
    # taps (r, s), by the pixels that they reach
    by_phase: defaultdict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    if stride <= STRIDE_BY_PHASES:  # phases without taps are written by the kernel, too
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
    phases: list[tuple[int, int, int, int]] = []
    taps: list[tuple[int, int]] = []
    runs: list[list[int]] = []
    slices: list[np.ndarray] = []
    for (u, v), reaching in by_phase.items():
        shifts = [
            ((u + padding - r) // stride, (v + padding - s) // stride)
            for r, s in reaching
        ]
        more_runs, more_slices = _runs(shifts, K, TERMS)
        before = np.array([len(runs)] * 2 + [len(taps) * K] * 2)
        phases.append((u, v, len(slices), len(slices) + len(more_slices)))
        slices += [before + cut for cut in more_slices]
        runs += more_runs
        taps += reaching
    if not taps:
        out[...] = unreached
        return True
    blocks, B = _blocks(C, BLOCK, LANES)
    matrix = workspace("kernel", (blocks, len(taps) * K, B), kernel.dtype)
    kernel_matrix(kernel, np.array(taps), True, matrix)
    kernels.conv_grad_input(
        grad_output=grad_output,
        packed_gradient=_packed(grad_output, kernel, stride, padding),
        matrix=matrix,
        addend=addend,
        phases=np.array(phases),
        runs=np.array(runs),
        slices=np.array(slices),
        stride=stride,
        grad_input=out,
    )
    return True


def grad_kernel(
    grad_output: np.ndarray, x: np.ndarray, stride: int, padding: int, out: np.ndarray
) -> bool:
    """Write the gradient of the kernel (K, C, R, S)."""
    K, C, R, S = out.shape
    N, P, Q, _ = grad_output.shape
    blocks, B = _blocks(K, BLOCK, LANES)
    count, width = _blocks(R * S * C, COLUMNS)
    sums = MOST_SUMS // (R * S * C * K)
    most = min(MOST_PARTS, N * P * Q // PART_PIXELS, sums)
    parts = 1 << max(0, most.bit_length() - 1)  # a power of two: threads get even parts
    splits = min(count, -(-num_threads() // parts))
    partial = workspace("kernel", (parts, blocks, count * width, B), out.dtype)
    shifts = [(r - padding, s - padding) for r in range(R) for s in range(S)]
    runs, slices = _runs(shifts, C, COLUMNS)
    kernels.conv_grad_kernel(
        grad_output=grad_output,
        x=x,
        runs=np.array(runs),
        slices=np.array(slices),
        stride=stride,
        height=HEIGHT,
        splits=splits,
        partial=partial,
        grad_kernel=out,
    )
    return True


def _packed(x: np.ndarray, kernel: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """Return ``x`` if it is what would be packed, otherwise an array without images.

    It is, in the dtype that is summed in, if a kernel of one tap sees every pixel.
    """
    is_packed = (*kernel.shape[2:], stride, padding) == (1, 1, 1, 0)
    if is_packed and x.dtype == kernel.dtype:
        return x
    return np.empty((0, 0, 0, 0), kernel.dtype)


def _runs(
    shifts: list[tuple[int, int]], C: int, most: int
) -> tuple[list[list[int]], list[tuple[int, int, int, int]]]:
    """Cut the terms, C of each tap, into even slices of at most ``most``, into runs.

    ``shifts`` tell how far the pixel that a tap sees lies from the output's, (dh, dw).
    A run is what lies side by side in a line of x: a tap's channels or some of them,
    and those of the tap beside it.

    Returns
    -------
    runs : list of (dh, dw * C + c of the first term, number of terms)
    slices : list of (first run, one after the last, first term, one after the last)
    """
    terms, slices = len(shifts) * C, []
    runs: list[list[int]] = []
    width = _blocks(terms, most)[1] if terms else 1
    for first in range(0, terms, width):
        begin, term, last = len(runs), first, min(first + width, terms)
        while term < last:
            (dh, dw), c = shifts[term // C], term % C
            place, length = dw * C + c, min(C - c, last - term)
            if len(runs) > begin and runs[-1][:2] == [dh, place - runs[-1][2]]:
                runs[-1][2] += length
            else:
                runs.append([dh, place, length])
            term += length
        slices.append((begin, len(runs), first, last))
    return runs, slices


def _blocks(columns: int, most: int, multiple: int = 1) -> tuple[int, int]:
    """Return into how many blocks of how many columns, at most ``most``, to cut.

    A block has a ``multiple`` of so many columns.
    """
    blocks = -(-columns // most)
    return blocks, -(-columns // (blocks * multiple)) * multiple
