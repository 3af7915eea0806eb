"""Maximum pooling of (N, C, H, W) activations.

Forward
    out[p, q] = x[h*, w*], (h*, w*) the pixel of the window's maximum
Padding counts as -Inf and is never the maximum.  NaN counts as the greatest.
Backward
    A small change of x changes out[p, q] only at (h*, w*):
    grad_input[h, w] = sum of grad_output[p, q] over windows whose (h*, w*) is (h, w)
Among equal maxima the first in row-major order gets all of it.

More in docs/derivations/pooling.md.
"""

from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from odyssey.bfloat16 import as_bits
from odyssey.kernels import pooling as kernels
from odyssey.layout import as_nhwc, from_nhwc
from odyssey.memory import empty
from odyssey.ops.pooling.windows import check_grad_output, lay_out

__all__ = ["maxpool2d", "maxpool2d_backward"]


def maxpool2d(
    x: np.ndarray, kernel_size: int, stride: int | None = None, padding: int = 0
) -> np.ndarray:
    """Return the maxima of the windows of ``x``.

    Parameters
    ----------
    x : (N, C, H, W), float32, float64 or bfloat16
    kernel_size : height and width of the window
    stride : step between windows; None for ``kernel_size``
    padding : border on every side, at most half the window; never the maximum

    Returns
    -------
    out : (N, C, P, Q), P = (H + 2*padding - kernel_size)//stride + 1, Q likewise;
        NaN for a window that holds one

    Raises
    ------
    TypeError, ValueError
        As ``avgpool2d``.
    """
    windows = lay_out("maxpool2d", x, kernel_size, stride, padding)
    N, C, H, W = x.shape
    out = as_bits(empty((N, windows.P, windows.Q, C), x.dtype.newbyteorder("=")))
    rows, cols = windows.bounds(H, W)
    kernels.max_windows(as_nhwc(x), rows, cols, out)
    return from_nhwc(out, x)


def maxpool2d_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    kernel_size: int,
    stride: int | None = None,
    padding: int = 0,
) -> np.ndarray:
    """Return the gradient of ``maxpool2d`` with respect to ``x``.

    Parameters
    ----------
    grad_output : (N, C, P, Q), dtype of ``x``, the gradient of the forward's result
    x, kernel_size, stride, padding : the arguments of the forward

    Returns
    -------
    grad_input : (N, C, H, W); the first maximum (or the first NaN) of a window, in
        row-major order, takes the window's gradient

    Raises
    ------
    TypeError, ValueError
        As ``avgpool2d``, and for a ``grad_output`` of another dtype or shape.
    """
    op = "maxpool2d_backward"
    windows = lay_out(op, x, kernel_size, stride, padding)
    N, C, H, W = x.shape
    check_grad_output(op, x, grad_output, windows.P, windows.Q)
    grad_input = as_bits(empty((N, H, W, C), x.dtype.newbyteorder("=")))
    # forward: out[p, q] = x[h*, w*]
    rows, cols = windows.bounds(H, W)
    kernel = kernels.max_windows_backward
    if windows.stride < windows.R:
        kernel = kernels.max_overlapping_backward
    kernel(as_nhwc(grad_output), as_nhwc(x), rows, cols, grad_input)
    return from_nhwc(grad_input, x)


def kernel_calls(dtype: DTypeLike) -> list[partial]:
    """Return calls that between them reach every kernel used here."""
    x = np.ones((2, 3, 4, 4), dtype)
    return [
        partial(maxpool2d, x, 4),
        partial(maxpool2d_backward, x[:, :, :1, :1], x, 4),
        partial(maxpool2d_backward, x[:, :, :3, :3], x, 2, 1),
    ]
