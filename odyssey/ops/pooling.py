"""Average and maximum pooling of (N, C, H, W) activations.

A window of R x R pixels (R = kernel_size) moves over the padded input, ``stride``
pixels at a time.  Output row p looks at the R rows from p*stride - padding on; columns
likewise.

Average, forward
    out[p, q] = 1/R^2 * sum of x[h, w] over the window (p, q)
Padding enters as zeros and counts in R^2.
Average, backward
    x[h, w] entered every window that covers it, each time with weight 1/R^2, so
    grad_input[h, w] = 1/R^2 * sum of grad_output[p, q] over the windows covering (h, w)
The windows covering row h are again a run of rows p, so both are one and the same
kernel, given other intervals.

Maximum, forward
    out[p, q] = x[h*, w*], (h*, w*) the pixel of the window's maximum
Padding never wins (it stands for -Inf).  NaN counts as the greatest.
Maximum, backward
    A small change of x moves out[p, q] only if it is made at (h*, w*):
    grad_input[h, w] = sum of grad_output[p, q] over windows whose (h*, w*) is (h, w)
Among equal maxima the first in row-major order takes it all.

More in docs/derivations/pooling.md.
"""

from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from odyssey import checks, layout
from odyssey.kernels import pooling as kernels

__all__ = [
    "avgpool2d",
    "avgpool2d_backward",
    "global_avgpool2d",
    "global_avgpool2d_backward",
    "maxpool2d",
    "maxpool2d_backward",
]


def _check_input(op: str, x: np.ndarray) -> None:
    """Raise unless ``x`` is (N, C, H, W) with pixels to pool."""
    checks.check_floating(op, x=x)
    checks.check_ndim(op, "x", x, "(N, C, H, W)")
    if 0 in x.shape[1:]:
        raise ValueError(
            f"{op}: x must have C, H and W of at least 1, got shape {x.shape}"
        )


def _check_grad_output(
    op: str, x: np.ndarray, grad_output: np.ndarray, P: int, Q: int
) -> None:
    """Raise unless ``grad_output`` has the dtype of ``x`` and the result's shape."""
    checks.check_floating(op, x=x, grad_output=grad_output)
    checks.check_shape(op, "grad_output", grad_output, (*x.shape[:2], P, Q))


def _check_window(
    op: str, x: np.ndarray, kernel_size: int, stride: int | None, padding: int
) -> tuple[int, int, int, int, int]:
    """Return kernel size, stride, padding and the output size P, Q, all checked."""
    _check_input(op, x)
    kernel_size = checks.check_int(op, "kernel_size", kernel_size, 1)
    stride = (
        kernel_size if stride is None else checks.check_int(op, "stride", stride, 1)
    )
    padding = checks.check_int(op, "padding", padding, 0)
    if 2 * padding > kernel_size:
        raise ValueError(
            f"{op}: padding must be at most half of kernel_size, "
            f"got padding {padding} and kernel_size {kernel_size}"
        )
    H, W = x.shape[2] + 2 * padding, x.shape[3] + 2 * padding
    if kernel_size > min(H, W):
        raise ValueError(
            f"{op}: kernel_size must be at most the padded input, "
            f"got kernel_size {kernel_size} and a padded input of {H} x {W}"
        )
    P, Q = (H - kernel_size) // stride + 1, (W - kernel_size) // stride + 1
    return kernel_size, stride, padding, P, Q


def _window_bounds(P: int, H: int, R: int, stride: int, padding: int) -> np.ndarray:
    """Return (P, 2): the first row of x in each window, and the one after the last."""
    bounds = [
        (max(p * stride - padding, 0), min(p * stride - padding + R, H))
        for p in range(P)
    ]
    return np.array(bounds, np.int64)


