"""Faults that can be read off the two gradients: sign, factor, order of elements."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from odyssey.diagnosis.faults import Found, Guess, Guesses
from odyssey.diagnosis.ratios import meaning, ratio
from odyssey.diagnosis.trial import Trial


def zero(trial: Trial) -> Found | None:
    """Find a gradient of zeros."""
    if np.any(trial.yours):
        return None
    size = float(np.sqrt(np.nanmean(trial.numeric**2)))
    return "zero gradient", (
        f"yours is 0 in all {trial.x.size} elements, the numerical gradient has an "
        f"rms of {size:.3g}"
    )


def factor(trial: Trial, *, named: bool) -> Found | None:
    """Find one factor, or sign, between yours and the numerical gradient.

    If ``named``, it has to be one that has a meaning here.
    """
    found = ratio(trial, trial.numeric)
    if found is None:
        return None
    evidence = (
        f"the ratio of yours to the numerical gradient is {number(found)} in "
        f"{trial.count()}"
    )
    meant = meaning(trial, found)
    if named and meant is None:
        return None
    if meant is None and np.count_nonzero(trial.numeric[trial.measured]) < 4:
        return None  # any few numbers have a ratio
    name, words = meant or ("wrong factor", "")
    if found < 0 and meant and name != "wrong sign":
        name = f"wrong sign; {name}"
    words = "" if words == "2" else words
    return name, f"{evidence}; {words}" if words else evidence


def number(value: float) -> str:
    """Write a ratio: 2.000, 0.3333, -1.000."""
    return f"{value:.3f}" if 0.1 <= abs(value) < 1e4 else f"{value:.4g}"


def rearranged(trial: Trial) -> Guesses:
    """Guess the numerical gradient with its axes exchanged or flipped, or shifted."""
    numeric, ndim = trial.numeric, trial.x.ndim
    if not 1 <= ndim <= 4:
        return
    changes = sorted(
        itertools.product(
            itertools.permutations(range(ndim)),
            itertools.product((1, -1), repeat=ndim),
        ),
        key=lambda change: _moved(*change),
    )
    for axes, directions in changes[1:]:
        guess = numeric.transpose(axes)
        if guess.shape != numeric.shape:
            continue
        if any(d < 0 and n == 1 for d, n in zip(directions, guess.shape, strict=True)):
            continue
        guess = guess[tuple(slice(None, None, d) for d in directions)]
        swapped = [k for k in range(ndim) if axes[k] != k]
        turned = [k for k in range(ndim) if directions[k] < 0]
        words = " and ".join(
            f"{'axis' if len(some) == 1 else 'axes'} {_join(some)} {done}"
            for some, done in ((swapped, "exchanged"), (turned, "flipped"))
            if some
        )
        name = "axes transposed" if swapped else "axes flipped"
        yield Guess(name, f"with {words}", guess)
    yield from _shifted(numeric)


def _moved(axes: Sequence[int], directions: Sequence[int]) -> tuple[int, int]:
    moved = sum(axis != k for k, axis in enumerate(axes))
    return moved + directions.count(-1), directions.count(-1)


def _shifted(numeric: np.ndarray) -> Guesses:
    for axis, length in enumerate(numeric.shape):
        for places in (1, -1, 2, -2):
            if length <= abs(places):
                continue
            rolled = np.roll(numeric, places, axis)
            where = f"{abs(places)} {'later' if places > 0 else 'earlier'}"
            words = f"{where} along axis {axis}"
            yield Guess("elements shifted", f"{words}, around the end", rolled)
            cut = np.array(rolled)
            cut = np.moveaxis(cut, axis, 0)
            cut[: max(places, 0)] = 0
            cut[length + min(places, 0) :] = 0
            cut = np.moveaxis(cut, 0, axis)
            yield Guess("elements shifted", f"{words}, then zeros", cut)


def of_another_input(trial: Trial, numerics: Mapping[int, np.ndarray]) -> Guesses:
    """Guess the numerical gradients of the other inputs."""
    for other, numeric in numerics.items():
        if other == trial.position or numeric.shape != trial.x.shape:
            continue
        its = trial.gradients.get(other)
        right = (
            isinstance(its, np.ndarray)
            and its.shape == numeric.shape
            and np.allclose(its, numeric, rtol=1e-6)
        )
        if not right:  # what is right for the other is not there by mistake
            yield Guess("gradients in the wrong order", f"for input {other}", numeric)


def _join(items: Sequence[Any]) -> str:
    return " and ".join(str(item) for item in items)
