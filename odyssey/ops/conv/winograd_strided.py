"""The three products of a 3x3 convolution of stride 2 and padding 1, by Winograd.

Here the buffers of ``kernels/winograd_strided.py`` are laid out and its kernels are
called; ``docs/derivations/winograd.md`` says what they compute, ``convolution.py``
when.  As in ``winograd.py`` each function tells whether all of its results are finite,
and the caller sums directly where they are not.
"""

import numpy as np

from odyssey.kernels import winograd_strided as kernels
from odyssey.kernels.simd import LANES
from odyssey.kernels.tiles import BLOCK, GAP, PRODUCTS, STRIDED_PLACES
from odyssey.kernels.winograd_kernel import kernel_to_places, totals_to_kernel
from odyssey.memory import workspace
from odyssey.ops.conv.winograd import blocks_of, padded, tiles_of
from odyssey.threads import num_threads

SUM_CHUNK = 48  # tiles that a thread adds to the gradient of the kernel at a time
CHUNK = 28  # tiles that a thread takes through all steps at a time: panels of 14
GAPS = PRODUCTS * GAP


def worthwhile(
    kernel: np.ndarray, N: int, P: int, Q: int, product: str = "forward"
) -> bool:
    """Tell whether Winograd's way is the faster one for this shape.

    It pays where tiles lie in the image by three quarters at least, from 128 tiles on,
    and with 128 channels and kernels from 16 on.  The gradient of the input gains most,
    from 16 channels and kernels on, that of the kernel from 32, the forward from 64.
    ``benchmarks/bench_methods.py`` measures it, if told stride 2.
    """
    fewest, tiles = min(kernel.shape[:2]), tiles_of(N, P, Q)
    least = 16 if fewest >= 128 else 128
    pays_from = {"forward": 64, "grad_input": 16, "grad_kernel": 32}[product]
    return fewest >= pays_from and tiles >= least and N * P * Q >= 12 * tiles


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
    tiles = tiles_of(*out.shape[:3])
    return _convolve(x, kernel, False, bias, addend, relu, tiles, out)


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
    N, H, W, _ = out.shape
    tiles = tiles_of(N, H, W, 8)
    return _convolve(grad_output, kernel, True, bias, addend, False, tiles, out)


def _convolve(
    x: np.ndarray,
    kernel: np.ndarray,
    turned: bool,
    bias: np.ndarray,
    addend: np.ndarray,
    relu: bool,
    tiles: int,
    out: np.ndarray,
) -> bool:
    C, K, dtype, threads = x.shape[3], out.shape[3], kernel.dtype, num_threads()
    blocks, B = blocks_of(K, BLOCK)
    chunk = min(CHUNK, tiles)
    row = padded(C)
    places = workspace("places", (blocks, PRODUCTS, C, B), dtype)
    patches = workspace(
        "patches", (threads, STRIDED_PLACES * chunk * row + GAPS), dtype
    )
    products = workspace(
        "products", (threads, STRIDED_PLACES * chunk * B + GAPS), dtype
    )
    checks = np.zeros((threads, LANES), dtype)
    kernel_to_places(kernel, turned, True, places)
    kernels.strided_forward(
        x=x,
        places=places,
        bias=bias,
        addend=addend,
        relu=relu,
        turned=turned,
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
    K, C, dtype = grad_output.shape[3], x.shape[3], out.dtype
    (c_blocks, c_width), (k_blocks, k_width) = blocks_of(C, 64), blocks_of(K, BLOCK)
    tiles, threads = tiles_of(*grad_output.shape[:3]), num_threads()
    parts = max(1, min(16, 512 // max(C, K), tiles // 64))
    chunk = min(SUM_CHUNK, -(-tiles // parts))
    columns = STRIDED_PLACES * chunk * c_width + GAPS
    patches = workspace("patches", (threads, c_blocks, columns), dtype)
    columns = STRIDED_PLACES * chunk * k_width + GAPS
    gradients = workspace("products", (threads, k_blocks, columns), dtype)
    shape = (parts, c_blocks, k_blocks, PRODUCTS, c_width, k_width)
    totals = workspace("places", shape, dtype)
    checks = np.zeros((k_blocks, C), dtype)
    kernels.strided_grad_kernel(grad_output, x, chunk, patches, gradients, totals)
    totals_to_kernel(totals, True, out, checks)
    return bool(np.isfinite(checks).all())
