"""Calls of a student's functions: their errors, results and changed arguments."""

import copy
import inspect
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from odyssey.learn.comparing import (
    Wrong,
    compare,
    describe_call,
    name_arguments,
    show,
)
from odyssey.learn.exercise import ByHand, Function

Operation = Callable[..., Any]
#: Characters that are kept of the text of an error.
MOST_TEXT = 500


class NotWritten(Exception):
    """The function is as the stub has it."""


@dataclass
class Watched:
    """A student's function; each call is compared with the right function's."""

    function: Function
    yours: Any
    right: Operation
    touched: str = ""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call both on copies; return the right result, or raise `Wrong`."""
        mine, theirs = (copy.deepcopy((arguments, options)) for _ in range(2))
        named = name_arguments(self.right, arguments, options)
        name = self.function.name
        with np.errstate(all="ignore"):
            right = self.right(*theirs[0], **theirs[1])
        try:
            got = call_student(self.yours, *mine[0], **mine[1])
            self._compare(got, right, arguments, options)
        except Wrong as wrong:
            message = f"{describe_call(name, named)}\n{wrong}"
            raise Wrong(message, result=wrong.result) from None
        self._compare_arguments(named, arguments, mine[0], theirs[0])
        return right

    def _compare(self, got: Any, right: Any, arguments: tuple, options: dict) -> None:
        """Compare results; of float32 arguments the exact ones are right as well.

        Where much cancels, the right function's own float32 may be the less exact one.
        """
        names, dtype = self.function.results, _widest(arguments)
        try:
            compare(got, right, names, dtype)
        except Wrong as wrong:
            wide = "float64" in self.function.dtypes  # not one on the bits of float32
            if not (wrong.result and wide and dtype == "float32"):
                raise
            exact_arguments = copy.deepcopy(tuple(map(_as_float64, arguments)))
            with np.errstate(all="ignore"):
                exact = self.right(*exact_arguments, **copy.deepcopy(options))
            try:
                compare(got, _as_those(exact, right), names, dtype)
            except Wrong:
                raise wrong from None

    def _compare_arguments(
        self, named: Mapping[str, Any], before: tuple, mine: tuple, theirs: tuple
    ) -> None:
        rows = zip(named, before, mine, theirs, strict=False)
        for name, original, one, other in rows:
            if not isinstance(original, np.ndarray):
                continue
            if _same_bits(original, other) and _same_bits(original, one):
                continue
            call = describe_call(self.function.name, named)
            if not _same_bits(original, other):  # the right one changes it as well
                try:
                    compare(one, other, [f"{name} afterwards"])
                except Wrong as wrong:
                    raise Wrong(f"{call}\n{wrong}", result=True) from None
            else:
                self.note_change(call, name, original, one)

    def note_change(self, call: str, name: str, before: Any, after: Any) -> None:
        """Note an argument that a call has changed, if it is the first one."""
        if not _same_bits(before, after) and not self.touched:
            self.touched = (
                f"{call}\nchanged its argument {name}, which the caller may still "
                f"need.\n{show(f'{name} afterwards', after)}\n"
                "Make a new array (a copy) in place of writing into this one."
            )


def _widest(arguments: tuple) -> str:
    """Return the widest floating dtype of some arguments."""
    dtypes = {str(x.dtype) for x in arguments if isinstance(x, np.ndarray)}
    return "float32" if "float32" in dtypes and "float64" not in dtypes else "float64"


def _as_float64(value: Any) -> Any:
    floating = isinstance(value, np.ndarray) and value.dtype == np.float32
    return value.astype(np.float64) if floating else value


def _as_those(exact: Any, right: Any) -> Any:
    """Return results with the dtypes of others."""
    if isinstance(right, tuple):
        return tuple(map(_as_those, exact, right))
    return exact.astype(right.dtype) if isinstance(right, np.ndarray) else exact


def _same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and one.tobytes() == other.tobytes()


def call_student(function: Operation, *arguments: Any, **options: Any) -> Any:
    """Call a student's function; its errors become `Wrong` with their place."""
    try:
        return function(*arguments, **options)
    except NotImplementedError as error:
        place = Path(traceback.extract_tb(error.__traceback__)[-1].filename).name
        own = getattr(getattr(function, "__code__", None), "co_filename", place)
        if Path(own).name != place:
            raise Wrong(
                f"called a function of {place} that is not written yet: write that "
                "exercise first"
            ) from error
        raise NotWritten from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit as well: it must not end the checks
        raise Wrong(f"stopped with an error:\n{said(error)}") from error


