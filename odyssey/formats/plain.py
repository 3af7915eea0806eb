"""Keep of a file's other content what JSON has too."""

import math
from typing import Any

import numpy as np

from odyssey.formats.elements import CODES, is_unicode
from odyssey.pickle_machine import Call

MAX_VALUES = 10_000
MAX_TEXT = 10_000  # characters of a string
MAX_DEPTH = 8
DEVICE = ("torch", "device")  # which is text: "cuda:0"
_NUMPY = ("numpy.core", "numpy._core")  # of NumPy 1 and 2
_SCALARS = frozenset((f"{core}.multiarray", "scalar") for core in _NUMPY)
ARRAYS = frozenset(
    {(f"{core}.multiarray", "_reconstruct") for core in _NUMPY}
    | {(f"{core}.numeric", "_frombuffer") for core in _NUMPY}
)
_DTYPE = ("numpy", "dtype")
#: What programs save beside weights, by the names in a pickle: only recorded.
BESIDE = frozenset(
    {DEVICE, _DTYPE, ("numpy", "ndarray"), *_SCALARS, *ARRAYS}
    | {("argparse", "Namespace"), ("types", "SimpleNamespace")}
    | {
        (module, f"{system}Path")
        for module in ("pathlib", "pathlib._local")
        for system in ("Posix", "Windows", "PurePosix", "PureWindows")
    }
    | {  # what a defaultdict makes for a new key
        (module, name)
        for module in ("__builtin__", "builtins")
        for name in ("dict", "list", "int", "float")
    }
)


class _NotPlainError(Exception):
    """A value is none of JSON's, or is very large."""


def plain_items(parts: dict[Any, Any]) -> dict[str, Any]:
    """Return the items that are text, finite numbers, or lists and dicts of these.

    Bounded: a pickle can hold one list in another any number of times.
    """
    found: dict[str, Any] = {}
    left = [MAX_VALUES]
    for key, value in parts.items():
        try:
            if isinstance(key, str):
                found[_plain(key, 0, left)] = _plain(value, 0, left)
        except _NotPlainError:
            continue
    return found


def _plain(value: Any, depth: int, left: list[int]) -> Any:
    left[0] -= 1
    if depth > MAX_DEPTH or left[0] < 0:
        raise _NotPlainError
    match value:
        case None | bool():
            return value
        case int() if abs(value) < 2**63:
            return value
        case float() if math.isfinite(value):
            return value
        case str() if len(value) <= MAX_TEXT and is_unicode(value):
            return value
        case Call(key=key, args=(str() as name,)) if key == DEVICE:
            return _plain(name, depth, left)
        case Call(key=key, args=(Call() as dtype, bytes() as raw)) if key in _SCALARS:
            return _plain(_number(dtype, raw), depth, left)
        case dict() if all(isinstance(key, str) for key in value):
            return {
                _plain(key, depth, left): _plain(item, depth + 1, left)
                for key, item in value.items()
            }
        case list() | tuple() if not hasattr(value, "_fields"):  # a record of ours
            return [_plain(item, depth + 1, left) for item in value]
    raise _NotPlainError


def _number(dtype: Call, raw: bytes) -> Any:
    """Return a number of NumPy as one of Python, from its bytes and recorded dtype."""
    match dtype:
        case Call(
            key=key,
            args=(str() as code, *_),
            state=(_, "<" | ">" | "|" as order, *_),
        ) if key == _DTYPE and code in CODES and len(raw) == int(code[1]):
            return np.frombuffer(raw, order + code)[0].item()
    raise _NotPlainError
