"""Winograd's F(2, 3): two results of a filter of three taps with four products."""

import numpy as np


def transform_kernel(f):
    """Return the four numbers that a filter is replaced by."""
    return np.stack([f[0], (f[0] + f[1] + f[2]) / 2, (f[0] - f[1] + f[2]) / 2, f[2]])


def transform_output(m):
    """Return the two results, of four products."""
    return np.stack([m[0] + m[1] + m[2], m[1] - m[2] + m[3]])


def transform_input(d):
    """Return the four numbers that the data are replaced by."""
    return np.stack([d[0] - d[2], d[1] + d[2], d[2] - d[1], d[3] - d[1]])


def winograd_1d(d, f):
    """Return y[p] = sum over r of d[p + r] * f[r], for p = 0 and 1."""
    return transform_output(transform_kernel(f) * transform_input(d))
