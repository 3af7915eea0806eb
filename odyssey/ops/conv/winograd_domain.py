"""What Winograd's method has in common for stride 1 and for stride 2.

This module prepares the buffers, transforms 3x3 kernels, and transforms sums back into
3x3 gradients.  Between these, a kernel of ``kernels/``, the argument ``run``, works on
the tiles.  ``places`` is the number of elements of a transformed tile for each channel:
`PLACES` or `STRIDED_PLACES`.
"""

from collections.abc import Callable

import numpy as np

from odyssey.kernels.product import TERMS
from odyssey.kernels.simd import LANES
from odyssey.kernels.tiles import BLOCK, GAP, PRODUCTS, STRIDED_PLACES
from odyssey.kernels.winograd_kernel import kernel_to_places, totals_to_kernel
from odyssey.memory import empty, workspace
from odyssey.threads import num_threads

#: Channels that the gradient of a kernel takes together, in panels of 14 and of 8.
C_BLOCK = 64


def convolve(
    run: Callable[..., None],
    x: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray,
    addend: np.ndarray,
    out: np.ndarray,
    *,
    turned: bool,
    relu: bool,
    made: dict[str, np.ndarray] | None,
    moments: np.ndarray | None,
    places: int,
    tiles: int,
    chunk: int,
) -> bool:
    """Write the convolution of ``x`` (N, H, W, C) by the kernel ``run`` to ``out``.

    A thread takes ``chunk`` tiles through all steps at a time.
    ``turned`` uses the kernel as the gradient of the input does: turned by 180 degrees,
    with C and K exchanged.  The kernel at its places is kept in ``made``, if there is
    such a dictionary.  Without, and where each thread has at most one chunk of the
    ``tiles``, the kernel goes to its places a block at a time, within the caches.
    ``moments`` are those of `room_for_moments`, or None.  Returns whether all results
    are finite.
    """
    C, K, dtype, threads = x.shape[3], out.shape[3], kernel.dtype, num_threads()
    blocks, B = blocks_of(K, BLOCK)
    chunk = min(chunk, tiles)
    if made is None and tiles <= threads * chunk:
        matrix = min(C, TERMS) * B + GAP
        kernel_places = workspace("places", (threads, PRODUCTS, matrix), dtype)
    else:
        shape, strided = (blocks, PRODUCTS, C * B + GAP), places == STRIDED_PLACES
        kernel_places = _kernel_places(kernel, turned, strided, B, shape, made)
        kernel = np.empty((0, 0, 3, 3), dtype)
    size = places * chunk * whole_vectors(C) + PRODUCTS * GAP
    patches = workspace("patches", (threads, size), dtype)
    size = places * chunk * B + PRODUCTS * GAP
    products = workspace("products", (threads, size), dtype)
    checks = np.zeros((threads, LANES), dtype)
    run(
        x=x,
        kernel=kernel,
        turned=turned,
        places=kernel_places,
        B=B,
        bias=bias,
        addend=addend,
        relu=relu,
        chunk=chunk,
        patches=patches,
        products=products,
        out=out,
        checks=checks,
        moments=np.empty((0, 3, 0)) if moments is None else moments,
    )
    return bool(np.isfinite(checks).all())


def room_for_moments(pixels: tuple[int, int, int], K: int, chunk: int) -> np.ndarray:
    """Return room for the moments of results (N, P, Q), of whole tiles of 4x4 pixels.

    There are (chunks, 3, K or more): see `Moments` in ``kernels/tiles.py``.
    """
    blocks, B = blocks_of(K, BLOCK)
    return np.empty((-(-tiles_of(pixels, 4) // chunk), 3, blocks * B))


def _kernel_places(
    kernel: np.ndarray,
    turned: bool,
    strided: bool,
    B: int,
    shape: tuple[int, ...],
    made: dict[str, np.ndarray] | None,
) -> np.ndarray:
    """Return the kernel at its places, from ``made`` if it is there."""
    name = "strided places" if strided else "places"
    if made is None:
        places = workspace("places", shape, kernel.dtype)
    elif name in made:
        return made[name]
    else:
        places = empty(shape, kernel.dtype)
    kernel_to_places(kernel, turned, strided, B, places)
    if made is not None:
        made[name] = places
    return places


def grad_kernel(
    run: Callable[..., None],
    grad_output: np.ndarray,
    x: np.ndarray,
    out: np.ndarray,
    *,
    places: int,
    tiles: int,
    parts: int,
    chunk: int,
) -> bool:
    """Write the gradient of the kernel (K, C, 3, 3), which the kernel ``run`` adds up.

    It does so in so many ``parts``, each by ``chunk`` tiles at a time, or at once if a
    chunk is all ``tiles``.  Tells whether all results are finite.
    """
    K, C, dtype, threads = grad_output.shape[3], x.shape[3], out.dtype, num_threads()
    c_blocks, c_width = blocks_of(C, C_BLOCK)
    k_blocks, k_width = blocks_of(K, BLOCK)
    size = places * chunk * c_width + PRODUCTS * GAP
    patches = workspace("patches", (threads, c_blocks, size), dtype)
    size = places * chunk * k_width + PRODUCTS * GAP
    gradients = workspace("products", (threads, k_blocks, size), dtype)
    at_once = tiles <= chunk
    pieces = (threads, 1, 1) if at_once else (parts, c_blocks, k_blocks)
    totals = workspace("places", (*pieces, PRODUCTS, c_width, k_width), dtype)
    checks = np.zeros((k_blocks, C), dtype)
    run(
        grad_output=grad_output,
        x=x,
        chunk=chunk,
        patches=patches,
        gradients=gradients,
        totals=totals,
        at_once=at_once,
        grad=out,
        checks=checks,
    )
    if not at_once:
        totals_to_kernel(totals, places == STRIDED_PLACES, out, checks)
    return bool(np.isfinite(checks).all())


def tiles_of(shape: tuple[int, ...], side: int) -> int:
    """Return how many square tiles cover images (N, P, Q, ...)."""
    N, P, Q = shape[:3]
    return N * -(-P // side) * -(-Q // side)


def blocks_of(channels: int, most: int) -> tuple[int, int]:
    """Return into how many blocks of how many channels, at most ``most``, to cut."""
    blocks = -(-channels // most)
    return blocks, whole_vectors(-(-channels // blocks))


def whole_vectors(channels: int) -> int:
    """Return the least number of channels that fills whole vectors."""
    return -(-channels // LANES) * LANES
