"""Every wrong backward of the zoo fails the check of the exercise that asks for it."""

import functools
import inspect

import pytest
from zoo import ZOO

from odyssey import reference
from odyssey.learn import course
from odyssey.learn.grading import grade
from odyssey.op_specs import OPS

#: Exercises that ask for some of the gradients of a backward: which of its results.
PARTS = {
    "conv2d_backward": {
        "conv2d_grad_kernel": lambda grads: tuple(grads[1:]),
        "conv2d_grad_input": lambda grads: grads[0],
    }
}
#: Those that the zoo has made up itself are called in another way than here.
OPERATIONS = {spec.name: spec for spec in OPS}


def whole(wrong):
    """Return the wrong backward, and the right one in calls that it cannot take."""
    right = getattr(reference, f"{wrong.operation}_backward")
    signature = inspect.signature(wrong.backward)

    @functools.wraps(right)
    def backward(*arguments, **options):
        try:
            signature.bind(*arguments, **options)
        except TypeError:
            return right(*arguments, **options)
        return wrong.backward(*arguments, **options)

    return backward


def students(wrong):
    """Yield exercise and functions, with the wrong backward in its place."""
    if wrong.operation not in OPERATIONS:
        return
    name, writers = f"{wrong.operation}_backward", course.writers()
    places = {name: lambda grads: grads} | PARTS.get(name, {})
    for function, part in places.items():
        if function in writers:
            exercise = course.load(writers[function])
            right = exercise.right()

            @functools.wraps(right[function])
            def backward(*arguments, part=part, **options):
                return part(whole(wrong)(*arguments, **options))

            yield exercise, {**right, function: backward}


ASKED = [wrong for wrong in ZOO if list(students(wrong))]


def test_all_but_two_operations_of_the_library_are_asked_for():
    left_out = {wrong.operation for wrong in ZOO} - {w.operation for w in ASKED}
    assert left_out & OPERATIONS.keys() == {"add", "gelu"}


@pytest.mark.parametrize("wrong", ASKED, ids=lambda wrong: wrong.name)
def test_it_fails(wrong):
    messages = [
        check.message
        for exercise, functions in students(wrong)
        for check in grade(exercise, functions, explain=False)
        if not check.passed and check.reached
    ]
    assert messages and all(messages)
    # by what it returns or changes, not because it is called wrongly
    assert not any("must take (" in message for message in messages)
    assert not any("TypeError" in message for message in messages)
