"""Reuse of the memory of large arrays.

The operating system hands out the memory of a large array page by page, filled with
zeros, and takes it back at the end.  For an activation, which is written once and read
a few times, this costs as much as its use.  Training makes arrays of the same sizes at
every step, so their memory is kept here.
"""

import math
import sys
import threading

import numpy as np
from numpy.typing import DTypeLike

LARGE = 1 << 20  # bytes; smaller arrays are left to NumPy
CACHE_LINE = 64  # bytes; SIMD loads across two lines take twice as long

_lock = threading.Lock()
_kept: list[np.ndarray] = []  # bytes that an array was made of, one entry a block
_buffers = threading.local()


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """Return an uninitialised array, if possible in the memory of a deleted one.

    An array made here is a view of a block that this module keeps.  While the array
    or a view of it exists, it holds a reference to its block.  A block to which only
    this module refers is free.
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size < LARGE:
        return np.empty(shape, dtype)
    with _lock:
        block = None
        for i in range(len(_kept)):
            # two references: the list's, and the argument of getrefcount
            is_free = sys.getrefcount(_kept[i]) <= 2
            if is_free and size <= _kept[i].nbytes - CACHE_LINE <= 2 * size:
                if block is None or _kept[i].nbytes < block.nbytes:
                    block = _kept[i]
        if block is None:
            block = np.empty(size + CACHE_LINE, np.uint8)
            _kept.append(block)
        return _aligned(block, size).view(dtype).reshape(shape)


def release() -> int:
    """Free the memory of deleted arrays; return the number of bytes."""
    with _lock:
        before = sum(block.nbytes for block in _kept)
        _kept[:] = [
            _kept[i] for i in range(len(_kept)) if sys.getrefcount(_kept[i]) > 2
        ]
        return before - sum(block.nbytes for block in _kept)


def workspace(name: str, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """Return an uninitialised array; the same name gives the same memory.

    It is for data that a kernel needs only while it runs.  Each Python thread has its
    own, so that two threads may call at once.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    buffer = getattr(_buffers, name, None)
    if buffer is None or buffer.nbytes < size:
        buffer = _aligned(np.empty(size + CACHE_LINE, np.uint8), size)
        setattr(_buffers, name, buffer)
    return buffer[:size].view(dtype).reshape(shape)


def _aligned(block: np.ndarray, size: int) -> np.ndarray:
    """Return ``size`` bytes of ``block`` that begin at a cache line."""
    start = -block.__array_interface__["data"][0] % CACHE_LINE
    return block[start : start + size]
