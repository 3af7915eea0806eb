"""The checks of an exercise, run on the functions that a student has written.

What is compared is each call of a function: the student's and the right one get equal
arguments, and must return the same and leave the same behind.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from odyssey.learn.calls import (
    NotWritten,
    Watched,
    check_by_hand,
    refuse_other_arguments,
)
from odyssey.learn.cases import SEED, as_dtype, in_case, random_cases, size
from odyssey.learn.comparing import Wrong
from odyssey.learn.exercise import RANDOM_CASES, Exercise, Function, small
from odyssey.learn.gradients import check_gradient, diagnosis
from odyssey.op_specs import Case


@dataclass(frozen=True)
class Check:
    """One check of a function, or its outcome: ``message`` says what was wrong."""

    function: str
    about: str
    passed: bool = False
    message: str = ""
    reached: bool = True
    written: bool = True


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
                refuse_other_arguments(watched)
                check(watched)
            except NotWritten:
                outcome = replace(outcome, passed=False, written=False)
            except Wrong as wrong:
                message = str(wrong)
                if explain and wrong.result and function.is_backward:
                    message += diagnosis(exercise, watched)
                outcome = replace(outcome, passed=False, message=message)
            if not outcome.passed:
                failed = outcome
            yield outcome


HAND = "the case worked by hand"
CASES = "shapes, dtypes and numbers of chosen cases"
EDGES = "edge cases"
RANDOM = f"{RANDOM_CASES} random cases"
DTYPE = "float32 in, float32 out"
ARGUMENTS = "arguments are not changed"
GRADIENT = "gradient check"
#: The same cases have been right in float64.
FLOAT32_ADVICE = (
    "With float64 arrays this case is right. Where digits get lost, compute in float64;"
    "\ngive the result the dtype of the arguments (astype)."
)


def _checks(
    exercise: Exercise, function: Function
) -> list[tuple[str, Callable[[Watched], None]]]:
    """Return what is checked of a function, in order, and how."""

    def call(watched: Watched, case: Case, dtype: str, seed: int | None = None) -> None:
        inputs = [] if seed is None else [seed]
        arrays = tuple(as_dtype(dtype, x) for x in case.make(*inputs))
        _call(exercise, watched, case, arrays)

    def on(cases: tuple[Case, ...], dtype: str) -> Callable[[Watched], None]:
        def check(watched: Watched) -> None:
            for case in sorted(cases, key=size):
                try:
                    call(watched, case, dtype)
                except Wrong as wrong:
                    raise in_case(wrong, case.label) from None

        return check

    def advised(checked: Callable[[Watched], None]) -> Callable[[Watched], None]:
        def check(watched: Watched) -> None:
            try:
                checked(watched)
            except Wrong as wrong:
                advice = f"\n{FLOAT32_ADVICE}" if wrong.result else ""
                raise Wrong(f"{wrong}{advice}", result=wrong.result) from None

        return check

    def on_random(watched: Watched) -> None:
        for number, case in enumerate(random_cases(function)):
            try:
                call(watched, case, function.dtypes[0], SEED + number)
            except Wrong as wrong:
                raise in_case(wrong, case.label) from None

    first, chosen = function.dtypes[0], small(function.spec.cases)
    checks: list[tuple[str, Callable[[Watched], None]]] = [
        (HAND, lambda watched: check_by_hand(watched, function.by_hand))
    ]
    if chosen:
        checks.append((CASES, on(chosen, first)))
    if function.edges:
        checks.append((EDGES, on(function.edges, first)))
    if function.draw:
        checks.append((RANDOM, on_random))
    if "float32" in function.dtypes[1:]:
        checks.append((DTYPE, advised(on((*chosen, *function.edges), "float32"))))
    checks.append((ARGUMENTS, _refuse_touched))
    if function.is_backward:
        checks.append((GRADIENT, lambda watched: check_gradient(exercise, watched)))
    return checks


def _refuse_touched(watched: Watched) -> None:
    if watched.touched:
        raise Wrong(watched.touched)


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
