"""Two results side by side: what differs, in words and in small arrays."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

#: Arrays of more elements are shown in part: the plane around the worst element.
MOST_SHOWN = 40
#: Rows and columns of a plane that is too large itself.
WINDOW = 6
#: Allowed difference, relative to the rms of what is right.
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}
#: From here on numbers are too small to be shown without an exponent.
SMALL = 1e-2

Index = tuple[int, ...]


class Wrong(Exception):
    """A check has failed; the message says how.

    ``result`` tells that there is a result, and that it is not the right one.
    """

    def __init__(self, message: str, *, result: bool = False) -> None:
        super().__init__(message)
        self.result = result


def show(name: str, value: Any, at: Index | None = None) -> str:
    """Return ``name = value`` in lines; a large array only around element ``at``."""
    if isinstance(value, np.random.Generator):
        return f"{name} = a random generator"
    if callable(value):
        return f"{name} = {getattr(value, '__name__', 'a function')}"
    if not isinstance(value, np.ndarray):
        return f"{name} = {_number(value)}"
    if value.ndim == 0:
        return f"{name} = {_number(value[()])}, {value.dtype} of shape ()"
    about = f"{name}, {value.dtype} of shape {value.shape}"
    if value.size == 0:
        return f"{about}: no elements"
    where, part = _part(value, at)
    if where:
        about = f"{about}, of which {name}{where} is"
    return f"{about}:\n{_indented(_rows(part))}"


def _number(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        return f"{value:.6g}"
    return str(value)


def _numbers(one: Any, other: Any) -> tuple[str, str]:
    """Return two numbers that differ, with as many digits as it takes to see it."""
    texts = _number(one), _number(other)
    for digits in range(7, 18):
        if texts[0] == texts[1] and float(one) != float(other):
            texts = f"{float(one):.{digits}g}", f"{float(other):.{digits}g}"
    return texts


def _rows(array: np.ndarray) -> str:
    sizes = np.abs(array[np.isfinite(array)]) if array.dtype.kind == "f" else array
    small = array.dtype.kind == "f" and 0 < sizes.max(initial=0) < SMALL
    options: dict[str, Any] = {"precision": 4, "suppress": not small}
    with np.printoptions(**options, linewidth=76, threshold=200):
        text = np.array2string(array, separator=", ")
    return re.sub(r"\n\s*\n", "\n", text)  # NumPy leaves lines empty between images


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _part(array: np.ndarray, at: Index | None) -> tuple[str, np.ndarray]:
    """Return what is shown of an array, and how that is written behind its name."""
    if array.size <= MOST_SHOWN:
        return "", array
    if at is None or len(at) != array.ndim:
        at = (0,) * array.ndim
    words = [str(i) for i in at[:-2]]
    cut: list[Any] = list(at[:-2])
    plane = int(np.prod(array.shape[-2:]))
    for i, size in zip(at[-2:], array.shape[-2:], strict=True):
        if plane <= MOST_SHOWN or size <= WINDOW:
            cut.append(slice(None))
            words.append(":")
        else:
            first = min(max(0, i - WINDOW // 2), size - WINDOW)
            cut.append(slice(first, first + WINDOW))
            words.append(f"{first}:{first + WINDOW}")
    return f"[{', '.join(words)}]", array[tuple(cut)]


def kind(value: Any) -> str:
    """Return in words what a result is."""
    if value is None or isinstance(value, (bool, str)):
        return repr(value)
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    if isinstance(value, tuple):
        return f"{len(value)} result{'s' if len(value) != 1 else ''}"
    return f"a {type(value).__name__}"


def compare(got: Any, right: Any, names: Sequence[str], dtype: str = "float64") -> None:
    """Raise `Wrong` unless two results are the same in kind, shape, dtype and numbers.

    ``names`` are those of the results, in order.  ``dtype`` is that of the arrays which
    a number has been computed of; an array has its own.
    """
    if right is None and not names and got is not None:
        raise Wrong(f"it must return nothing; yours returns {kind(got)}")
    if isinstance(right, tuple):
        if not isinstance(got, (tuple, list)) or len(got) != len(right):
            what = "one result" if isinstance(got, np.ndarray) else kind(got)
            raise Wrong(
                f"it must return {len(right)} results, {', '.join(names)}; "
                f"yours returns {what}"
            )
        pairs = list(zip(got, right, names, strict=True))
    else:
        pairs = [(got, right, names[0] if names else "the result")]
    for one, other, name in pairs:
        _same_kind(one, other, name)
    for one, other, name in pairs:
        _same_numbers(one, other, name, dtype)


def _same_kind(got: Any, right: Any, name: str) -> None:
    if isinstance(right, np.ndarray):
        if not isinstance(got, (np.ndarray, np.generic)):
            raise Wrong(f"{name} must be {kind(right)}; yours is {kind(got)}")
        got = np.asarray(got)
        if got.shape != right.shape or got.dtype != right.dtype:
            raise Wrong(
                f"{name} must be {kind(right)}; yours is {kind(got)}", result=True
            )
    elif isinstance(right, (bool, str)) or right is None:
        if isinstance(got, np.ndarray) or got != right:
            plain = isinstance(got, (bool, np.bool_, str))
            yours = str(got) if plain else kind(got)
            raise Wrong(f"{name} must be {right!r}; yours is {yours}")
    elif not _is_number(got):
        raise Wrong(f"{name} must be a number; yours is {kind(got)}")


def _is_number(value: Any) -> bool:
    """Return whether a value is a real number, or an array that holds one alone."""
    if isinstance(value, np.ndarray) and value.shape == ():
        value = value[()]
    return isinstance(value, (int, float, np.integer, np.floating))


def _same_numbers(got: Any, right: Any, name: str, dtype: str) -> None:
    if right is None or isinstance(right, (bool, str)):
        return
    one, other = np.asarray(got), np.asarray(right)
    dtype = str(right.dtype) if isinstance(right, np.ndarray) else dtype
    wrong = _differs(one, other, TOLERANCE.get(dtype, 1e-9))
    if not wrong.any():
        return
    if other.ndim == 0:
        yours, theirs = _numbers(one[()], other[()])
        raise Wrong(f"{name} is {yours}; right is {theirs}", result=True)
    at = _worst(one, other, wrong)
    count = int(wrong.sum())
    some = f"{count} of {wrong.size} elements" if wrong.size > 1 else "its one element"
    if count == wrong.size > 1:
        some = f"all {count} elements"
    yours, theirs = _numbers(one[at], other[at])
    raise Wrong(
        f"{name} is wrong in {some}; for example in element {list(at)}:\n"
        f"  yours {yours}, right {theirs}\n"
        f"{show(f'your {name}', one, at)}\n{show(f'right {name}', other, at)}",
        result=True,
    )


def _differs(got: np.ndarray, right: np.ndarray, tolerance: float) -> np.ndarray:
    if right.dtype.kind != "f":
        return got != right
    exact = got == right
    both_nan = np.isnan(got) & np.isnan(right)
    finite = right[np.isfinite(right)].astype(np.float64)
    size = float(np.sqrt(np.mean(finite**2))) if finite.size else 0.0
    allowed = tolerance * np.maximum(size, np.abs(right)) + 1e-300
    with np.errstate(invalid="ignore"):
        near = np.abs(got - right) <= allowed
    return ~(exact | both_nan | near)


def _worst(got: np.ndarray, right: np.ndarray, wrong: np.ndarray) -> Index:
    with np.errstate(all="ignore"):
        gap = np.abs(got.astype(np.float64) - right.astype(np.float64))
    gap = np.where(wrong, np.nan_to_num(gap, nan=np.inf), -1.0)
    return tuple(int(i) for i in np.unravel_index(int(gap.argmax()), gap.shape))


def describe_call(
    name: str, arguments: Mapping[str, Any], at: Index | None = None
) -> str:
    """Return a call and its arguments in lines."""
    lines = [f"{name}({', '.join(arguments)}) with"]
    for argument, value in arguments.items():
        lines += [f"  {line}" for line in show(argument, value, at).splitlines()]
    return "\n".join(lines)


def name_arguments(
    function: Callable[..., Any], arguments: Sequence[Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a call by the names in the function's signature."""
    import inspect

    bound = inspect.signature(function).bind(*arguments, **options)
    return dict(bound.arguments)
