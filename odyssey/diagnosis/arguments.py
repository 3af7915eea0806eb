"""Faults that make a backward use another argument than the forward did."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from odyssey import central_differences as central
from odyssey.diagnosis.faults import Guess, Guesses
from odyssey.diagnosis.trial import Trial

#: Random directions in which a guess has to agree before it is measured in whole.
DIRECTIONS = 2
#: Elements from which on a step that fits them all is no chance.
FEWEST = 4


def misused(trial: Trial) -> Guesses:
    """Guess numerical gradients at other arguments than those that were given."""
    for name, words, inputs in _others(trial):
        yield from _guess(trial, name, words, inputs)


def _guess(trial: Trial, name: str, words: str, inputs: list[Any]) -> Guesses:
    """Yield the gradient at ``inputs`` if it may be yours, up to a factor."""
    try:
        promising = _may_be(trial, inputs)
        gradient = trial.gradient_of(trial.measure(inputs)) if promising else None
    except Exception:  # the forward need not accept what is tried
        return
    if gradient is not None:
        yield Guess(name, f"at {words}", gradient)


def _may_be(trial: Trial, inputs: list[Any]) -> bool:
    """Say whether yours has one ratio to the gradient there, in random directions.

    Where the gradient is what it is here as well, there is nothing to be learnt.
    """
    rng = np.random.default_rng(1)
    ratios, moved = [], False
    for _ in range(DIRECTIONS):
        direction = rng.standard_normal(trial.x.shape)
        there = _slope(trial, inputs, direction)
        here = _slope(trial, trial.inputs, direction)
        moved = moved or abs(there - here) > 1e-7 * max(abs(there), abs(here))
        ratios.append(float(np.sum(direction * trial.yours)) / (there or np.nan))
    return moved and bool(np.allclose(ratios, ratios[0], rtol=1e-4))


def _slope(trial: Trial, inputs: Sequence[Any], direction: np.ndarray) -> float:
    step = trial.eps * direction
    change, _ = central.change(trial.forward, inputs, trial.position, step)
    if change.shape != trial.grad_output.shape:
        return float("nan")
    return float(np.sum(change * trial.grad_output)) / (2 * trial.eps)


def _others(trial: Trial) -> Iterator[tuple[str, str, list[Any]]]:
    """Yield a name, words and all arguments, one of which is changed."""
    for i, x in enumerate(trial.inputs):
        if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
            continue

        def changed(to: np.ndarray, i: int = i) -> list[Any]:
            new = np.ascontiguousarray(to)
            return [*trial.inputs[:i], new, *trial.inputs[i + 1 :]]

        if x.ndim == 4:
            is_kernel = i > 0
            name = "kernel not turned" if is_kernel else "argument flipped"
            turned = x[:, :, ::-1, ::-1]
            words = f"input {i} turned by 180 degrees in its last two axes"
            if min(x.shape[2:]) > 1 or max(x.shape[2:]) > 1:
                yield name, words, changed(turned)
        for axis in range(x.ndim):
            if x.shape[axis] > 1:
                words = f"input {i} flipped along axis {axis}"
                yield "argument flipped", words, changed(np.flip(x, axis))
        for a, b in itertools.combinations(range(x.ndim), 2):
            if x.shape[a] == x.shape[b] > 1:
                words = f"input {i} with axes {a} and {b} exchanged"
                yield "argument transposed", words, changed(x.swapaxes(a, b))
                if x.ndim == 4 and (a, b) == (0, 1):
                    words += ", turned by 180 degrees in its last two axes"
                    both = x.swapaxes(a, b)[:, :, ::-1, ::-1]
                    yield "argument transposed", words, changed(both)
        if x.shape == trial.out.shape:
            words = f"the result in the place of input {i}"
            yield "gradient at the updated value", words, changed(trial.out)
        if i != trial.position and np.any(x):
            words = f"zeros in the place of input {i}"
            yield "path through an input left out", words, changed(np.zeros_like(x))


def updated(trial: Trial, numerics: Mapping[int, np.ndarray]) -> Guesses:
    """Guess the gradient where an argument has taken a step down its own gradient.

    The length of the step, the learning rate, is what fits in one random direction.
    """
    if trial.x.size < FEWEST:
        return  # some step fits a few numbers
    direction = np.random.default_rng(2).standard_normal(trial.x.shape)
    wanted = float(np.sum(direction * trial.yours))
    for i, numeric in numerics.items():
        if np.isnan(numeric).any() or not np.any(numeric):
            continue

        def inputs_at(rate: float, i: int = i, down: np.ndarray = numeric) -> list[Any]:
            x = np.ascontiguousarray(trial.inputs[i] - rate * down)
            return [*trial.inputs[:i], x, *trial.inputs[i + 1 :]]

        try:
            rate = _solve(lambda t: _slope(trial, inputs_at(t), direction) - wanted)
        except Exception:  # the forward need not accept what is tried
            continue
        if rate is not None and 1e-6 < rate < 10:
            words = f"input {i} after a step of {rate:.4g} times its gradient"
            name = "gradient at the updated value"
            yield from _guess(trial, name, words, inputs_at(rate))


def _solve(f: Any) -> float | None:
    """Return a root of ``f`` near 0 by the secant method, None if it finds none."""
    a, b = 0.0, 0.05
    fa, fb = f(a), f(b)
    for _ in range(20):
        if fa == fb or not np.isfinite(fb):
            return None
        a, b, fa = b, b - fb * (b - a) / (fb - fa), fb
        fb = f(b)
        if abs(b - a) <= 1e-9 * abs(b):
            return float(b)
    return None
