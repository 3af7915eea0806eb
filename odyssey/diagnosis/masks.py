"""Faults of masks, those of relu and dropout: left out, turned, of another array."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from odyssey.diagnosis.faults import Found, Guess, Guesses
from odyssey.diagnosis.paths import is_elementwise
from odyssey.diagnosis.trial import Trial

#: So many results must be passed or blocked differently, before a mask is blamed.
FEWEST = 2


def cut_off(trial: Trial) -> Guesses:
    """Guess the numerical gradient with one mask too many."""
    for words, array in _arrays(trial):
        if array.shape == trial.x.shape:
            for sign, side in ((1, "positive"), (-1, "negative")):
                yield Guess(
                    "mask too many",
                    f"where {words} is {side}, and zeros elsewhere",
                    trial.numeric * (sign * array > 0),
                )


def of_upstream(trial: Trial) -> Found | None:
    """Find a backward that drops the upstream gradient where it is negative."""
    g, unsigned = trial.grad_output, np.maximum(trial.grad_output, 0)
    if not (np.any(g > 0) and np.any(g < 0)) or not np.any(trial.yours):
        return None
    size = float(np.abs(trial.yours).max())
    if not trial.keeps or not np.nanmax(
        np.abs(trial.gradient_of(trial.changes, g - unsigned))
    ) > 1e-6 * float(np.nanmax(np.abs(trial.numeric))):
        return None  # the negative elements count nowhere
    positive, negative = (
        trial.call_backward(unsigned),
        trial.call_backward(g - unsigned),
    )
    if not _alike(positive, trial.yours) or np.abs(negative).max() > 1e-9 * size:
        return None
    return "mask of the wrong array", (
        f"without the {np.count_nonzero(g < 0)} negative elements of the upstream "
        f"gradient yours is the same, and with them alone it is 0, in "
        f"{trial.x.size} elements"
    )


def wrong_mask(trial: Trial) -> Found | None:
    """Find a mask on the results that is not the forward's.

    With the gradients of each result alone: those that the forward blocks change with
    no element.  The backward's must be right for each result that both let pass.
    """
    rows = trial.rows
    if rows is None or trial.chosen.size < trial.x.size:
        return None
    changes, size = trial.changes, np.abs(trial.changes).max()
    on = np.abs(changes).max(axis=0) > 1e-6 * size
    passed = np.abs(rows).max(axis=0) > 1e-6 * size
    both = on & passed
    if np.count_nonzero(on != passed) < FEWEST or np.count_nonzero(both) < FEWEST:
        return None
    pixels, words = _agreement(trial, rows, both)
    if words is None:
        return None
    through = int(np.count_nonzero(passed & ~on))
    blocked = int(np.count_nonzero(on & ~passed))
    if not through and not pixels:
        return None  # a mask too many is guessed, and a part of results left out
    evidence = (
        f"of {on.size} results, {through} that do not change with the input pass their "
        f"gradient, and {blocked} that do change pass none; for the "
        f"{np.count_nonzero(both)} others yours is right{words}"
    )
    if passed.all() and not pixels:
        return "mask left out", evidence
    for words, array in _arrays(trial):
        if array.shape == trial.out.shape:
            for sign, side in ((1, "positive"), (-1, "negative")):
                if np.array_equal(passed, (sign * array > 0).reshape(-1)):
                    evidence += f"; it passes where {words} is {side}"
                    return "mask of the wrong array", evidence
    return "mask of the wrong array", evidence


def _agreement(
    trial: Trial, rows: np.ndarray, both: np.ndarray
) -> tuple[bool, str | None]:
    """Say whether rows are right where ``both``, up to a mask on the input's elements.

    The second result is None if they are not, and words about the mask otherwise.
    """
    right, mine = trial.changes[:, both], rows[:, both]
    if _alike(mine, right):
        return False, ""
    for words, array in _arrays(trial):
        if array.shape == trial.x.shape:
            mask = (array > 0).reshape(-1, 1)
            if _alike(mine, right * mask):
                return True, f", but for zeros where {words} is not positive"
    return False, None


def elementwise(trial: Trial) -> Found | None:
    """Find the mask of a function that multiplies each element by one of two numbers.

    These are 0 and 1 for relu, 0 and 1 / (1 - p) for dropout.
    """
    if not is_elementwise(trial) or trial.chosen.size < trial.x.size:
        return None
    slopes = trial.changes.diagonal()
    low, high = float(slopes.min()), float(slopes.max())
    on = np.abs(slopes - high) <= 1e-6 * abs(high)
    if on.all() or not _alike(slopes[~on], low):
        return None
    mine = trial.yours.reshape(-1) / trial.grad_output.reshape(-1)
    least, most = float(mine.min()), float(mine.max())
    passed = np.abs(mine - most) <= 1e-6 * abs(most)
    if not (_alike(mine[~passed], least) and abs(most) > 1e-6):
        return None
    if not passed.all() and abs(least - low) > 1e-6:
        return None
    if np.array_equal(on, passed) or min(abs(most - high), abs(most - 1)) > 1e-6:
        return None
    evidence = (
        f"the forward multiplies {np.count_nonzero(on)} of {on.size} elements by "
        f"{high:.4g} and the others by {low:.4g}; yours multiplies "
        f"{np.count_nonzero(passed)} by {most:.4g}, among them "
        f"{np.count_nonzero(passed & ~on)} of the others"
    )
    if passed.all():
        return "mask left out", evidence
    if np.array_equal(passed, ~on):
        return "mask turned round", evidence
    for words, array in _arrays(trial):
        for sign, side in ((1, "positive"), (-1, "negative")):
            if array.shape == trial.x.shape and np.array_equal(
                passed, (sign * array > 0).reshape(-1)
            ):
                evidence += f"; it passes where {words} is {side}"
    return "mask of the wrong array", evidence


def _arrays(trial: Trial) -> Iterator[tuple[str, np.ndarray]]:
    yield "the result", trial.out
    yield "the upstream gradient", trial.grad_output
    for i, x in enumerate(trial.inputs):
        if isinstance(x, np.ndarray) and x.dtype.kind == "f":
            yield f"input {i}", x


def _alike(a: np.ndarray, b: Any) -> bool:
    size = float(np.abs(b).max(initial=0.0)) or 1.0
    return bool(np.all(np.abs(a - b) <= 1e-6 * size))
