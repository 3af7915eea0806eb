"""The order in which hypotheses are tried: what is most specific first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from odyssey.diagnosis import (
    arguments,
    gradients,
    known,
    masks,
    paths,
    places,
    upstream,
)
from odyssey.diagnosis.faults import Found, Guess, Guesses
from odyssey.diagnosis.ratios import meaning, ratio
from odyssey.diagnosis.trial import Trial

#: So many stages guess at orders of elements and known operations.
OF_ARRAYS = 3
#: A free factor is no evidence in fewer elements than this.
FEWEST = 4


class Numerics(Mapping[int, np.ndarray]):
    """The numerical gradients of all inputs, each measured when it is asked for."""

    def __init__(self, trials: dict[int, Trial]) -> None:
        self._trials = trials

    def __getitem__(self, position: int) -> np.ndarray:
        return self._trials[position].numeric

    def __iter__(self) -> Iterator[int]:
        return iter(self._trials)

    def __len__(self) -> int:
        return len(self._trials)


def causes(trial: Trial, numerics: Numerics) -> list[Found]:
    """Return what is wrong with a gradient: one fault, two, or what is seen."""
    first: tuple[Callable[[Trial], Found | None], ...] = (
        places.kink,
        gradients.zero,
        upstream.not_repeatable,
        upstream.ignored,
        upstream.with_a_term,
        lambda trial: gradients.factor(trial, named=True),
        masks.of_upstream,
        masks.elementwise,
    )
    later: tuple[Callable[[Trial], Found | None], ...] = (
        places.overwritten,
        places.where,
        paths.normalising,
        lambda trial: gradients.factor(trial, named=False),
    )
    stages: tuple[Callable[[], Guesses], ...] = (
        lambda: gradients.rearranged(trial),
        lambda: gradients.of_another_input(trial, numerics),
        lambda: known.guesses(trial),
        lambda: arguments.misused(trial),
        lambda: paths.shortcuts(trial),
        lambda: paths.diagonal(trial),
        lambda: masks.cut_off(trial),
        lambda: upstream.reduced(trial),
        lambda: upstream.misused(trial),
    )
    for find in first:
        if found := _tried(lambda find=find: find(trial)):  # type: ignore[misc]
            return [(name, found[1]) for name in found[0].split("; ")]
    tried: list[Guess] = []
    for number, stage in enumerate(stages):
        if number == OF_ARRAYS:
            if found := _tried(lambda: masks.wrong_mask(trial)):
                return [found]
        guesses = list(_guessed(stage))
        if explained := _explained(trial, guesses):
            return explained
        tried += guesses
    for find in later:
        if found := _tried(lambda find=find: find(trial)):  # type: ignore[misc]
            return [found]
    guesses = list(_guessed(lambda: arguments.updated(trial, numerics)))
    return (
        _explained(trial, guesses)
        or _explained_by_two(trial, [*tried, *guesses])
        or _listed(_tried(lambda: upstream.not_linear(trial)))
        or [describe(trial)]
    )


def _tried(find: Callable[[], Found | None]) -> Found | None:
    """Return what a hypothesis finds, nothing if its calls of the functions fail."""
    try:
        return find()
    except Exception:  # what is tried may be nothing that the functions accept
        return None


def _listed(found: Found | None) -> list[Found]:
    return [found] if found else []


def _guessed(stage: Callable[[], Guesses]) -> Guesses:
    try:
        yield from stage()
    except Exception:  # as above
        return


def _explained(trial: Trial, guesses: list[Guess]) -> list[Found]:
    """Return the first guess that is yours, with others that are as well."""
    fitting = [guess for guess in guesses if trial.explains(guess.gradient)]
    if not fitting:
        return []
    first, names = fitting[0], fitting[0].name.split("; ")
    others = dict.fromkeys(
        g.name for g in fitting[1:] if g.name not in first.name and "; " not in g.name
    )
    also = f"; here the same as: {', '.join(others)}" if others else ""
    evidence = f"yours agrees in {trial.count()} with the gradient {first.words}{also}"
    return [(name, evidence) for name in names]


def _explained_by_two(trial: Trial, guesses: list[Guess]) -> list[Found]:
    """Return a guess and a factor that give yours together."""
    if np.count_nonzero(trial.yours) < FEWEST:
        return []
    for guess in guesses:
        known_elements = np.isfinite(guess.gradient)
        if np.count_nonzero(guess.gradient[known_elements]) < FEWEST:
            continue
        found = ratio(trial, guess.gradient)
        named = meaning(trial, found) if found else None
        if found and named:
            words = f", {named[1]}" if named[1] else ""
            evidence = (
                f"the ratio of yours to the gradient {guess.words} is "
                f"{gradients.number(found)} in {trial.count()}{words}"
            )
            return [(name, evidence) for name in (*guess.name.split("; "), named[0])]
    return []


def describe(trial: Trial) -> Found:
    """Say which elements differ and how, without a guess at the reason."""
    wrong = trial.wrong
    count = int(np.count_nonzero(wrong))
    parts = [f"{trial.count(count)} differ, of shape {trial.x.shape}"]
    for axis, length in enumerate(trial.x.shape):
        others = tuple(k for k in range(trial.x.ndim) if k != axis)
        at = np.flatnonzero(wrong.any(axis=others))
        if len(at) < length:
            listed = ", ".join(map(str, at[:6])) + (", ..." if len(at) > 6 else "")
            parts.append(f"all of them at {listed} along axis {axis}")
    numeric, mine = trial.numeric[wrong], trial.yours[wrong]
    with np.errstate(all="ignore"):
        ratios = (mine / numeric)[numeric != 0]
    if not mine.any():
        parts.append("yours is 0 there")
    elif ratios.size:
        parts.append(
            f"the ratios of yours to the numerical gradient are between "
            f"{ratios.min():.3g} and {ratios.max():.3g}"
        )
    return "unknown", f"no single fault explains this: {'; '.join(parts)}"
