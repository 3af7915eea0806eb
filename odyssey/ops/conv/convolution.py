"""Two-dimensional convolution (cross-correlation, as everywhere in deep learning).

Forward, with h = p*stride + r - padding and w = q*stride + s - padding:

    out[n,k,p,q] = bias[k] + sum over c,r,s of  x[n,c,h,w] * kernel[k,c,r,s]

The sum is linear in x, in kernel and in bias.  A gradient therefore takes each product
of the forward, puts ``grad_output`` in the place of ``out``, and sums over the indices
that the wanted gradient does not have.  Side by side:

    out        [n,k,p,q] = sum over c,r,s  x[n,c,h,w]           * kernel[k,c,r,s]
    grad_input [n,c,h,w] = sum over k,r,s  grad_output[n,k,p,q] * kernel[k,c,r,s]
    grad_kernel[k,c,r,s] = sum over n,p,q  grad_output[n,k,p,q] * x[n,c,h,w]
    grad_bias  [k]       = sum over n,p,q  grad_output[n,k,p,q]

In the second line h and w are given: it runs over those (p, r) with
p*stride + r - padding = h, and likewise for w.  With stride 1 that is p = h + padding
- r: again a convolution, with the kernel turned by 180 degrees and the roles of C and
K exchanged.  ``docs/derivations/convolution.md`` goes through it step by step.

Dumoulin & Visin 2016, arXiv:1603.07285, draw the arithmetic of strides and paddings.
"""

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from odyssey.bfloat16 import as_bits, is_bfloat16, sum_dtype, widen
from odyssey.checks import (
    check_activations,
    check_int,
    check_ndim,
    check_parameters,
    check_shape,
)
from odyssey.kernels.batch_norm import merge_blocks
from odyssey.kernels.conv_direct import column_sums
from odyssey.layout import as_nhwc, from_nhwc, kernel_ready
from odyssey.memory import empty
from odyssey.ops.batch_norm.statistics import BatchStatistics
from odyssey.ops.conv import direct, tiles, winograd, winograd_domain, winograd_strided
from odyssey.ops.conv.algorithm import Algorithm, FastAlgorithm, WinogradAlgorithm
from odyssey.ops.conv.prepared import PreparedKernel
from odyssey.processor import has_amx

__all__ = ["conv2d", "conv2d_backward"]

#: A gradient that the caller may have left out.  The caller knows whether it is there,
#: a type checker does not: "| Any" lets it take what is handed back for an array.
OptionalGradient = np.ndarray | Any

WINOGRAD: tuple[WinogradAlgorithm, ...] = winograd, winograd_strided


def conv2d(
    x: np.ndarray,
    kernel: np.ndarray | PreparedKernel,
    bias: np.ndarray | None = None,
    stride: int = 1,
    padding: int = 0,
    *,
    method: str = "auto",
    addend: np.ndarray | None = None,
    relu: bool = False,
) -> np.ndarray:
    """Convolve a batch of images with a kernel.

    Parameters
    ----------
    x : (N, C, H, W), float32, float64 or bfloat16, any memory layout
    kernel : (K, C, R, S), same dtype; beside bfloat16 also float32
        Or a `PreparedKernel`, where many convolutions have the same one.
    bias : (K,), likewise, optional
    stride, padding : int
        Step between windows (at least 1); rows and columns of zeros on each side.
    method : "auto", "direct", "winograd" or "tiles"
        How to sum.  "winograd" is for 3x3 kernels of stride 1, where it is several
        times faster, and for those of stride 2 and padding 1; in float32 its relative
        error is 2e-6 to 5e-6, or up to 1e-6 with stride 2, that of direct sums 4e-7.
        "auto" takes it where it pays.  Results that are not finite are always summed
        directly.  "tiles" is for bfloat16, of which it multiplies pairs; it rounds a
        float32 kernel to bfloat16, and takes numbers below 2**-126 as zero.  "auto"
        takes it where the processor has such tiles (AMX).
    addend : (N, K, P, Q), dtype of ``x``, optional
        Added to the result.
    relu : bool
        True takes the relu of the result: with both, it is ``relu(conv2d(x) + addend)``
        without a pass over memory for either.  The backward is that of the convolution
        alone: give it ``relu_backward(grad_output, out)``.

    Returns
    -------
    out : (N, K, P, Q), in the dtype and the layout of ``x``
        ``P = (H + 2*padding - R)//stride + 1``, ``Q`` likewise.  Of bfloat16 the sums
        are float32, and rounded once.

    Raises
    ------
    TypeError
        For dtypes other than these or that do not fit together, for sizes that are no
        integers.
    ValueError
        For wrong ranks, channels that differ, a kernel larger than the padded input, a
        method that is not there or not for this shape.
    """
    options: dict[str, Any] = {"method": method, "addend": addend, "relu": relu}
    return _conv2d(x, kernel, bias, stride, padding, **options)[0]


