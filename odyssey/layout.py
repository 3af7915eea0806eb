"""Memory layouts of activations: any goes in, channels-last is the fast one.

Activations have *shape* (N, C, H, W).  Their *memory* may be in any order.  Kernels
work on C-contiguous (N, H, W, C) arrays, where the channels of a pixel lie side by
side and fill SIMD lanes; for an array whose memory is channels-last that is a view,
for any other a copy.  Results are handed back in the order that the input had.
"""

import numpy as np

from odyssey.memory import empty


def native(x: np.ndarray) -> np.ndarray:
    """Return ``x`` itself, or a copy of it in native byte order."""
    return x.astype(x.dtype.newbyteorder("="), order="K", copy=False)


def kernel_ready(x: np.ndarray) -> np.ndarray:
    """Return ``x`` in native byte order and writeable, copied only if it is not.

    Numba compiles a further version of a kernel for read-only arrays, and has none
    for foreign byte orders; a copy of such a rarity is cheaper.
    """
    if x.dtype.isnative and x.flags.writeable:
        return x
    return x.astype(x.dtype.newbyteorder("="), order="K")


def is_channels_last(x: np.ndarray) -> bool:
    """Tell whether the memory of ``x`` (N, C, H, W) is a whole (N, H, W, C) array.

    The strides decide even where an axis of length one makes both orders contiguous,
    so that an image of one channel keeps the order it was made with.
    """
    return (
        x.strides[1] == x.itemsize
        and x.strides[3] == x.shape[1] * x.itemsize
        and x.transpose(0, 2, 3, 1).flags.c_contiguous
    )


def as_nhwc(x: np.ndarray) -> np.ndarray:
    """Return ``x`` (N, C, H, W) as a C-contiguous (N, H, W, C) array for a kernel."""
    return kernel_ready(np.ascontiguousarray(x.transpose(0, 2, 3, 1)))


def memory_order(x: np.ndarray) -> tuple[int, ...]:
    """Return the axes of ``x`` from the one of the largest stride to the smallest."""
    return tuple(sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis])))


def flatten(x: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Return the elements of ``x`` in 1-D, with its axes taken in ``order``.

    A view where the memory of ``x`` is one block in that order, a copy otherwise.
    """
    return kernel_ready(np.ascontiguousarray(x.transpose(order)).reshape(-1))


def is_block(x: np.ndarray, order: tuple[int, ...] | None = None) -> bool:
    """Tell whether a kernel can write to ``x``: one block of memory, native numbers.

    ``order`` are the axes from the largest stride to the smallest, if not any will do.
    """
    order = memory_order(x) if order is None else order
    return x.dtype.isnative and x.transpose(order).flags.c_contiguous


def into(out: np.ndarray | None, result: np.ndarray) -> np.ndarray:
    """Return ``result``, copied to ``out`` if that is given and another array."""
    if out is None or out is result:
        return result
    out[...] = result
    return out


def empty_like_layout(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return an uninitialised array of ``shape`` with its axes ordered as in ``x``."""
    dtype = x.dtype.newbyteorder("=")
    order: tuple[int, ...] = (0, 2, 3, 1)
    if x.ndim != 4 or not is_channels_last(x):
        order = memory_order(x)
    out = empty(tuple(shape[axis] for axis in order), dtype)
    return out.transpose(np.argsort(order))


def from_nhwc(out: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Return ``out`` (N, H, W, C) in shape (N, C, H, W), in the layout of ``like``."""
    out = out.transpose(0, 3, 1, 2)
    if is_channels_last(like):
        return out
    result = empty_like_layout(like, out.shape)
    result[...] = out
    return result
