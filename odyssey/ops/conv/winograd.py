"""The three products of a 3x3 convolution of stride 1, in Winograd's domain.

Here the buffers of ``kernels/winograd.py`` are laid out and its kernels are called;
``docs/derivations/winograd.md`` says what they compute, ``convolution.py`` when.

Each function tells whether all of its results are finite.  Where they are not, the
caller sums directly: the differences that the transforms take would spread an Inf as
NaN over its whole tile, and may overflow before the direct sums do.
"""

import numpy as np

from odyssey.kernels import winograd as kernels
from odyssey.kernels.simd import LANES
from odyssey.kernels.tiles import BLOCK, GAP, PRODUCTS
from odyssey.kernels.winograd_kernel import kernel_to_places, totals_to_kernel
from odyssey.memory import workspace
from odyssey.threads import num_threads

SUM_CHUNK = 128  # tiles that a thread adds to the gradient of the kernel at a time
CHUNK = 56  # tiles that a thread takes through all steps at a time: panels of 14


def worthwhile(
    kernel: np.ndarray, N: int, P: int, Q: int, product: str = "forward"
) -> bool:
    """Tell whether Winograd's way is the faster one for this shape.

    ``product`` is "forward", "grad_input" or "grad_kernel".

    It pays where the products are large beside the transforms, of which that of the
    kernel does not depend on the tiles: from 8 channels and kernels and from 64 tiles
    on.  Large kernels cost the direct way even more: from 128 channels and kernels on,
    4 tiles are enough, and 32 in the gradient of the kernel.
    ``benchmarks/bench_methods.py`` measures it.
    """
    K, C = kernel.shape[:2]
    least = 64
    if C * K >= 128 * 128:
        least = 32 if product == "grad_kernel" else 4
    return min(C, K) >= 8 and tiles_of(N, P, Q) >= least


def forward(
    x: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray,
    addend: np.ndarray,
    relu: bool,
    stride: int,
    padding: int,
    out: np.ndarray,
) -> bool:
    """Write the convolution of ``x`` (N, H, W, C) with ``kernel`` (K, C, 3, 3)."""
    return _convolve(x, kernel, False, bias, addend, relu, padding, out)


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
) -> bool:
    N, P, Q, K = out.shape
    C, threads = x.shape[3], num_threads()
    blocks, B = blocks_of(K, BLOCK)
    chunk = min(CHUNK, tiles_of(N, P, Q))
    row = padded(C)
    places = workspace("places", (blocks, PRODUCTS, C, B), kernel.dtype)
    size = PRODUCTS * (chunk * row + GAP)
    patches = workspace("patches", (threads, size), kernel.dtype)
    size = PRODUCTS * (chunk * B + GAP)
    products = workspace("products", (threads, size), kernel.dtype)
    checks = np.zeros((threads, LANES), kernel.dtype)
    kernel_to_places(kernel, turned, False, places)
    kernels.winograd_forward(
        x=x,
        places=places,
        bias=bias,
        addend=addend,
        relu=relu,
        padding=padding,
        chunk=chunk,
        patches=patches,
        products=products,
        out=out,
        checks=checks,
    )
    return bool(np.isfinite(checks).all())


def grad_kernel(
    grad_output: np.ndarray, x: np.ndarray, stride: int, padding: int, out: np.ndarray
) -> bool:
    """Write the gradient of the kernel (K, C, 3, 3)."""
    N, P, Q, K = grad_output.shape
    C, dtype = x.shape[3], out.dtype
    (c_blocks, c_width), (k_blocks, k_width) = blocks_of(C, 64), blocks_of(K, BLOCK)
    tiles, threads = tiles_of(N, P, Q), num_threads()
    parts = max(1, min(16, 1024 // max(C, K), tiles // 128))
    chunk = min(SUM_CHUNK, -(-tiles // parts))
    size = c_blocks * PRODUCTS * (chunk * c_width + GAP)
    patches = workspace("patches", (threads, size), dtype)
    size = k_blocks * PRODUCTS * (chunk * k_width + GAP)
    gradients = workspace("products", (threads, size), dtype)
    shape = (parts, c_blocks, k_blocks, PRODUCTS, c_width, k_width)
    totals = workspace("places", shape, dtype)
    checks = np.zeros((k_blocks, C), dtype)
    kernels.winograd_grad_kernel(
        grad_output, x, padding, chunk, patches, gradients, totals
    )
    totals_to_kernel(totals, False, out, checks)
    return bool(np.isfinite(checks).all())


def tiles_of(N: int, P: int, Q: int, side: int = 4) -> int:
    """Return how many square tiles cover N images of P x Q pixels."""
    return N * -(-P // side) * -(-Q // side)


def blocks_of(channels: int, most: int) -> tuple[int, int]:
    """Return into how many blocks of how many channels, at most ``most``, to cut."""
    blocks = -(-channels // most)
    return blocks, padded(-(-channels // blocks))


def padded(channels: int) -> int:
    """Return the least number of channels that fills whole vectors."""
    return -(-channels // LANES) * LANES
