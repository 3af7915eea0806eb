"""Winograd's F(2x2, 3x3): a tile, and a convolution made of tiles."""

import numpy as np

from odyssey.learn.solutions.winograd_1d import (
    transform_input,
    transform_kernel,
    transform_output,
)


def winograd_tile(patch, kernel):
    """Return the tile (K, 2, 2) of a patch (C, 4, 4) and kernels (K, C, 3, 3)."""
    data = _both_axes(transform_input, patch)  # (C, 4, 4)
    filters = _both_axes(transform_kernel, kernel)  # (K, C, 4, 4)
    # The sum over channels comes first: one transform back for all of them.
    return _both_axes(transform_output, (filters * data).sum(axis=1))


def winograd_2d(x, kernel, padding=0):
    """Return what conv2d(x, kernel, padding=padding) does, tile by tile."""
    (N, _, H, W), K = x.shape, len(kernel)
    P, Q = H + 2 * padding - 2, W + 2 * padding - 2
    # Where P or Q is odd, the last tiles need one more row or column of zeros.
    ends = (padding, padding + P % 2), (padding, padding + Q % 2)
    x_pad = np.pad(x, [(0, 0), (0, 0), *ends])
    out = np.zeros((N, K, P + P % 2, Q + Q % 2), x.dtype)
    for n, i, j in np.ndindex(N, len(range(0, P, 2)), len(range(0, Q, 2))):
        p, q = 2 * i, 2 * j
        patch = x_pad[n, :, p : p + 4, q : q + 4]
        out[n, :, p : p + 2, q : q + 2] = winograd_tile(patch, kernel)
    return out[:, :, :P, :Q]


def _both_axes(transform, a):
    """Transform the columns of a, then its rows: its last two axes."""
    for axis in (-2, -1):
        a = np.moveaxis(transform(np.moveaxis(a, axis, 0)), 0, axis)
    return a
