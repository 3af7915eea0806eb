"""bfloat16 arrays: activations of half the bytes, with the range of float32.

A bfloat16 number is the upper half of a float32: its sign, its 8 bits of exponent, and
the first 7 of its 23 bits of fraction.  So every one is a float32, and a float32 is
rounded to the nearest, to the even one of two as near; relative to it that is an error
of at most 2**-8.

NumPy has no such dtype.  ``ml_dtypes`` adds it, for JAX, ONNX and others too, and the
extra ``bf16`` installs that.  Who has such an array has imported it, so here it is only
imported where a dtype is asked for.  Numba does not know it: kernels get the bits, as
uint16 (``kernels/simd.py``), and sum in float32 or float64.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

NAME = "bfloat16"


def bfloat16() -> np.dtype:
    """Return the dtype; ``ImportError`` says what to install if there is none."""
    try:
        import ml_dtypes
    except ImportError as error:
        raise ImportError(
            'bfloat16 needs ml_dtypes: pip install "odyssey-by-hand[bf16]"'
        ) from error
    return np.dtype(ml_dtypes.bfloat16)


def is_bfloat16(dtype: np.dtype) -> bool:
    """Return whether a dtype is bfloat16, in either byte order."""
    return dtype.itemsize == 2 and dtype.name == NAME  # a name takes long to find


def is_inexact(dtype: np.dtype) -> bool:
    """Return whether a dtype is floating or complex; for NumPy, bfloat16 is neither."""
    return dtype.kind in "fc" or is_bfloat16(dtype)


def sum_dtype(dtype: np.dtype) -> np.dtype:
    """Return the dtype of sums, parameters and their gradients beside activations."""
    return np.dtype(np.float32) if is_bfloat16(dtype) else dtype.newbyteorder("=")


def as_bits(x: np.ndarray) -> np.ndarray:
    """Return a bfloat16 array as one of uint16, in the same memory; others as is."""
    if not is_bfloat16(x.dtype):
        return x
    return x.view(np.dtype(np.uint16).newbyteorder(x.dtype.byteorder))


def from_bits(bits: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return what a kernel has written as an array of ``dtype``, in the same memory."""
    return bits.view(dtype.newbyteorder("=")) if is_bfloat16(dtype) else bits


def as_numbers(bits: np.ndarray) -> np.ndarray:
    """Return a kernel's array of bfloat16 bits as numbers, in the same memory."""
    return bits.view(bfloat16()) if bits.dtype == np.uint16 else bits


def widen(x: np.ndarray) -> np.ndarray:
    """Return a bfloat16 array as float32, which is exact; others as they are."""
    return x.astype(np.float32) if is_bfloat16(x.dtype) else x


def widened(function: Callable, rounded: int) -> Callable:
    """Return ``function`` with bfloat16 arguments widened, and its results rounded.

    The first ``rounded`` results are those which take the dtype of the activations, if
    that is bfloat16: of the first argument.  Others, gradients of parameters, stay
    float32.
    """

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        first = args[0] if args else next(iter(named.values()))
        if not is_bfloat16(first.dtype):
            return function(*args, **named)
        results = function(
            *(_widen_any(value) for value in args),
            **{name: _widen_any(value) for name, value in named.items()},
        )
        dtype = first.dtype.newbyteorder("=")
        if not isinstance(results, tuple):
            return results.astype(dtype)
        return tuple(
            result.astype(dtype if i < rounded else result.dtype)
            for i, result in enumerate(results)
        )

    return call


def _widen_any(value: Any) -> Any:
    return widen(value) if isinstance(value, np.ndarray) else value