def said(error: BaseException) -> str:
    """Return an error in a few lines: its type and text, and the student's line."""
    what = f"  {type(error).__name__}: {_text(error)}".rstrip(": ")
    frames = traceback.extract_tb(error.__traceback__)
    package = str(Path(__file__).parent.parent)
    theirs = [f for f in frames if not f.filename.startswith((package, "<frozen"))]
    own = [f for f in theirs if "site-packages" not in f.filename]
    if isinstance(error, SyntaxError) and error.filename:
        where = f"  {Path(error.filename).name}, line {error.lineno}"
        return f"{what}\n{where}: {(error.text or '').strip()}"
    if not own:
        return what
    last = own[-1]
    where = f"  {Path(last.filename).name}, line {last.lineno}"
    return f"{what}\n{where}: {last.line}"


def _text(error: BaseException) -> str:
    """Return the text of an error, shortened, further lines below the first."""
    try:
        text = str(error)
    except Exception:  # its own __str__ fails
        return "(its text cannot be made)"
    if len(text) > MOST_TEXT:
        text = f"{text[:MOST_TEXT]} ... (the rest is left out)"
    return text.replace("\n", "\n    ")


def refuse_other_arguments(watched: Watched) -> None:
    """Raise `Wrong` unless there is a function with the right arguments."""
    name = watched.function.name
    if watched.yours is None:
        raise Wrong(f"there is no function {name} in the file")
    if not callable(watched.yours):
        raise Wrong(f"{name} must be a function, it is {watched.yours!r}")
    try:
        parameters = inspect.signature(watched.yours).parameters
    except (TypeError, ValueError):
        return
    kinds = [parameter.kind for parameter in parameters.values()]
    yours = [
        str(p.replace(default=p.empty, annotation=p.empty)) for p in parameters.values()
    ]
    right = list(inspect.signature(watched.right).parameters)
    if kinds == [inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD]:
        return  # it hands all of them on
    if list(parameters)[: len(right)] != right:
        raise Wrong(
            f"{name} must take ({', '.join(right)}); yours takes ({', '.join(yours)})"
        )


def _array(value: Any) -> Any:
    """Return nested lists of a case by hand as an array."""
    return np.array(value) if isinstance(value, list) else value


def check_by_hand(watched: Watched, case: ByHand) -> None:
    """Compare with the results that were worked out by hand."""
    function = watched.function
    arguments = tuple(_array(x) for x in case.arguments)
    named = name_arguments(watched.right, arguments, case.options)
    mine = copy.deepcopy(arguments)
    right = case.result
    right = tuple(map(_array, right)) if isinstance(right, tuple) else _array(right)
    try:
        options = copy.deepcopy(dict(case.options))
        got = call_student(watched.yours, *mine, **options)
        compare(got, right, function.results)
        names = list(named)
        for i, right in case.after.items():
            compare(mine[i], _array(right), [f"{names[i]} afterwards"])
        for i, before in enumerate(arguments):
            if i not in case.after and isinstance(before, np.ndarray):
                call = describe_call(function.name, named)
                watched.note_change(call, names[i], before, mine[i])
    except Wrong as wrong:
        raise Wrong(
            f"{describe_call(function.name, named)}\n{wrong}\nBy hand:\n"
            + "\n".join(f"    {line}" for line in case.work.strip("\n").splitlines()),
            result=wrong.result,
        ) from None
