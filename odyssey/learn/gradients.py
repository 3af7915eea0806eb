"""The gradient check of a student's backward, and what it says of a wrong one."""

import inspect
import re
import textwrap
from typing import Any

from odyssey import reference
from odyssey.gradcheck import gradcheck
from odyssey.learn.calls import NotWritten, Operation, Watched, call_student
from odyssey.learn.cases import as_dtype, in_case, random_cases, size
from odyssey.learn.comparing import Wrong
from odyssey.learn.exercise import Exercise, Function, small
from odyssey.op_specs import Case

#: Characters of a line of text.
WIDTH = 84
#: Faults of more gradients are not shown: they come from the same place.
MOST_FAULTS = 3
#: With fewer numbers in the first input too many faults look alike.
ENOUGH = 24


def check_gradient(exercise: Exercise, watched: Watched) -> None:
    """Compare the backward with central differences of the right forward."""
    function = watched.function
    cases = small(function.spec.cases)
    drawn = random_cases(function)[-3:] if function.draw else []
    ordered = sorted(cases, key=lambda case: (_is_tiny(case), size(case)))
    for case in [*ordered, *drawn]:
        _gradient_of(exercise, watched, case)


def _gradient_of(exercise: Exercise, watched: Watched, case: Case) -> None:
    function, spec = watched.function, watched.function.spec
    right = exercise.operations()
    yours = exercise.operations(**{function.name: _with_tuple(watched.yours)})
    try:
        call_student(
            gradcheck,
            lambda *inputs: spec.forward(right, inputs, case.options)[0],
            lambda upstream, *inputs: spec.backward(
                yours, upstream, inputs, case.options
            ),
            tuple(as_dtype("float64", x) for x in case.make()),
            diagnose=True,
        )
    except Wrong as wrong:
        if isinstance(wrong.__cause__, AssertionError):
            wrong = Wrong(_said_by_gradcheck(function, wrong.__cause__))
        raise in_case(wrong, case.label) from None


def _with_tuple(function: Operation) -> Operation:
    """Return a function that gives a tuple for a list, as the other checks allow."""

    def call(*arguments: Any, **options: Any) -> Any:
        result = function(*arguments, **options)
        return tuple(result) if isinstance(result, list) else result

    return call


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


def _is_tiny(case: Case) -> bool:
    """Return whether a case comes after the others in a gradient check."""
    return case.make()[0].size < ENOUGH


def diagnosis(exercise: Exercise, watched: Watched) -> str:
    """Return what the gradient check says of a backward whose numbers are wrong."""
    try:
        check_gradient(exercise, watched)
    except (Wrong, NotWritten) as wrong:
        if re.search(r"(?m)^grad_\w+: (?!unknown)", str(wrong)):
            return f"\nThe gradient check:\n{wrong}"
    return ""
