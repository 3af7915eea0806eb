"""Memory that kernels use while they run, kept from call to call.

Large arrays come fresh from the operating system, a page at a time and filled with
zeros; for buffers that every convolution needs anew that would cost more than their
use.  Each Python thread has its own, so that two may call at once.
"""

import math
import threading

import numpy as np
from numpy.typing import DTypeLike

_buffers = threading.local()


def workspace(name: str, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """Return an uninitialised array; with the same name, in the same memory."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    buffer = getattr(_buffers, name, None)
    if buffer is None or buffer.nbytes < size:
        buffer = np.empty(size, np.uint8)
        setattr(_buffers, name, buffer)
    return buffer[:size].view(dtype).reshape(shape)
