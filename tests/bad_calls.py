"""Calls that must be refused, made from calls that are right.

Every refusal is a ``TypeError`` (wrong type or dtype) or ``ValueError`` (wrong value,
shape or range), starts with the name of the function, names the argument to blame, and
leaves all arguments as they were.
"""

import re

import numpy as np
import pytest

V, T = ValueError, TypeError

NOT_INTEGERS = [1.0, 1.5, True, np.True_, "2", (1, 1), [2], np.float32(2), 2j]
NOT_NUMBERS = [None, "0.1", True, [0.1], 1j, np.zeros(1)]
NOT_FINITE = [np.nan, np.inf, -np.inf]

#: What may not stand where a float32 array is meant.
OTHER_DTYPES = ["i8", "i4", "u1", "?", "c8", "f2", "O", "U1", "longdouble", "f8"]
NO_ARRAYS = [None, 1.0, [[1.0]], np.float32(1), np.ma.ones(1, np.float32)]


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


def rows_to_calls(right, rows):
    """Yield parameters for rows of (functions, argument, wrong values, error)."""
    for functions, argument, values, error in rows:
        for name in functions:
            assert argument in right[name]
            for value in values:
                yield parameter(name, {argument: value}, argument, error)


def wrong_arrays(right, optional=("bias",), any_dtype=("labels", "data")):
    """Yield parameters for all that may not stand in place of each array."""
    for name, call in right.items():
        arrays = [k for k, value in call.items() if isinstance(value, np.ndarray)]
        floats = [k for k in arrays if k not in any_dtype]
        for argument in arrays:
            for value in NO_ARRAYS:
                if not (value is None and argument in optional):
                    yield parameter(name, {argument: value}, argument, T)
        for argument in floats:
            for dtype in OTHER_DTYPES:
                if dtype != "f8" or len(floats) > 1:
                    value = call[argument].astype(dtype)
                    yield parameter(name, {argument: value}, argument, T)


def parameter(name, change, argument, error):
    value = change[argument]
    shown = repr(value)
    if isinstance(value, np.ndarray):
        shown = f"{value.dtype}{list(value.shape)}"
    shown = re.sub(" at 0x[0-9A-F]+", "", shown)  # another one in each process
    return pytest.param(name, change, argument, error, id=f"{name}-{argument}-{shown}")


def assert_refused(module, right, name, change, argument, error):
    call = {**right[name], **change}
    before = {k: x.tobytes() for k, x in call.items() if isinstance(x, np.ndarray)}
    with pytest.raises(error) as caught:
        getattr(module, name)(**call)
    message = str(caught.value)
    assert type(caught.value) is error
    assert message.startswith(f"{name}: ")
    assert re.search(rf"\b{argument}\b", message), message
    assert before == {k: call[k].tobytes() for k in before}
