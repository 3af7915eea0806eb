"""The three products of a 3x3 convolution of stride 2 and padding 1, by Winograd.

As in ``winograd.py``, with the kernels of ``kernels/winograd_strided.py``.  Each
function tells whether all of its results are finite, and the caller sums directly where
they are not.
"""

import numpy as np

from odyssey.kernels.tiles import STRIDED_PLACES
from odyssey.kernels.winograd_strided import (
    TILE,
    TURNED_TILE,
    strided_forward,
    strided_grad_kernel,
)
from odyssey.ops.conv import winograd_domain as domain


def chunk_of(kernel: np.ndarray) -> int:
    """Return how many tiles a thread takes through all steps at a time.

    A patch has 81 places, of which up to 16 are multiplied by the same of a kernel's:
    so few tiles make use of each, and stay in a core's second cache.
    """
    return 16


def sum_chunk_of(kernel: np.ndarray) -> int:
    """Return how many tiles a thread adds to the gradient of the kernel at a time.

    As with stride 1; a tile takes more room.
    """
    return 32 if kernel.shape[0] * kernel.shape[1] < 256 * 256 else 128


def worthwhile(
    kernel: np.ndarray, N: int, P: int, Q: int, product: str = "forward"
) -> bool:
    """Tell whether Winograd's way is the faster one for this shape.

    It pays where tiles lie in the image by three quarters at least, from 8 channels and
    kernels and from 128 tiles on, and with 128 channels and kernels from 16 on.  The
    gradient of the input, which the direct way finds in four phases, gains most.
    ``benchmarks/bench_methods.py`` measures it, if told stride 2.
    """
    fewest, tiles = min(kernel.shape[:2]), domain.tiles_of((N, P, Q), TILE)
    least = 16 if fewest >= 128 else 128
    return fewest >= 8 and tiles >= least and N * P * Q >= 12 * tiles


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
    moments: np.ndarray | None = None,
) -> bool:
    """Write the convolution of ``x`` (N, H, W, C) with ``kernel`` (K, C, 3, 3)."""
    return _convolve(
        x, kernel, False, bias, addend, relu, out, made=made, moments=moments
    )


def grad_input(
    grad_output: np.ndarray,
    kernel: np.ndarray,
    addend: np.ndarray,
    stride: int,
    padding: int,
    out: np.ndarray,
) -> bool:
    """Write the gradient of the input (N, H, W, C), plus ``addend``.

    A tile of it has 8x8 pixels, and every pixel belongs to one tile: those that even
    and odd numbers of x reach are results of their own, so nothing has to be added up.
    """
    bias = np.zeros(kernel.shape[1], kernel.dtype)
    return _convolve(grad_output, kernel, True, bias, addend, False, out)


def _convolve(
    x: np.ndarray,
    kernel: np.ndarray,
    turned: bool,
    bias: np.ndarray,
    addend: np.ndarray,
    relu: bool,
    out: np.ndarray,
    *,
    made: dict[str, np.ndarray] | None = None,
    moments: np.ndarray | None = None,
) -> bool:
    side = TURNED_TILE if turned else TILE
    return domain.convolve(
        strided_forward,
        x,
        kernel,
        bias,
        addend,
        out,
        turned=turned,
        relu=relu,
        made=made,
        moments=moments,
        places=STRIDED_PLACES,
        tiles=domain.tiles_of(out.shape, side),
        chunk=chunk_of(kernel),
    )


def grad_kernel(
    grad_output: np.ndarray, x: np.ndarray, stride: int, padding: int, out: np.ndarray
) -> bool:
    """Write the gradient of the kernel (K, C, 3, 3)."""
    K, C = out.shape[:2]
    tiles = domain.tiles_of(grad_output.shape, TILE)
    # each part has sums of its own at the places, so few parts where these are large
    parts = max(1, min(16, 512 // max(C, K), tiles // 64))
    return domain.grad_kernel(
        strided_grad_kernel,
        grad_output,
        x,
        out,
        places=STRIDED_PLACES,
        tiles=tiles,
        parts=parts,
        chunk=min(sum_chunk_of(out), -(-tiles // parts)),
    )
