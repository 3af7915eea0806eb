"""The elements of a tensor as files hold them: little-endian, one after another."""

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from odyssey import bfloat16
from odyssey.weights.hexfile import MAX_NDIM

#: What a reader notes where bfloat16 could not be kept.
NO_ML_DTYPES = (
    "bfloat16 numbers are given as float32, which is exact: ml_dtypes is not installed"
)


#: NumPy's codes, without the order of bytes, of bool, integers and floats.
CODES = frozenset(
    {"b1", "f2", "f4", "f8", *(f"{kind}{n}" for kind in "iu" for n in (1, 2, 4, 8))}
)


def as_bfloat16(bits: np.ndarray) -> np.ndarray:
    """Return uint16 bits as bfloat16, or as float32 if there is no ml_dtypes.

    Nothing is rounded: bfloat16 is the upper half of float32.
    """
    try:
        return bits.view(bfloat16.bfloat16())
    except ImportError:
        wide = np.empty(bits.shape, np.uint32)
        np.left_shift(bits, 16, out=wide, dtype=np.uint32)
        return wide.view(np.float32)


def little_endian(tensor: np.ndarray) -> memoryview:
    """Return the bytes of a tensor in C order, whatever its strides and byte order.

    They are copied only if they lie in memory in another way.
    """
    bits = bfloat16.as_bits(tensor)
    elements = np.ascontiguousarray(bits, bits.dtype.newbyteorder("<"))
    return elements.reshape(-1).view(np.uint8).data


def in_native_order(elements: np.ndarray) -> np.ndarray:
    """Return an array whose numbers have the processor's order of bytes."""
    native = elements.dtype.newbyteorder("=")
    return elements if elements.dtype == native else elements.astype(native)


def is_unicode(text: str) -> bool:
    """Return whether a text from JSON can be written as UTF-8: no half characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def why_no_shape(shape: Any, itemsize: int) -> str:
    """Return why ``shape``, read from a file, cannot be that of an array; "" if it can.

    Whether the file has that many bytes is another question; but no number is so large
    that to multiply them would take long.
    """
    if not isinstance(shape, Sequence) or any(type(n) is not int for n in shape):
        return "its shape is not a list of whole numbers"
    if len(shape) > MAX_NDIM:
        return f"it has {len(shape)} dimensions, more than {MAX_NDIM}"
    if any(n < 0 for n in shape):
        return f"its shape {tuple(shape)} has a negative number"
    # NumPy refuses even an empty array if the product of its other dimensions is large.
    if any(n > sys.maxsize for n in shape) or (
        math.prod(n for n in shape if n) * itemsize > sys.maxsize
    ):
        return "its shape is too large"
    return ""
