"""Build the NumPy arrays and numbers of a pickled batch from recorded calls.

`odyssey.data.unpickle` records the calls in a pickle of NumPy, and executes none:

    protocols 2 to 4  _reconstruct(...), then its state (version, shape, dtype, Fortran
                      order, bytes)
    protocol 5        _frombuffer(bytes, dtype, shape, order)
    a single number   scalar(dtype, bytes)
    a dtype           dtype("i8", ...), then its state (version, byte order, ...)

Every part is checked here before the bytes become an array.
"""

import math
from typing import Any

import numpy as np

from odyssey.data.unpickle import (
    DTYPE,
    FROMBUFFER,
    RECONSTRUCT,
    SCALAR,
    Call,
    UnpickleError,
)

#: Labels may be of any of these dtypes.
_INTEGERS = {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)}
_MALFORMED = (TypeError, ValueError, LookupError, AttributeError, BytesWarning)


def as_pixels(value: Any) -> np.ndarray:
    """Return the array that a batch holds as (N, 3072) uint8.

    Raises
    ------
    UnpickleError
        If ``value`` is not the record of such an array, with the right number of bytes.
    """
    dtype, shape, c_ordered, raw = _parts("data", value)
    if dtype != "|u1":
        raise UnpickleError("data is not of dtype uint8")
    if len(shape) != 2 or shape[0] < 1 or shape[1] != 3072 or not c_ordered:
        raise UnpickleError("data is not a C-ordered array (N, 3072) with N >= 1")
    return _assemble("data", dtype, shape, raw)


def as_labels(value: Any) -> np.ndarray:
    """Return the labels that a batch holds as (N,) integers, of any size.

    Raises
    ------
    UnpickleError
        If ``value`` is neither a list of integers, of Python or NumPy, nor the record
        of an array (N,) or (N, 1) of integers.
    """
    if isinstance(value, list | tuple):
        return np.array([v if type(v) is int else _scalar(v) for v in value], object)
    if not isinstance(value, Call):
        raise UnpickleError("labels are not a list of integers")
    dtype, shape, _, raw = _parts("labels", value)
    if not dtype:
        raise UnpickleError("labels are not an array of integers")
    if len(shape) not in (1, 2) or shape[1:] not in ((), (1,)) or shape[0] < 0:
        raise UnpickleError("labels are not an array (N,)")
    return _assemble("labels", dtype, shape, raw).reshape(shape[0])


def _parts(name: str, note: Any) -> tuple[str, tuple[int, ...], bool, Any]:
    """Return dtype ("" if not integers), shape, whether C order, and bytes."""
    if not isinstance(note, Call) or note.key[1] not in (RECONSTRUCT, FROMBUFFER):
        raise UnpickleError(f"{name} is not an array")
    try:
        if note.key[1] == RECONSTRUCT:
            _, shape, dtype, fortran_order, raw = note.state
            c_ordered = not fortran_order
        else:
            raw, dtype, shape, order, *_ = note.args
            c_ordered = _text(order) == "C"
        dtype = _integer_dtype(dtype)
    except _MALFORMED as error:
        raise UnpickleError(f"{name} is not an array as NumPy writes it") from error
    if not isinstance(shape, tuple) or any(type(size) is not int for size in shape):
        raise UnpickleError(f"{name} has no proper shape")
    return dtype, shape, c_ordered, raw


def _assemble(name: str, dtype: str, shape: tuple[int, ...], raw: Any) -> np.ndarray:
    """Return the array of these parts; raise if the number of bytes is wrong."""
    needed = math.prod(shape) * np.dtype(dtype).itemsize
    if not isinstance(raw, bytes | bytearray) or len(raw) != needed:
        raise UnpickleError(f"{name} has not as many bytes as its shape says")
    return np.frombuffer(raw, dtype).reshape(shape)


def _scalar(note: Any) -> int:
    """Return the integer of a recorded call of ``scalar``."""
    try:
        dtype, raw = note.args
        if note.key[1] == SCALAR and (dtype := _integer_dtype(dtype)):
            return int(_assemble("a label", dtype, (), raw))
    except _MALFORMED as error:
        raise UnpickleError("labels are not a list of integers") from error
    raise UnpickleError("labels are not a list of integers")


def _integer_dtype(note: Call) -> str:
    """Return byte order and kind of a recorded dtype, "" if not of integers."""
    code, order = _text(note.args[0]), "|"
    if note.key != DTYPE or code not in _INTEGERS:
        return ""
    if code[1] != "1":  # more than one byte: the byte order is in the state
        order = _text(note.state[1])
        if order not in ("<", ">"):
            raise ValueError("no byte order")
    return order + code


def _text(value: Any) -> Any:
    """Return a string of Python 2 as ``str``, anything else as it is."""
    return value.decode("latin-1") if isinstance(value, bytes) else value