def _cover_bounds(P: int, H: int, R: int, stride: int, padding: int) -> np.ndarray:
    """Return (H, 2): the first window covering each row, and the one after the last.

    Window p covers row h if p*stride - padding <= h < p*stride - padding + R, that is
    (h + padding - R)/stride < p <= (h + padding)/stride.
    """
    bounds = [
        (max((h + padding - R) // stride + 1, 0), min((h + padding) // stride + 1, P))
        for h in range(H)
    ]
    return np.array(bounds, np.int64)


def avgpool2d(
    x: np.ndarray, kernel_size: int, stride: int | None = None, padding: int = 0
) -> np.ndarray:
    """Return the means of the windows of ``x``.

    Parameters
    ----------
    x : (N, C, H, W), float32 or float64
    kernel_size : height and width of the window
    stride : step between windows; None for ``kernel_size``
    padding : zeros added on every side, at most half the window; they count in the mean

    Returns
    -------
    out : (N, C, P, Q), P = (H + 2*padding - kernel_size)//stride + 1, Q likewise

    Raises
    ------
    TypeError
        If ``x`` is not a float32 or float64 array, or a size is not an integer.
    ValueError
        If ``x`` is not 4-D, or the window does not fit.

    Notes
    -----
    Sums are float64 and overflow only there.  Rows and columns that no window reaches
    are left out.
    """
    R, stride, padding, P, Q = _check_window(
        "avgpool2d", x, kernel_size, stride, padding
    )
    N, C, H, W = x.shape
    out = np.empty((N, P, Q, C), x.dtype.newbyteorder("="))
    rows = _window_bounds(P, H, R, stride, padding)
    cols = _window_bounds(Q, W, R, stride, padding)
    kernels.sum_windows(layout.as_nhwc(x), rows, cols, 1 / (R * R), out)
    return layout.from_nhwc(out, x)


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
    R, stride, padding, P, Q = _check_window(op, x, kernel_size, stride, padding)
    N, C, H, W = x.shape
    _check_grad_output(op, x, grad_output, P, Q)
    grad_input = np.empty((N, H, W, C), x.dtype.newbyteorder("="))
    # forward: out[p, q] = 1/R^2 * sum of x over the rows and columns of window (p, q)
    rows = _cover_bounds(P, H, R, stride, padding)
    cols = _cover_bounds(Q, W, R, stride, padding)
    grad_nhwc = layout.as_nhwc(grad_output)
    kernels.sum_windows(grad_nhwc, rows, cols, 1 / (R * R), grad_input)
    return layout.from_nhwc(grad_input, x)


def maxpool2d(
    x: np.ndarray, kernel_size: int, stride: int | None = None, padding: int = 0
) -> np.ndarray:
    """Return the maxima of the windows of ``x``.

    Parameters
    ----------
    x : (N, C, H, W), float32 or float64
    kernel_size : height and width of the window
    stride : step between windows; None for ``kernel_size``
    padding : border on every side, at most half the window; it never wins

    Returns
    -------
    out : (N, C, P, Q), P = (H + 2*padding - kernel_size)//stride + 1, Q likewise;
        NaN for a window that holds one

    Raises
    ------
    TypeError, ValueError
        As ``avgpool2d``.
    """
    R, stride, padding, P, Q = _check_window(
        "maxpool2d", x, kernel_size, stride, padding
    )
    N, C, H, W = x.shape
    out = np.empty((N, P, Q, C), x.dtype.newbyteorder("="))
    rows = _window_bounds(P, H, R, stride, padding)
    cols = _window_bounds(Q, W, R, stride, padding)
    kernels.max_windows(layout.as_nhwc(x), rows, cols, out)
    return layout.from_nhwc(out, x)


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
    R, stride, padding, P, Q = _check_window(op, x, kernel_size, stride, padding)
    N, C, H, W = x.shape
    _check_grad_output(op, x, grad_output, P, Q)
    grad_input = np.empty((N, H, W, C), x.dtype.newbyteorder("="))
    # forward: out[p, q] = x[h*, w*]
    rows = _window_bounds(P, H, R, stride, padding)
    cols = _window_bounds(Q, W, R, stride, padding)
    kernels.max_windows_backward(
        layout.as_nhwc(grad_output), layout.as_nhwc(x), rows, cols, grad_input
    )
    return layout.from_nhwc(grad_input, x)


def global_avgpool2d(x: np.ndarray) -> np.ndarray:
    """Return the mean over all pixels of each channel.

    Parameters
    ----------
    x : (N, C, H, W), float32 or float64

    Returns
    -------
    out : (N, C, 1, 1); summed in float64

    Raises
    ------
    TypeError, ValueError
        If ``x`` is not a float32 or float64 array; if it is not 4-D or has no pixels.
    """
    _check_input("global_avgpool2d", x)
    N, C, H, W = x.shape
    out = np.empty((N, 1, 1, C), x.dtype.newbyteorder("="))
    rows, cols = np.array([[0, H]]), np.array([[0, W]])
    kernels.sum_windows(layout.as_nhwc(x), rows, cols, 1 / (H * W), out)
    return layout.from_nhwc(out, x)


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
    _check_input(op, x)
    _check_grad_output(op, x, grad_output, 1, 1)
    grad_input = layout.empty_like_layout(x, x.shape)
    # forward: out = 1/(H*W) * sum of x over all pixels
    grad_input[...] = grad_output / (x.shape[2] * x.shape[3])
    return grad_input


def kernel_calls(dtype: DTypeLike) -> list[partial]:
    """Return calls that between them reach every kernel used here."""
    x = np.ones((2, 3, 4, 4), dtype)
    pixel = x[:, :, :1, :1]
    return [
        partial(avgpool2d, x, 4),
        partial(avgpool2d_backward, pixel, x, 4),
        partial(maxpool2d, x, 4),
        partial(maxpool2d_backward, pixel, x, 4),
        partial(global_avgpool2d, x),
        partial(global_avgpool2d_backward, pixel, x),
    ]
