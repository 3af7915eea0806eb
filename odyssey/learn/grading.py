"""The checks of an exercise, run on the functions that a student has written.

What is compared is each call of a function: the student's and the right one get equal
arguments, and must return the same and leave the same behind.
"""

import copy
import inspect
import re
import textwrap
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from odyssey import reference
from odyssey.gradcheck import gradcheck
from odyssey.learn.comparing import (
    Wrong,
    compare,
    describe_call,
    name_arguments,
    show,
)
from odyssey.learn.exercise import RANDOM_CASES, ByHand, Exercise, Function, small
from odyssey.op_specs import Case

Operation = Callable[..., Any]

#: Characters of a line of text.
WIDTH = 84
#: Seeds of the numbers in random cases; one for shapes, further ones for each case.
SEED = 2026


class NotWritten(Exception):
    """The function is as the stub has it."""


@dataclass(frozen=True)
class Check:
    """One check of a function, or its outcome: ``message`` says what was wrong."""

    function: str
    about: str
    passed: bool = False
    message: str = ""
    reached: bool = True
    written: bool = True


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
            compare(got, right, self.function.results)
        except Wrong as wrong:
            message = f"{describe_call(name, named)}\n{wrong}"
            raise Wrong(message, result=wrong.result) from None
        self._compare_arguments(named, arguments, mine[0], theirs[0])
        return right

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
    what = f"  {type(error).__name__}: {error}".rstrip(": ")
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


def plan(exercise: Exercise) -> list[Check]:
    """Return the checks of an exercise, none of them done."""
    return [
        Check(function.name, about, reached=False)
        for function in exercise.functions
        for about, _ in _checks(exercise, function)
    ]


def grade(
    exercise: Exercise,
    functions: Mapping[str, Any],
    started: Callable[[str, str], None] = lambda function, about: None,
    *,
    explain: bool = True,
) -> Iterator[Check]:
    """Yield the outcome of every check.

    Parameters
    ----------
    exercise : Exercise
    functions : the student's, by name; missing ones fail
    started : called with the names of function and check before each
    explain : whether the gradient check is asked what is wrong with a wrong backward

    Yields
    ------
    Check
        After a function's first failure the rest of its checks are not done.
    """
    for function in exercise.functions:
        watched = Watched(
            function, functions.get(function.name), exercise.right()[function.name]
        )
        failed: Check | None = None
        for about, check in _checks(exercise, function):
            if failed:
                yield replace(failed, about=about, message="", reached=False)
                continue
            started(function.name, about)
            outcome = Check(function.name, about, passed=True)
            try:
                _refuse_other_arguments(watched)
                check(watched)
            except NotWritten:
                outcome = replace(outcome, passed=False, written=False)
            except Wrong as wrong:
                message = str(wrong)
                if explain and wrong.result and function.is_backward:
                    message += _diagnosis(exercise, watched)
                outcome = replace(outcome, passed=False, message=message)
            if not outcome.passed:
                failed = outcome
            yield outcome


def _refuse_other_arguments(watched: Watched) -> None:
    name = watched.function.name
    if watched.yours is None:
        raise Wrong(f"there is no function {name} in the file")
    if not callable(watched.yours):
        raise Wrong(f"{name} must be a function, it is {watched.yours!r}")
    try:
        yours = list(inspect.signature(watched.yours).parameters)
    except (TypeError, ValueError):
        return
    right = list(inspect.signature(watched.right).parameters)
    if yours[: len(right)] != right:
        raise Wrong(
            f"{name} must take ({', '.join(right)}); yours takes ({', '.join(yours)})"
        )


HAND = "the case worked by hand"
CASES = "shapes, dtypes and numbers of chosen cases"
EDGES = "edge cases"
RANDOM = f"{RANDOM_CASES} random cases"
DTYPE = "float32 in, float32 out"
ARGUMENTS = "arguments are not changed"
GRADIENT = "gradient check"


def _checks(
    exercise: Exercise, function: Function
) -> list[tuple[str, Callable[[Watched], None]]]:
    """Return what is checked of a function, in order, and how."""

    def call(watched: Watched, case: Case, dtype: str, seed: int | None = None) -> None:
        inputs = [] if seed is None else [seed]
        arrays = tuple(_as(dtype, x) for x in case.make(*inputs))
        _call(exercise, watched, case, arrays)

    def on(cases: tuple[Case, ...], dtype: str) -> Callable[[Watched], None]:
        def check(watched: Watched) -> None:
            for case in sorted(cases, key=_size):
                try:
                    call(watched, case, dtype)
                except Wrong as wrong:
                    raise _in_case(wrong, case.label) from None

        return check

    def on_random(watched: Watched) -> None:
        for number, case in enumerate(random_cases(function)):
            try:
                call(watched, case, function.dtypes[0], SEED + number)
            except Wrong as wrong:
                raise _in_case(wrong, case.label) from None

    first, chosen = function.dtypes[0], small(function.spec.cases)
    checks: list[tuple[str, Callable[[Watched], None]]] = [
        (HAND, lambda watched: _by_hand(watched, function.by_hand))
    ]
    if chosen:
        checks.append((CASES, on(chosen, first)))
    if function.edges:
        checks.append((EDGES, on(function.edges, first)))
    if function.draw:
        checks.append((RANDOM, on_random))
    if "float32" in function.dtypes[1:]:
        checks.append((DTYPE, on((*chosen, *function.edges), "float32")))
    checks.append((ARGUMENTS, _refuse_touched))
    if function.is_backward:
        checks.append((GRADIENT, lambda watched: _gradient(exercise, watched)))
    return checks