def conv2d_and_statistics(
    x: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray | None = None,
    stride: int = 1,
    padding: int = 0,
    *,
    method: str = "auto",
) -> tuple[np.ndarray, BatchStatistics | None]:
    """Convolve as ``conv2d`` does, and find the statistics of the result on the way.

    A batch norm that follows need not read the result once more to find them.  They are
    those of ``batch_statistics(out)`` but for rounding.  Where they are not at hand,
    there are none: they are with Winograd's method, in float32 and float64, without a
    bias, where P and Q are multiples of 4, unless squares overflow in this dtype.
    """
    return _conv2d(x, kernel, bias, stride, padding, method=method, statistics=True)


def _conv2d(
    x: np.ndarray,
    kernel: np.ndarray | PreparedKernel,
    bias: np.ndarray | None,
    stride: int,
    padding: int,
    *,
    method: str,
    addend: np.ndarray | None = None,
    relu: bool = False,
    statistics: bool = False,
) -> tuple[np.ndarray, BatchStatistics | None]:
    dtype = check_activations("conv2d", x=x)
    made = None
    if isinstance(kernel, PreparedKernel):
        made = kernel.made
        kernel = kernel.array
    check_parameters("conv2d", x, kernel=kernel)
    stride, padding, P, Q = _geometry("conv2d", x, kernel, stride, padding)
    pixels = x.shape[0], P, Q
    geometry = kernel, stride, padding, pixels
    algorithm = _choose("conv2d", method, dtype, *geometry, "forward")
    K = kernel.shape[0]
    moments, chunk, fast = None, 0, [one for one in WINOGRAD if one is algorithm]
    at_hand = bias is None and P % 4 == Q % 4 == 0 and not is_bfloat16(dtype)
    if statistics and fast and at_hand and x.shape[0]:
        chunk = fast[0].chunk_of(kernel)
        moments = winograd_domain.room_for_moments(pixels, K, chunk)
    if bias is None:
        bias = np.zeros(K, sum_dtype(dtype))
    else:
        check_parameters("conv2d", x, bias=bias)
        check_shape("conv2d", "bias", bias, (K,), "one value per kernel")
    added = as_bits(np.empty((0, 1, 1, K), dtype))
    if addend is not None:
        check_activations("conv2d", x=x, addend=addend)
        check_shape("conv2d", "addend", addend, (x.shape[0], K, P, Q))
        added = as_nhwc(addend)
    out = as_bits(empty((x.shape[0], P, Q, K), dtype))
    if out.size:
        bias = kernel_ready(np.ascontiguousarray(widen(bias)))
        images, kernel = as_nhwc(x), kernel_ready(np.ascontiguousarray(widen(kernel)))
        given = images, kernel, bias, added, relu, stride, padding, out
        if moments is None:
            finite = algorithm.forward(*given, made=made)
        else:
            finite = fast[0].forward(*given, made=made, moments=moments)
        if not finite:
            direct.forward(*given)
        elif moments is not None:
            return from_nhwc(out, x), _statistics_of(moments, out, chunk)
    return from_nhwc(out, x), None


def _statistics_of(
    moments: np.ndarray, out: np.ndarray, chunk: int
) -> BatchStatistics | None:
    """Return mean and variance of each channel of ``out`` (N, P, Q, K), if finite."""
    rows, M, K = 16 * chunk, math.prod(out.shape[:3]), out.shape[3]
    base, total, square = moments[:, :, :K].transpose(1, 0, 2)  # (chunks, K) each
    tiles_of_chunk = np.full((len(moments), 1), chunk)
    tiles_of_chunk[-1] = (M - (len(moments) - 1) * rows) // 16
    with np.errstate(over="ignore", invalid="ignore"):
        means = base + total / tiles_of_chunk
        squares = square - 16 * total * total / tiles_of_chunk
    mean, var = np.empty((2, K))
    merge_blocks(means, squares, rows, M, mean, var)
    return BatchStatistics(mean, var) if np.isfinite(var).all() else None


