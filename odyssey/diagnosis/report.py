"""The error of a gradient check with its diagnosis."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from odyssey import central_differences as central
from odyssey.diagnosis import search, shapes
from odyssey.diagnosis.faults import Diagnosis
from odyssey.diagnosis.trial import Trial


class WrongGradientError(AssertionError):
    """A gradient is wrong, and this is known about why.

    Attributes
    ----------
    diagnosis : list of Diagnosis
        One or more for each wrong gradient, in the order of the inputs.
    """

    def __init__(self, message: str, diagnosis: Sequence[Diagnosis]) -> None:
        self.diagnosis = list(diagnosis)
        super().__init__("\n".join([message, *(f"  {d}" for d in self.diagnosis)]))


def diagnosed(
    error: AssertionError,
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    inputs: Sequence[Any],
    positions: Sequence[int],
    grad_output: np.ndarray | None,
    eps: float,
    atol: float,
) -> WrongGradientError:
    """Return the error of `odyssey.gradcheck` again, with what may be wrong.

    ``grad_output`` is None if the check ended before there was one.
    """
    message = str(error)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if "changed its argument" in message or grad_output is None:
            return WrongGradientError(message, _without_gradients(message))
        result = central.call_on_copies("forward", forward, inputs)
        scalar = not isinstance(result, np.ndarray)
        upstream = float(grad_output) if scalar else grad_output
        grads = central.call_on_copies("backward", backward, [upstream, *inputs])
        if not isinstance(grads, (tuple, list)):
            grads = [None] * positions[0] + [grads]
        trials = {
            position: Trial(
                forward=forward,
                backward=backward,
                inputs=inputs,
                position=position,
                yours=np.zeros(inputs[position].shape),
                gradients=dict(enumerate(grads)),
                out=central.as_float64(result),
                grad_output=grad_output,
                eps=eps,
                atol=atol,
                scalar=scalar,
            )
            for position in _floating(inputs)
        }
        again = central.as_float64(central.call_on_copies("forward", forward, inputs))
        if not np.array_equal(again, central.as_float64(result), equal_nan=True):
            words = "the forward gives other numbers when it is called once more"
            words += ", so that no gradient can be measured"
            found = [Diagnosis("another result at each call", None, words)]
            return WrongGradientError(message, found)
        found = []
        for position in positions:
            needed = f"input {position} needs" in message
            found += _of_input(
                trials[position], search.Numerics(trials), positions, needed=needed
            )
    return WrongGradientError(message, found)


def _of_input(
    trial: Trial,
    numerics: search.Numerics,
    positions: Sequence[int],
    *,
    needed: bool,
) -> list[Diagnosis]:
    """Return what is wrong with the gradient of one input: nothing if it is right."""
    grad = trial.gradients.get(trial.position)
    given = [p for p in positions if trial.gradients.get(p) is not None]
    if grad is None and given and not needed:
        return []  # not asked for
    if (
        not isinstance(grad, (np.ndarray, np.float64))
        or grad.shape != trial.x.shape
        or grad.dtype != np.float64
        or not np.isfinite(grad).all()
    ):
        found = [shapes.of_form(trial, grad, numerics)]
    else:
        trial.yours = np.array(grad)
        found = _causes(trial, numerics, only=len(positions) == 1)
    return [Diagnosis(name, trial.position, words) for name, words in found]


def _causes(
    trial: Trial, numerics: search.Numerics, *, only: bool
) -> list[tuple[str, str]]:
    """Return what is wrong with a gradient of the right form: maybe nothing."""
    if not trial.wrong.any():
        seen = f"none of the {trial.count().removeprefix('all ')} differs"
        sampled = trial.chosen.size < trial.x.size
        return [("unknown", f"{seen}, others do")] if only and sampled else []
    try:
        return search.causes(trial, numerics)
    except Exception as error:  # what is said of the gradient before is not to be lost
        return [("unknown", f"the diagnosis itself failed: {error!r}")]


def _floating(inputs: Sequence[Any]) -> list[int]:
    return [
        i
        for i, x in enumerate(inputs)
        if isinstance(x, np.ndarray) and x.dtype.newbyteorder("=") == np.float64
    ]


def _without_gradients(message: str) -> list[Diagnosis]:
    """Return what a message says in itself, if it is about a changed argument."""
    if "changed its argument" not in message:
        return []
    argument = int(message.split()[-1])
    if "backward" in message:
        what = "the upstream gradient" if argument == 0 else f"input {argument - 1}"
    else:
        what = f"input {argument}"
    return [
        Diagnosis(
            "argument changed",
            None,
            f"after the call {what} holds other numbers: take a copy before you write",
        )
    ]