def _refuse_touched(watched: Watched) -> None:
    if watched.touched:
        raise Wrong(watched.touched)


def _in_case(wrong: Wrong, label: str) -> Wrong:
    return Wrong(f'In the case "{label}":\n{wrong}', result=wrong.result)


def _as(dtype: str, array: np.ndarray) -> np.ndarray:
    return array.astype(dtype) if array.dtype.kind == "f" else array


def _size(case: Case) -> float:
    """Return how much there is to look at if a case fails; what is empty comes last."""
    sizes = [x.size for x in case.make()]
    return float("inf") if 0 in sizes else sum(sizes)


def random_cases(function: Function) -> list[Case]:
    """Return the random cases of a function, the smallest first."""
    assert function.draw is not None
    rng = np.random.default_rng(SEED)
    cases = [function.draw(rng) for _ in range(RANDOM_CASES)]
    return sorted(cases, key=_size)


def _call(
    exercise: Exercise, watched: Watched, case: Case, inputs: tuple[np.ndarray, ...]
) -> None:
    """Call the student's function as its spec says."""
    function, spec = watched.function, watched.function.spec
    operations = exercise.operations(**{function.name: watched})
    if function.is_backward:
        upstream = spec.grad_output(exercise.operations(), inputs, case.options)
        spec.backward(operations, upstream, inputs, case.options)
    else:
        spec.forward(operations, inputs, case.options)


def _array(value: Any) -> Any:
    """Return nested lists of a case by hand as an array."""
    return np.array(value) if isinstance(value, list) else value


def _by_hand(watched: Watched, case: ByHand) -> None:
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


def _gradient(exercise: Exercise, watched: Watched) -> None:
    """Compare the backward with central differences of the right forward."""
    function = watched.function
    cases = small(function.spec.cases)
    drawn = random_cases(function)[-3:] if function.draw else []
    ordered = sorted(cases, key=lambda case: (_is_tiny(case), _size(case)))
    for case in [*ordered, *drawn]:
        _gradient_of(exercise, watched, case)


def _gradient_of(exercise: Exercise, watched: Watched, case: Case) -> None:
    function, spec = watched.function, watched.function.spec
    right = exercise.operations()
    yours = exercise.operations(**{function.name: watched.yours})
    try:
        call_student(
            gradcheck,
            lambda *inputs: spec.forward(right, inputs, case.options)[0],
            lambda upstream, *inputs: spec.backward(
                yours, upstream, inputs, case.options
            ),
            tuple(_as("float64", x) for x in case.make()),
            diagnose=True,
        )
    except Wrong as wrong:
        if isinstance(wrong.__cause__, AssertionError):
            wrong = Wrong(_said_by_gradcheck(function, wrong.__cause__))
        raise _in_case(wrong, case.label) from None


def _said_by_gradcheck(function: Function, error: AssertionError) -> str:
    """Return the error of a gradient check, its inputs with their names, in lines."""
    spec = function.spec
    forward = spec.run_forward or getattr(reference, spec.name)
    names = list(inspect.signature(forward).parameters)[bool(spec.run_forward) :]

    def named(text: str) -> str:
        match = re.match(r"input (\d+)(?=[:,])", text)
        if match:
            name = names[int(match[1])]
            of = "input" if name == "x" else name
            text = f"grad_{of}{text[match.end() :]}"
        return re.sub(r"\binput (\d+)", lambda match: names[int(match[1])], text)

    first, *found = str(error).removeprefix("gradcheck: ").splitlines()
    lines = textwrap.wrap(named(first), WIDTH)
    for one in found[:MOST_FAULTS]:
        lines += textwrap.wrap(named(one.strip()), WIDTH, subsequent_indent="  ")
    if len(found) > MOST_FAULTS:
        lines.append(f"(and {len(found) - MOST_FAULTS} more)")
    return "\n".join(lines)


#: Faults of more gradients are not shown: they come from the same place.
MOST_FAULTS = 3
#: With fewer numbers in the first input too many faults look alike.
ENOUGH = 24


def _is_tiny(case: Case) -> bool:
    """Return whether a case comes after the others in a gradient check."""
    return case.make()[0].size < ENOUGH


def _diagnosis(exercise: Exercise, watched: Watched) -> str:
    """Return what the gradient check says of a backward whose numbers are wrong."""
    try:
        _gradient(exercise, watched)
    except (Wrong, NotWritten) as wrong:
        if re.search(r"(?m)^grad_\w+: (?!unknown)", str(wrong)):
            return f"\nThe gradient check:\n{wrong}"
    return ""