def conv2d_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    kernel: np.ndarray,
    stride: int = 1,
    padding: int = 0,
    *,
    needs_grad_input: bool = True,
    needs_grad_kernel: bool = True,
    needs_grad_bias: bool = True,
    method: str = "auto",
    addend: np.ndarray | None = None,
) -> tuple[OptionalGradient, OptionalGradient, OptionalGradient]:
    """Compute the gradients of ``conv2d``.

    Parameters
    ----------
    grad_output : (N, K, P, Q), dtype of ``x``
        Gradient of the loss by the forward's result.
    x, kernel, stride, padding
        As given to the forward.
    needs_grad_input : bool
        False leaves the first gradient out (None): that of an image is not needed.
    needs_grad_kernel : bool
        False leaves the second one out (None), for a kernel that is not trained.
    needs_grad_bias : bool
        False leaves the last one out (None), for a forward without a bias.
    method : "auto", "direct", "winograd" or "tiles"
        As for the forward.
    addend : (N, C, H, W), dtype of ``x``, optional
        Added to ``grad_input``, without a pass over memory of its own: where the
        forward used x twice, x's gradients by its two uses add up.

    Returns
    -------
    grad_input : (N, C, H, W), in the dtype and the layout of ``x``
    grad_kernel : (K, C, R, S), same dtype; float32 where that is bfloat16
    grad_bias : (K,), likewise

    Raises
    ------
    TypeError, ValueError
        As the forward; and where ``grad_output`` has not the forward's shape.
    """
    dtype = check_activations("conv2d_backward", x=x, grad_output=grad_output)
    check_parameters("conv2d_backward", x, kernel=kernel)
    stride, padding, P, Q = _geometry("conv2d_backward", x, kernel, stride, padding)
    N, C, H, W = x.shape
    K, _, R, S = kernel.shape
    check_shape("conv2d_backward", "grad_output", grad_output, (N, K, P, Q))
    shape = method, dtype, kernel, stride, padding, (N, P, Q)
    algorithm = _choose("conv2d_backward", *shape, "grad_input")

    added = as_bits(np.empty((0, 1, 1, C), dtype))
    if addend is not None:
        check_activations("conv2d_backward", x=x, addend=addend)
        check_shape("conv2d_backward", "addend", addend, x.shape, "as x")
        added = as_nhwc(addend)

    gradient, images = as_nhwc(grad_output), as_nhwc(x)
    kernel = kernel_ready(np.ascontiguousarray(widen(kernel)))
    grad_input = None
    if needs_grad_input:
        # out[n,k,p,q]        = sum over c,r,s  x[n,c,h,w]           * kernel[k,c,r,s]
        # grad_input[n,c,h,w] = sum over k,r,s  grad_output[n,k,p,q] * kernel[k,c,r,s]
        grad_input = as_bits(empty((N, H, W, C), dtype))
        if N:
            given = gradient, kernel, added, stride, padding, grad_input
            if not algorithm.grad_input(*given):
                direct.grad_input(*given)
        grad_input = from_nhwc(grad_input, x)

    grad_kernel = None
    if needs_grad_kernel:
        # grad_kernel[k,c,r,s] = sum over n,p,q  grad_output[n,k,p,q] * x[n,c,h,w]
        grad_kernel = empty((K, C, R, S), sum_dtype(dtype))
        algorithm = _choose("conv2d_backward", *shape, "grad_kernel")
        if N:
            factors = gradient, images, stride, padding, grad_kernel
            if not algorithm.grad_kernel(*factors):
                direct.grad_kernel(*factors)
        else:
            grad_kernel[...] = 0

    grad_bias = None
    if needs_grad_bias:
        # grad_bias[k] = sum over n,p,q  grad_output[n,k,p,q]
        grad_bias = np.zeros(K, sum_dtype(dtype))
        if N:
            column_sums(gradient.reshape(-1, K), grad_bias)
    return grad_input, grad_kernel, grad_bias


