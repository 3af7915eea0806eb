"""Paths from an argument to the result, and backwards that miss one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from odyssey.diagnosis.faults import Found, Guess, Guesses
from odyssey.diagnosis.trial import Trial


def shortcuts(trial: Trial) -> Guesses:
    """Guess a gradient without the path on which an input is only added."""
    if trial.out.shape != trial.x.shape or trial.x.ndim < 2 or is_elementwise(trial):
        return
    g, numeric = trial.grad_output, trial.numeric
    for words, passed in _passed(trial):
        shortcut = g * passed
        yield Guess(
            "shortcut left out", f"without the {words} as it is", numeric - shortcut
        )
        yield Guess(
            "main path left out",
            f"as it is if it is the {words} as it is",
            np.where(np.isnan(numeric), np.nan, shortcut),
        )
        yield Guess(
            "shortcut added twice", f"and once more the {words}", numeric + shortcut
        )
        yield Guess(
            "main path added twice",
            f"twice, less the {words}",
            2 * numeric - shortcut,
        )


def is_elementwise(trial: Trial) -> bool:
    """Say whether each element changes its own result only."""
    if trial.out.shape != trial.x.shape or not trial.keeps:
        return False
    changes = np.abs(trial.changes)
    own = changes[np.arange(trial.chosen.size), trial.chosen].sum()
    return bool(changes.sum() - own <= 1e-9 * own)


def _passed(trial: Trial) -> Iterator[tuple[str, np.ndarray]]:
    yield "upstream gradient", np.ones(trial.out.shape)
    if np.any(trial.out > 0) and np.any(trial.out <= 0):
        words = "upstream gradient where the result is positive"
        yield words, (trial.out > 0).astype(float)


def diagonal(trial: Trial) -> Guesses:
    """Guess a gradient through each element's own result alone."""
    if trial.out.shape != trial.x.shape or not trial.keeps:
        return
    own = np.full(trial.x.size, np.nan)
    rows = np.arange(trial.chosen.size)
    slopes = trial.changes[rows, trial.chosen]
    own[trial.chosen] = slopes * trial.grad_output.reshape(-1)[trial.chosen]
    words = "as it is if each element changes its own result only"
    yield Guess("only the diagonal", words, own.reshape(trial.x.shape))


def normalising(trial: Trial) -> Found | None:
    """Find a number, or a multiple of x, by which yours is wrong in each group.

    What is centred has a gradient that sums to zero in each group; what is scaled has
    one that is orthogonal to it.  Yours then lacks the path through the mean, through
    the variance or through the norm, or goes wrong there.
    """
    x, missing = trial.x, trial.numeric - trial.yours
    if np.isnan(missing).any():
        return None
    for axes in _groups(x.ndim):
        size = int(np.prod([x.shape[axis] for axis in axes]))
        if size < 4:
            continue
        centred = x - x.mean(axes, keepdims=True)
        shift = missing.mean(axes, keepdims=True)
        by_mean = _is_zero(trial, trial.numeric.sum(axes), size)
        by_scale = _is_zero(trial, (trial.numeric * centred).sum(axes), size)
        by_norm = _is_zero(trial, (trial.numeric * x).sum(axes), size)
        stretch = _multiple(missing, centred, axes)
        tried = (
            (by_mean, "mean", "one number", shift + 0 * x),
            (by_scale, "variance", "a multiple of x - mean", stretch),
            (
                by_mean and by_scale,
                "mean and the variance",
                "one number and a multiple of x - mean",
                shift + stretch,
            ),
            (by_norm, "norm", "a multiple of x", _multiple(missing, x, axes)),
        )
        for holds, path, words, difference in tried:
            if holds and trial.explains(trial.numeric - difference):
                return f"wrong path through the {path}", (
                    f"yours differs from the numerical gradient by {words} in each of "
                    f"{x.size // size} groups over axes {axes}, in {trial.count()}"
                )
    return None


def _multiple(missing: np.ndarray, x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Return the multiple of x in each group that is nearest to what is missing."""
    squares = (x**2).sum(axes, keepdims=True)
    with np.errstate(all="ignore"):
        slope = (missing * x).sum(axes, keepdims=True) / squares
    result: np.ndarray = slope * x
    return result


def _groups(ndim: int) -> Iterator[tuple[int, ...]]:
    """Yield the axes over which there may be a mean: many of them first."""
    for count in range(1, ndim + 1):
        yield from itertools.combinations(range(ndim), count)


def _is_zero(trial: Trial, sums: np.ndarray, size: int) -> bool:
    typical = float(np.sqrt(np.mean(trial.numeric**2)))
    return bool(np.all(np.abs(sums) <= 1e-4 * typical * size))
