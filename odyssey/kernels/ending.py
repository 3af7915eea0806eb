"""What becomes of the sums of a convolution on their way to memory."""

from typing import NamedTuple

import numpy as np

from odyssey.kernels.jit import serial
from odyssey.kernels.simd import load_part, store_part, stream, where_positive, width

#: Bytes of an array that does not stay in the caches until it is read again.
LARGE = 1 << 24


class Ending(NamedTuple):
    """Where sums go, and what is done with them: arrays as `flat` gives them."""

    out: np.ndarray
    channels: int  # of a pixel of out
    bias: np.ndarray  # a number a channel
    addend: np.ndarray  # like out, and added if there is one
    has_addend: bool
    relu: bool
    past: bool  # past the caches, see `is_large`


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
    put(ending.out, begin + k, value, count, ending.past)


@serial
def put(out, at, value, count, past):
    """Write the first ``count`` lanes of a vector, ``past`` the caches if they can be.

    ``at`` is a multiple of a vector's lanes then, and ``out`` is as `is_large` says.
    """
    if past and count >= width(out):
        stream(out, at, value)
    else:
        store_part(out, at, value, count)


@serial
def is_large(out, columns):
    """Tell whether to write rows of so many ``columns`` of ``out`` past the caches.

    What is too large to stay in the caches until it is read again is better written
    straight to memory: a line that is written in the usual way is read first.  For that
    each vector must lie in a line of its own.
    """
    return in_lines(out, columns) and out.nbytes > LARGE


@serial
def in_lines(out, columns):
    """Tell whether vectors of rows of ``columns`` lie where `stream` may write them."""
    vector = width(out) * out.itemsize
    return out.ctypes.data % vector == 0 and columns % width(out) == 0
