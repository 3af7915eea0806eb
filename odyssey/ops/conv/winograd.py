"""The three products of a 3x3 convolution of stride 1, in Winograd's domain.

Here is said when this way pays, and how its tiles are shared out; `winograd_domain.py`
lays out the buffers and calls the kernels of ``kernels/winograd.py``, and
``docs/derivations/winograd.md`` says what these compute.

Each function tells whether all of its results are finite.  Where they are not, the
caller sums directly: the differences that the transforms take would spread an Inf as
NaN over its whole tile, and may overflow before the direct sums do.
"""

from functools import partial

import numpy as np

from odyssey.kernels.tiles import PLACES
from odyssey.kernels.winograd import TILE, winograd_forward, winograd_grad_kernel
from odyssey.ops.conv import winograd_domain as domain


def chunk_of(kernel: np.ndarray) -> int:
    """Return how many tiles a thread takes through all steps at a time.

    Two panels of rows of the products are enough where patches and kernel then stay in
    a core's second cache together.  Larger kernels do not, and more tiles make use of
    each part that is read; small ones do anyhow.
    """
    return 28 if 64 * 64 <= kernel.shape[0] * kernel.shape[1] <= 128 * 128 else 64


def sum_chunk_of(kernel: np.ndarray) -> int:
    """Return how many tiles a thread adds to the gradient of the kernel at a time.

    Large sums go to memory and back for each chunk; where one is all, they need not.
    """
    return 64 if kernel.shape[0] * kernel.shape[1] < 256 * 256 else 256


def worthwhile(
    kernel: np.ndarray, N: int, P: int, Q: int, product: str = "forward"
) -> bool:
    """Tell whether Winograd's way is the faster one for this shape.

    ``product`` is "forward", "grad_input" or "grad_kernel".

    It pays where the products are large beside the transforms, of which that of the
    kernel does not depend on the tiles: from 8 channels and kernels and from 64 tiles
    on.  Large kernels cost the direct way even more: from 128 channels and kernels on,
    4 tiles are enough, and 32 in the gradient of the kernel.  Fewer would pay as well,
    by up to 1.7 times of what takes a few tenths of a millisecond
    (``benchmarks/bench_methods.py``): there the smaller error of direct sums is worth
    more.
    """
    K, C = kernel.shape[:2]
    least = 64
    if C * K >= 128 * 128:
        least = 32 if product == "grad_kernel" else 4
    return min(C, K) >= 8 and domain.tiles_of((N, P, Q), TILE) >= least


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
        x, kernel, False, bias, addend, relu, padding, out, made=made, moments=moments
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

    With stride 1 it is a convolution again, of ``grad_output`` with the kernel turned
    by 180 degrees, the roles of C and K exchanged, and a padding of 2 - padding.
    """
    bias = np.zeros(kernel.shape[1], kernel.dtype)
    return _convolve(grad_output, kernel, True, bias, addend, False, 2 - padding, out)


def _convolve(
    x: np.ndarray,
    kernel: np.ndarray,
    turned: bool,
    bias: np.ndarray,
    addend: np.ndarray,
    relu: bool,
    padding: int,
    out: np.ndarray,
    *,
    made: dict[str, np.ndarray] | None = None,
    moments: np.ndarray | None = None,
) -> bool:
    return domain.convolve(
        partial(winograd_forward, padding=padding),
        x,
        kernel,
        bias,
        addend,
        out,
        turned=turned,
        relu=relu,
        made=made,
        moments=moments,
        places=PLACES,
        tiles=domain.tiles_of(out.shape, TILE),
        chunk=chunk_of(kernel),
    )


def grad_kernel(
    grad_output: np.ndarray, x: np.ndarray, stride: int, padding: int, out: np.ndarray
) -> bool:
    """Write the gradient of the kernel (K, C, 3, 3)."""
    K, C = out.shape[:2]
    tiles = domain.tiles_of(grad_output.shape, TILE)
    # each part has sums of its own at the places, so few parts where these are large
    parts = max(1, min(16, 512 // max(C, K), tiles // 256))
    return domain.grad_kernel(
        partial(winograd_grad_kernel, padding=padding),
        grad_output,
        x,
        out,
        places=PLACES,
        tiles=tiles,
        parts=parts,
        chunk=min(sum_chunk_of(out), -(-tiles // parts)),
    )
