"""Convolutions of bfloat16 for the tests of tiles; also a program of its own.

    python tile_cases.py LIBRARY RESULTS

runs them on tile instructions, which LIBRARY (of kernels/tile_trap.c) emulates, and
writes what comes out to RESULTS.
"""

import ctypes
import sys

import numpy as np

from odyssey.ops.conv import tiles

# N, C, H, W, K, size of the kernel, stride, padding
SHAPES = [
    (2, 3, 5, 7, 4, 3, 1, 1),  # the taps of a row as one
    (
        1,
        33,
        9,
        8,
        40,
        3,
        1,
        1,
    ),  # an odd number of images, more than a block of channels
    (2, 33, 9, 8, 40, 3, 2, 1),
    (1, 100, 6, 5, 33, 1, 1, 0),
    (3, 16, 7, 6, 20, 1, 2, 0),
    (1, 1, 33, 47, 1, 3, 1, 1),
    (5, 3, 33, 47, 33, 3, 2, 0),
    (33, 5, 4, 4, 17, 3, 1, 0),
    (40, 64, 2, 3, 17, 3, 2, 1),  # images side by side: taps beside them left out
    (2, 40, 3, 4, 3, 3, 1, 0),
    (2, 8, 4, 5, 3, 1, 1, 1),
    (1, 4, 1, 1, 5, 3, 1, 1),
    (1, 2, 1, 1, 1, 1, 2, 0),
]


def to_bfloat16(values):
    """Return bfloat16 as bits, rounded to nearest even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def widened(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def arrays(shape, scale=1.0):
    """Return x, kernel, bias, addend, grad_output and an addend of grad_input."""
    N, C, H, W, K, size, stride, padding = shape
    P, Q = ((side + 2 * padding - size) // stride + 1 for side in (H, W))
    rng = np.random.default_rng(sum(shape))

    def images(*sizes):
        return to_bfloat16(rng.standard_normal(sizes) * scale)

    kernel = (rng.standard_normal((K, C, size, size)) * scale).astype(np.float32)
    bias = rng.standard_normal(K).astype(np.float32)
    x, addend = images(N, H, W, C), images(N, P, Q, K)
    return x, kernel, bias, addend, images(N, P, Q, K), images(N, H, W, C)


def in_small_pieces(N, P, *_):
    """Stand in for tiles._pieces: two lines of two images at most."""
    return min(N, 2), min(P, 2)


def products(shape, scale=1.0, addends=False, relu=False):
    """Return out, grad_input and grad_kernel as tiles.py computes them."""
    x, kernel, bias, addend, grad_output, grad_addend = arrays(shape, scale)
    stride, padding = shape[-2:]
    if not addends:
        addend, grad_addend = addend[:0], grad_addend[:0]
    out, grad_input = np.empty_like(grad_output), np.empty_like(x)
    grad_kernel = np.empty_like(kernel)
    assert tiles.forward(x, kernel, bias, addend, relu, stride, padding, out)
    assert tiles.grad_input(
        grad_output, kernel, grad_addend, stride, padding, grad_input
    )
    assert tiles.grad_kernel(grad_output, x, stride, padding, grad_kernel)
    return out, grad_input, grad_kernel


#: Shape and options: all shapes, and numbers so small that they, their products or
#: their sums are denormal.
CASES = [
    *((shape, 1.0, True, True) for shape in SHAPES),
    *((SHAPES[1], scale, False, False) for scale in (2.0**-62, 2.0**-126)),
]


def all_products():
    """Return the products of all cases, whole and in small pieces, by names."""
    found, whole = {}, tiles._pieces
    for pieces in (whole, in_small_pieces):
        tiles._pieces = pieces
        for number, case in enumerate(CASES):
            for product in zip(
                ("out", "input", "kernel"), products(*case), strict=True
            ):
                found[f"{product[0]}, case {number}, {pieces.__name__}"] = product[1]
    tiles._pieces = whole
    return found


if __name__ == "__main__":
    library = ctypes.CDLL(sys.argv[1])
    assert library.tiles_trap() == 0
    tiles.has_amx = lambda: True
    found = all_products()
    met = (ctypes.c_long * 7)()
    library.tiles_met(met)
    np.savez(sys.argv[2], met=np.array(met), **found)
