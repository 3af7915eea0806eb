"""Memory layouts of activations: all are accepted, channels-last is the fast one.

Activations have *shape* (N, C, H, W).  Their *memory* may be in any order.  Kernels
work on C-contiguous (N, H, W, C) arrays, where the channels of a pixel lie side by
side and fill SIMD lanes.  For an array whose memory is channels-last that is a view,
for any other a copy.  Results are returned in the layout of the input.  Kernels get
the bits of bfloat16 numbers, as uint16.
"""

import numpy as np

from odyssey.bfloat16 import as_bits, from_bits
from odyssey.memory import empty


def native(x: np.ndarray) -> np.ndarray:
    """Return ``x`` itself, or a copy of it in native byte order."""
    return x.astype(x.dtype.newbyteorder("="), order="K", copy=False)


def kernel_ready(x: np.ndarray) -> np.ndarray:
    """Return ``x`` in native byte order and writeable, copied only if it is not.

    Numba would compile another version of a kernel for read-only arrays, and supports
    no foreign byte order.  Such arrays are rare, so a copy is cheaper.
    """
    if x.dtype.isnative and x.flags.writeable:
        return x
    return x.astype(x.dtype.newbyteorder("="), order="K")


def is_channels_last(x: np.ndarray) -> bool:
    """Return whether the memory of ``x`` (N, C, H, W) is an (N, H, W, C) array.

    If an axis of length one makes both orders contiguous, the strides decide, so that
    an image of one channel keeps its order.
    """
    return (
        x.strides[1] == x.itemsize
        and x.strides[3] == x.shape[1] * x.itemsize
        and x.transpose(0, 2, 3, 1).flags.c_contiguous
    )


def as_nhwc(x: np.ndarray) -> np.ndarray:
    """Return ``x`` (N, C, H, W) as a C-contiguous (N, H, W, C) array for a kernel."""
    return kernel_ready(np.ascontiguousarray(as_bits(x).transpose(0, 2, 3, 1)))


def memory_order(x: np.ndarray) -> tuple[int, ...]:
    """Return the axes of ``x`` in order of their strides, the largest first."""
    return tuple(sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis])))


def flatten(x: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Return the elements of ``x`` for a kernel, 1-D, with its axes in ``order``.

    It is a view if the memory of ``x`` is one block in that order, otherwise a copy.
    """
    return kernel_ready(np.ascontiguousarray(as_bits(x).transpose(order)).reshape(-1))


def is_block(x: np.ndarray, order: tuple[int, ...] | None = None) -> bool:
    """Return whether a kernel can write to ``x``: one block, native byte order.

    ``order`` lists the axes by stride, the largest first; None allows any order.
    """
    order = memory_order(x) if order is None else order
    return x.dtype.isnative and x.transpose(order).flags.c_contiguous


def to_write(out: np.ndarray | None, like: np.ndarray) -> np.ndarray:
    """Return ``out`` if a kernel can write to it, otherwise a new array ``like`` that.

    `into` copies that to ``out`` afterwards.
    """
    if out is not None and is_block(out):
        return out
    return empty_like_layout(like, like.shape)


def into(out: np.ndarray | None, result: np.ndarray) -> np.ndarray:
    """Copy ``result`` to ``out``, unless that is None or the same; return the array."""
    if out is None or out is result:
        return result
    out[...] = result
    return out


def empty_like_layout(
    x: np.ndarray, shape: tuple[int, ...], dtype: np.dtype | None = None
) -> np.ndarray:
    """Return an uninitialised array of ``shape`` with its axes ordered as in ``x``.

    Its dtype is that of ``x`` unless another is given; the byte order is native.
    """
    dtype = (x.dtype if dtype is None else dtype).newbyteorder("=")
    order: tuple[int, ...] = (0, 2, 3, 1)
    if x.ndim != 4 or not is_channels_last(x):
        order = memory_order(x)
    out = empty(tuple(shape[axis] for axis in order), dtype)
    return out.transpose(np.argsort(order))


def from_nhwc(out: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Return ``out`` (N, H, W, C) in shape (N, C, H, W), in the layout of ``like``.

    A kernel has written it: of bfloat16 numbers, like those of ``like``, the bits.
    """
    out = out.transpose(0, 3, 1, 2)
    if is_channels_last(like):
        return from_bits(out, like.dtype)
    result = empty_like_layout(like, out.shape)
    as_bits(result)[...] = as_bits(out)
    return result
