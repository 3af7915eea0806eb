"""What becomes of the sums of a convolution on their way to memory."""

from typing import NamedTuple

import numpy as np

from odyssey.kernels.jit import serial
from odyssey.kernels.simd import load_part, store_part, stream, where_positive, width

#: Bytes of an array that does not stay in the caches until it is read again.
PAST = 1 << 24


class Ending(NamedTuple):
    """Where sums go, and what is done with them: arrays as `flat` gives them."""

    out: np.ndarray
    channels: int  # of a pixel of out
    bias: np.ndarray  # a number a channel
    addend: np.ndarray  # like out, and added if there is one
    has_addend: bool
    relu: bool
    past_caches: bool  # so that memory is not read before it is written


@serial
def finish(ending, begin, k, value):
    """Write a vector of channels, from k on, of the pixel that begins at ``begin``.

    out = relu(value + bias + addend)
    """
    count = ending.channels - k
    value = value + load_part(ending.bias, k, count)
    if ending.has_addend:
        value = value + load_part(ending.addend, begin + k, count)
    if ending.relu:
        value = where_positive(value, value)
    if ending.past_caches:
        stream(ending.out, begin + k, value)
    else:
        store_part(ending.out, begin + k, value, count)


@serial
def pays_past_caches(out):
    """Tell whether ``out`` is larger than the caches, and whole vectors wide."""
    vector = width(out) * out.itemsize
    aligned = out.ctypes.data % vector == 0 and out.shape[-1] % width(out) == 0
    return aligned and out.nbytes > PAST
