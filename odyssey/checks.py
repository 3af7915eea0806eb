"""Checks of arguments, shared by every public function.

The policy: a wrong type or dtype raises ``TypeError``, a wrong value, shape or range
raises ``ValueError``; the message names the function, the argument, what was expected
and what came.  All checks run before any kernel, because Numba checks no bounds.
"""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from odyssey.bfloat16 import is_bfloat16, sum_dtype

#: Subclasses of ndarray with other rules: always 2-D, or with masked elements.
OTHER_ARITHMETIC = (np.matrix, np.ma.MaskedArray)
FLOAT_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
#: Limit of NumPy's work to find whether strided views share memory; beyond it they
#: count as sharing.  NumPy accepts any number, its type hints only 0 and -1.
OVERLAP_WORK: Any = 100_000


def check_array(op: str, name: str, value: Any) -> None:
    """Raise ``TypeError`` unless ``value`` is an array with NumPy's usual rules."""
    if not isinstance(value, np.ndarray) or isinstance(value, OTHER_ARITHMETIC):
        raise TypeError(
            f"{op}: {name} must be a plain numpy.ndarray, got {type(value).__name__}"
        )


def check_floating(op: str, **arrays: Any) -> np.dtype:
    """Return the one dtype, float32 or float64, that all ``arrays`` share.

    Any byte order is allowed; the dtype returned is the native one.  The first array
    sets the dtype that the others must have.
    """
    return _check_dtypes(op, arrays, False)


def check_activations(op: str, **arrays: Any) -> np.dtype:
    """Return the one dtype that all ``arrays`` share, bfloat16 being a third one.

    Otherwise it does what `check_floating` does.
    """
    return _check_dtypes(op, arrays, True)


def check_parameters(op: str, x: np.ndarray, **arrays: Any) -> None:
    """Raise ``TypeError`` unless parameters have a dtype that fits activations ``x``.

    They have that of ``x``; beside bfloat16 they may be float32, too.
    """
    dtype = x.dtype.newbyteorder("=")
    for name, array in arrays.items():
        check_array(op, name, array)
        if array.dtype.newbyteorder("=") not in (dtype, sum_dtype(dtype)):
            wanted = f"have the dtype of x, {dtype}"
            if is_bfloat16(dtype):
                wanted = f"be float32 or {dtype} beside an x of {dtype}"
            raise TypeError(f"{op}: {name} must {wanted}, got {array.dtype}")


def _check_dtypes(op: str, arrays: Mapping[str, Any], narrow: bool) -> np.dtype:
    """Return the dtype of all arrays, which may be bfloat16 if ``narrow``."""
    first_name, common = "", FLOAT_DTYPES[0]
    for name, array in arrays.items():
        check_array(op, name, array)
        dtype = array.dtype.newbyteorder("=")
        if dtype not in FLOAT_DTYPES and not (narrow and is_bfloat16(dtype)):
            wanted = "float32, float64 or bfloat16" if narrow else "float32 or float64"
            raise TypeError(f"{op}: {name} must be {wanted}, got {array.dtype}")
        if not first_name:
            first_name, common = name, dtype
        elif dtype != common:
            raise TypeError(
                f"{op}: {name} must have the dtype of {first_name}, "
                f"{common}, got {dtype}"
            )
    return common


