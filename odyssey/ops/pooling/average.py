"""Average pooling of (N, C, H, W) activations, over windows or over whole images.

Forward
    out[p, q] = 1/R^2 * sum of x[h, w] over the window (p, q)
The padding adds zeros to the sum and counts in R^2.
Backward
    x[h, w] is in every window that covers it, each time with weight 1/R^2, so
    grad_input[h, w] = 1/R^2 * sum of grad_output[p, q] over the windows covering (h, w)
The windows that cover row h are consecutive, too, so forward and backward are the same
kernel with different intervals.

More in docs/derivations/pooling.md.
"""

from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from odyssey.bfloat16 import as_bits, widen
from odyssey.kernels import pooling as kernels
from odyssey.layout import as_nhwc, empty_like_layout, from_nhwc
from odyssey.memory import empty
from odyssey.ops.pooling.windows import check_grad_output, check_input, lay_out

__all__ = [
    "avgpool2d",
    "avgpool2d_backward",
    "global_avgpool2d",
    "global_avgpool2d_backward",
]


def avgpool2d(
    x: np.ndarray, kernel_size: int, stride: int | None = None, padding: int = 0
) -> np.ndarray:
    """Return the means of the windows of ``x``.

    Parameters
    ----------
    x : (N, C, H, W), float32, float64 or bfloat16
    kernel_size : height and width of the window
    stride : step between windows; None for ``kernel_size``
    padding : zeros added on every side, at most half the window; they count in the mean

    Returns
    -------
    out : (N, C, P, Q), P = (H + 2*padding - kernel_size)//stride + 1, Q likewise

    Raises
    ------
    TypeError
        If ``x`` is not an array of one of these dtypes, or a size not an integer.
    ValueError
        If ``x`` is not 4-D, or the window does not fit.

    Notes
    -----
    Sums are float64 and overflow only there.  Rows and columns that no window reaches
    are left out.
    """
    windows = lay_out("avgpool2d", x, kernel_size, stride, padding)
    N, C, H, W = x.shape
    out = as_bits(empty((N, windows.P, windows.Q, C), x.dtype.newbyteorder("=")))
    rows, cols = windows.bounds(H, W)
    kernels.sum_windows(as_nhwc(x), rows, cols, 1 / windows.R**2, out)
    return from_nhwc(out, x)


def avgpool2d_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    kernel_size: int,
    stride: int | None = None,
    padding: int = 0,
) -> np.ndarray:
    """Return the gradient of ``avgpool2d`` with respect to ``x``.

    Parameters
    ----------
    grad_output : (N, C, P, Q), dtype of ``x``, the gradient of the forward's result
    x, kernel_size, stride, padding : the arguments of the forward; of ``x`` only
        shape, dtype and layout matter

    Returns
    -------
    grad_input : (N, C, H, W); zero where no window reached

    Raises
    ------
    TypeError, ValueError
        As ``avgpool2d``, and for a ``grad_output`` of another dtype or shape.
    """
    op = "avgpool2d_backward"
    windows = lay_out(op, x, kernel_size, stride, padding)
    N, C, H, W = x.shape
    check_grad_output(op, x, grad_output, windows.P, windows.Q)
    grad_input = as_bits(empty((N, H, W, C), x.dtype.newbyteorder("=")))
    # forward: out[p, q] = 1/R^2 * sum of x over the rows and columns of window (p, q)
    rows, cols = windows.covering(H, W)
    gradient = as_nhwc(grad_output)
    kernels.sum_windows(gradient, rows, cols, 1 / windows.R**2, grad_input)
    return from_nhwc(grad_input, x)


def global_avgpool2d(x: np.ndarray) -> np.ndarray:
    """Return the mean over all pixels of each channel.

    Parameters
    ----------
    x : (N, C, H, W), float32, float64 or bfloat16

    Returns
    -------
    out : (N, C, 1, 1); summed in float64

    Raises
    ------
    TypeError, ValueError
        If ``x`` is not an array of one of these dtypes; not 4-D or without pixels.
    """
    check_input("global_avgpool2d", x)
    N, C, H, W = x.shape
    out = as_bits(np.empty((N, 1, 1, C), x.dtype.newbyteorder("=")))
    rows, cols = np.array([[0, H]]), np.array([[0, W]])
    kernels.sum_windows(as_nhwc(x), rows, cols, 1 / (H * W), out)
    return from_nhwc(out, x)


def global_avgpool2d_backward(grad_output: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the gradient of ``global_avgpool2d`` with respect to ``x``.

    Parameters
    ----------
    grad_output : (N, C, 1, 1), dtype of ``x``, the gradient of the forward's result
    x : (N, C, H, W), the argument of the forward; only shape, dtype and layout matter

    Returns
    -------
    grad_input : (N, C, H, W), each pixel grad_output/(H*W)

    Raises
    ------
    TypeError, ValueError
        As ``global_avgpool2d``, and for a ``grad_output`` of another dtype or shape.
    """
    op = "global_avgpool2d_backward"
    check_input(op, x)
    check_grad_output(op, x, grad_output, 1, 1)
    grad_input = empty_like_layout(x, x.shape)
    # forward: out = 1/(H*W) * sum of x over all pixels
    grad_input[...] = widen(grad_output) / (x.shape[2] * x.shape[3])
    return grad_input


def kernel_calls(dtype: DTypeLike) -> list[partial]:
    """Return calls that between them reach every kernel used here."""
    x = np.ones((2, 3, 4, 4), dtype)
    pixel = x[:, :, :1, :1]
    return [
        partial(avgpool2d, x, 4),
        partial(avgpool2d_backward, pixel, x, 4),
        partial(global_avgpool2d, x),
        partial(global_avgpool2d_backward, pixel, x),
    ]
