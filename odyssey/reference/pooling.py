"""Pooling, one window at a time."""

import numpy as np


def avgpool2d(x, kernel_size, stride=None, padding=0):
    """Return the mean of every window of x, in which the padding counts as zeros."""
    rows, cols = _windows(x, kernel_size, stride, padding)
    out = np.zeros((*x.shape[:2], len(rows), len(cols)), x.dtype)
    for p, q in np.ndindex(len(rows), len(cols)):
        out[:, :, p, q] = x[:, :, rows[p], cols[q]].sum(axis=(2, 3)) / kernel_size**2
    return out


def avgpool2d_backward(grad_output, x, kernel_size, stride=None, padding=0):
    """Return grad_input: each pixel of a window gets an equal share."""
    rows, cols = _windows(x, kernel_size, stride, padding)
    grad_input = np.zeros_like(x)
    for p, q in np.ndindex(len(rows), len(cols)):
        # out[:, :, p, q] = x[:, :, rows[p], cols[q]].sum(axis=(2, 3)) / kernel_size**2
        share = grad_output[:, :, p, q] / kernel_size**2
        grad_input[:, :, rows[p], cols[q]] += share[:, :, None, None]
    return grad_input


def maxpool2d(x, kernel_size, stride=None, padding=0):
    """Return the maximum of every window of x: never padding, NaN if there is one."""
    rows, cols = _windows(x, kernel_size, stride, padding)
    out = np.zeros((*x.shape[:2], len(rows), len(cols)), x.dtype)
    for p, q in np.ndindex(len(rows), len(cols)):
        out[:, :, p, q] = x[:, :, rows[p], cols[q]].max(axis=(2, 3))
    return out


def maxpool2d_backward(grad_output, x, kernel_size, stride=None, padding=0):
    """Return grad_input: the first maximum of a window, row by row, gets all of it."""
    rows, cols = _windows(x, kernel_size, stride, padding)
    grad_input = np.zeros_like(x)
    for n, c, p, q in np.ndindex(grad_output.shape):
        # out[:, :, p, q] = x[:, :, rows[p], cols[q]].max(axis=(2, 3))
        window = x[n, c, rows[p], cols[q]]
        first = np.unravel_index(window.argmax(), window.shape)
        grad_input[n, c, rows[p], cols[q]][first] += grad_output[n, c, p, q]
    return grad_input


def _windows(x, size, stride, padding):
    """Return the rows and the columns of x in each window, without padding."""
    spans, stride = [], size if stride is None else stride
    for length in x.shape[2:]:
        starts = range(-padding, length + padding - size + 1, stride)
        spans.append([slice(max(start, 0), start + size) for start in starts])
    return spans


def global_avgpool2d(x):
    """Return the mean of each channel's image, (N, C, 1, 1)."""
    return x.mean(axis=(2, 3), keepdims=True)


def global_avgpool2d_backward(grad_output, x):
    """Return grad_input: each of the H * W pixels receives an equal share."""
    return np.ones_like(x) * grad_output / (x.shape[2] * x.shape[3])