def _choose(
    op: str,
    method: str,
    dtype: np.dtype,
    kernel: np.ndarray,
    stride: int,
    padding: int,
    pixels: tuple[int, int, int],
    product: str,
) -> Algorithm:
    """Return the module of the algorithm in which to find a product.

    ``dtype`` is that of the images, and ``pixels`` are N, P and Q.
    """
    if method not in ("auto", "direct", "winograd", "tiles"):
        raise ValueError(
            f'{op}: method must be "auto", "direct", "winograd" or "tiles", '
            f"got {method!r}"
        )
    if method == "tiles" and not is_bfloat16(dtype):
        raise ValueError(
            f'{op}: method must be "auto", "direct" or "winograd" unless x is '
            f"bfloat16, got {method!r} for {dtype}"
        )
    pays = is_bfloat16(dtype) and tiles.worthwhile(kernel, *pixels, product)
    if method == "tiles" or (method == "auto" and pays):
        return tiles
    algorithm: FastAlgorithm | None = None
    if kernel.shape[2:] == (3, 3) and stride == 1:
        algorithm = winograd
    elif kernel.shape[2:] == (3, 3) and (stride, padding) == (2, 1):
        algorithm = winograd_strided
    if method == "winograd" and algorithm is None:
        raise ValueError(
            f'{op}: method must be "direct" or "auto" unless the kernel is 3 x 3 and '
            "the stride 1, or 2 with a padding of 1, got "
            f"{method!r} for {kernel.shape}, {stride} and {padding}"
        )
    if method == "direct" or algorithm is None:
        return direct
    if method == "auto" and not algorithm.worthwhile(kernel, *pixels, product):
        return direct
    return algorithm


def _geometry(
    op: str, x: np.ndarray, kernel: np.ndarray, stride: int, padding: int
) -> tuple[int, int, int, int]:
    """Check ranks, sizes and steps; return stride, padding, P, Q as Python ints."""
    check_ndim(op, "x", x, "(N, C, H, W)")
    check_ndim(op, "kernel", kernel, "(K, C, R, S)")
    stride = check_int(op, "stride", stride, 1)
    padding = check_int(op, "padding", padding, 0)
    C, H, W = x.shape[1:]
    K, kernel_channels, R, S = kernel.shape
    if kernel_channels != C:
        raise ValueError(
            f"{op}: kernel must have the {C} channels of x, got {kernel_channels} "
            f"(kernel {kernel.shape}, x {x.shape})"
        )
    if 0 in (K, C, R, S):
        raise ValueError(
            f"{op}: kernel must have no axis of length 0, got shape {kernel.shape}"
        )
    if R > H + 2 * padding or S > W + 2 * padding:
        raise ValueError(
            f"{op}: kernel must fit into the padded input of "
            f"{H + 2 * padding} x {W + 2 * padding}, got a kernel of {R} x {S}"
        )
    if padding >= 2**31:
        raise ValueError(f"{op}: padding must be below 2**31, got {padding}")
    stride = min(
        stride, 2**31
    )  # one window either algorithm; keeps indices within 64 bits
    P, Q = (H + 2 * padding - R) // stride + 1, (W + 2 * padding - S) // stride + 1
    return stride, padding, P, Q


def kernel_calls(dtype: DTypeLike) -> list[partial]:
    """Return calls that between them reach every kernel used here."""
    x, bias = np.ones((2, 3, 4, 4), dtype), np.ones(3, dtype)
    kernel = np.ones((3, 3, 3, 3), dtype)
    calls: list[partial] = []
    for stride, method in ((1, "direct"), (1, "winograd"), (2, "winograd")):
        options: dict[str, Any] = {"stride": stride, "padding": 1, "method": method}
        grad_output = x[:, :, : 4 // stride, : 4 // stride]
        calls += [
            partial(conv2d, x, kernel, bias, **options),
            partial(conv2d_and_statistics, x, kernel, **options),
            partial(conv2d_backward, grad_output, x, kernel, **options),
        ]
    # more tiles than go at once, and a kernel at its places before its first tile
    many = np.ones((33, 3, 8, 8), dtype)
    options = {"padding": 1, "method": "winograd"}
    calls += [
        partial(conv2d, x, PreparedKernel(widen(kernel)), **options),
        partial(conv2d_backward, many, many, kernel, **options),
    ]
    if has_amx() and is_bfloat16(np.dtype(dtype)):
        tile: dict[str, Any] = {"padding": 1, "method": "tiles"}
        calls += [
            partial(conv2d, x, kernel, bias, **tile),
            partial(conv2d_backward, x, x, kernel, **tile),
        ]
    return calls