def check_generator(op: str, rng: Any) -> np.random.Generator:
    """Return ``rng``; ``TypeError`` unless it is a NumPy random generator."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"{op}: rng must be a numpy.random.Generator, got {type(rng).__name__}"
        )
    return rng


def check_ndim(op: str, name: str, array: np.ndarray, form: str) -> None:
    """Raise ``ValueError`` unless ``array`` has the rank of ``form``."""
    ndim = len([axis for axis in form.strip("()").split(",") if axis.strip()])
    if array.ndim != ndim:
        raise ValueError(
            f"{op}: {name} must be {ndim}-D {form}, got shape {array.shape}"
        )


def check_shape(
    op: str, name: str, array: np.ndarray, expected: tuple, meaning: str = ""
) -> None:
    """Raise ``ValueError`` unless ``array`` has exactly the shape ``expected``."""
    if array.shape != tuple(expected):
        meaning = f" ({meaning})" if meaning else ""
        raise ValueError(
            f"{op}: {name} must have shape {tuple(expected)}{meaning}, "
            f"got {array.shape}"
        )


def check_out(
    op: str, out: Any, grad_output: np.ndarray, others: Mapping[str, np.ndarray]
) -> None:
    """Check ``out``, an array for a result that may overwrite ``grad_output``.

    It must have the shape and dtype of ``grad_output``, and be that array or share no
    memory with it.  With the ``others`` it must share none.
    """
    check_activations(op, grad_output=grad_output, out=out)
    check_shape(op, "out", out, grad_output.shape, "as grad_output")
    if not out.flags.writeable:
        raise ValueError(f"{op}: out must be writeable, got a read-only array")
    is_same = out.__array_interface__ == grad_output.__array_interface__
    apart = others if is_same else {"grad_output": grad_output, **others}
    for name, array in apart.items():
        if np.may_share_memory(out, array):
            raise ValueError(
                f"{op}: out must be grad_output or share no memory with it and with "
                f"others, got one that overlaps {name}"
            )


def check_writeable(op: str, name: str, array: np.ndarray) -> None:
    """Raise unless ``array`` is writeable and no two elements share memory."""
    if not array.flags.writeable:
        raise ValueError(f"{op}: {name} must be writeable, got a read-only array")
    # From the smallest stride on, each axis must step over the memory of those before.
    span = array.itemsize
    for length, stride in sorted(
        zip(array.shape, map(abs, array.strides), strict=True), key=lambda axis: axis[1]
    ):
        if length > 1 and stride < span and array.size > 0:
            raise ValueError(
                f"{op}: {name} must hold every element once, "
                f"got shape {array.shape} with strides {array.strides}"
            )
        span += (length - 1) * stride


def check_separate(op: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Raise if two of the named ``arrays`` share memory; interleaved views do not."""
    for (name, array), (other, second) in itertools.combinations(arrays.items(), 2):
        if np.may_share_memory(array, second) and np.may_share_memory(
            array, second, max_work=OVERLAP_WORK
        ):
            raise ValueError(f"{op}: {name} and {other} must not overlap in memory")


def check_int(op: str, name: str, value: Any, minimum: int) -> int:
    """Return ``value`` as a Python int of at least ``minimum``; bools are refused."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(
            f"{op}: {name} must be an integer, got {type(value).__name__} {value!r}"
        )
    if value < minimum:
        raise ValueError(f"{op}: {name} must be at least {minimum}, got {value}")
    return int(value)


def check_number(
    op: str,
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    low_open: bool = False,
    high_open: bool = False,
    finite: bool = True,
) -> float:
    """Return ``value`` as a Python float; it must lie in the interval.

    NaN is refused, and so is infinity if ``finite``.
    """
    types = (int, float, np.integer, np.floating)
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, types):
        raise TypeError(
            f"{op}: {name} must be a number, got {type(value).__name__} {value!r}"
        )
    try:
        number = float(value)
    except OverflowError:  # an integer too large for a float
        number = math.inf if value > 0 else -math.inf
    if finite:
        low_open |= low == -math.inf
        high_open |= high == math.inf
    above = number > low if low_open else number >= low
    below = number < high if high_open else number <= high
    if not (above and below):  # both are False for NaN
        left, right = "(" if low_open else "[", ")" if high_open else "]"
        interval = f"{left}{low:g}, {high:g}{right}"
        kind = "finite number" if finite else "number"
        raise ValueError(f"{op}: {name} must be a {kind} in {interval}, got {number}")
    return number
