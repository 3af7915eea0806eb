"""Backwards of batch norm and other normalisations as they go wrong.

The gradient of the input is (g - shift - stretch * xhat) * rstd, with g the upstream
gradient times gamma, and the means shift of g and stretch of g * xhat.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from odyssey.diagnosis.faults import Guess, Guesses
from odyssey.diagnosis.trial import Trial

#: Values of ``eps`` that are tried.
EPSILONS = (1e-5, 0.0, 1e-3, 1e-6, 1e-8, 1e-12, 1e-2, 1e-1, 1.0)
STATISTICS, PATH = "statistics of the wrong values", "path through the"
#: What may be wrong: the words for it, and the fault's name.
CHANGES = {
    "no shift": ("the term of the mean left out", f"{PATH} mean left out"),
    "no stretch": ("the term of the variance left out", f"{PATH} variance left out"),
    "no gamma": ("the factor gamma left out", "factor left out"),
    "no rstd": ("the factor 1 / sqrt(var + eps) left out", "factor left out"),
    "no root": ("1 / (var + eps) in the place of its root", "factor left out"),
    "no inner rstd": (
        "x - mean for the normalised x within the mean of the variance's term",
        "factor left out",
    ),
    "unbiased": (
        "the variance divided by M - 1, not M",
        "biased or unbiased variance",
    ),
    "terms unbiased": (
        "both terms divided by M - 1, not M",
        "biased or unbiased variance",
    ),
    "stretch unbiased": (
        "the variance's term divided by M - 1, not M",
        "biased or unbiased variance",
    ),
    "no eps": ("eps left out", "eps left out"),
    "shift summed": ("a sum for the mean in the mean's term", "sum instead of mean"),
    "stretch summed": (
        "a sum for the mean in the variance's term",
        "sum instead of mean",
    ),
    "both summed": ("sums for the means in both terms", "sum instead of mean"),
    "shift added": ("a plus before the mean's term", "wrong sign"),
    "stretch added": ("a plus before the variance's term", "wrong sign"),
    "both added": ("a plus before both terms", "wrong sign"),
    "shift doubled": ("the mean's term counted twice", "wrong factor"),
    "stretch doubled": ("a factor 2 left in the variance's term", "wrong factor"),
    "stretch halved": ("a factor 1/2 left in the variance's term", "wrong factor"),
    "plain x": ("x in the place of the normalised x", "not normalised"),
    "result": ("the result in the place of the normalised x", "not normalised"),
    "centred x": ("x - mean in the place of the normalised x", "not normalised"),
    "terms per image": ("the means of both terms over each image alone", STATISTICS),
    "terms per pixel": ("the means of both terms over the batch alone", STATISTICS),
    "per image": ("statistics of each image alone", STATISTICS),
    "per pixel": ("statistics over the batch alone", STATISTICS),
    "other mode": ("the statistics of the other mode, training or not", STATISTICS),
}
#: The axes of 4-dimensional images that some changes take.
AXES_OF = {"image": (2, 3), "pixel": (0,)}


class Norm(NamedTuple):
    """A normalisation: over which axes, with which gamma and statistics."""

    axes: tuple[int, ...]
    gamma: np.ndarray | None
    #: The running mean and variance, broadcast, if there are any.
    running: tuple[np.ndarray, np.ndarray] | None
    training: bool
    eps: float


def guesses(trial: Trial) -> Guesses:
    """Guess wrong gradients of the input and of gamma, with one change and with two."""
    if trial.position > 1 or trial.out.shape != trial.inputs[0].shape:
        return
    for norm in _norms(trial):
        right = _gradient(trial, norm, frozenset())
        if right is not None and right.shape == trial.x.shape:
            if trial.agreeing(right, trial.numeric)[trial.measured].all():
                yield from _wrong(trial, norm)
                return


def _norms(trial: Trial) -> Iterator[Norm]:
    x, more = trial.inputs[0], trial.inputs[1:]
    if x.ndim == 4 and len(more) >= 4:
        scale, _, *running = (a[:, None, None] for a in more[:4])
        for training, eps in itertools.product((True, False), EPSILONS):
            yield Norm((0, 2, 3), scale, (running[0], running[1]), training, eps)
    axes_of: list[tuple[int, ...]] = [(0, 2, 3)] if x.ndim == 4 else []
    for count in range(1, x.ndim + 1):
        axes_of += itertools.combinations(range(x.ndim), count)
    for axes in axes_of:
        gammas: list[np.ndarray | None] = [None]
        if more and isinstance(more[0], np.ndarray):
            gammas = [*_broadcast(more[0], x.shape)]
        for gamma, eps in itertools.product(gammas, EPSILONS):
            yield Norm(axes, gamma, None, True, eps)


def _broadcast(gamma: np.ndarray, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield gamma in the shapes in which it may be multiplied with the input."""
    if gamma.ndim == 1 and len(shape) == 4 and gamma.size == shape[1]:
        yield gamma[:, None, None]
    if gamma.shape == shape[len(shape) - gamma.ndim :]:
        yield gamma


def _wrong(trial: Trial, norm: Norm) -> Guesses:
    both = {"no shift", "no stretch"}
    alone: list[np.ndarray] = []
    pairs = [set(pair) for pair in itertools.combinations(CHANGES, 2)]
    for change in [*({name} for name in CHANGES), both, *pairs]:
        grad = _gradient(trial, norm, frozenset(change))
        if grad is None or grad.shape != trial.x.shape:
            continue
        if any(trial.agreeing(grad, part).all() for part in alone if len(change) > 1):
            continue  # one of the two changes nothing here
        if len(change) == 1:
            alone.append(grad)
        words, names = zip(*(CHANGES[name] for name in sorted(change)), strict=True)
        name = "; ".join(dict.fromkeys(names))
        if change == both:
            name = f"{PATH} mean and the variance left out"
        yield Guess(name, f"with {' and '.join(words)}", grad)


def _gradient(trial: Trial, norm: Norm, change: frozenset[str]) -> np.ndarray | None:
    """Return the gradient of this input, as the twin computes it, but for changes."""
    g, x = trial.grad_output, trial.inputs[0]
    training = norm.training != ("other mode" in change)
    if "other mode" in change and norm.running is None:
        return None
    axes = terms = norm.axes
    for scope, some in AXES_OF.items():
        if x.ndim == 4 and f"per {scope}" in change:
            axes = terms = some
        if x.ndim == 4 and f"terms per {scope}" in change:
            terms = some
    M = int(np.prod([x.shape[axis] for axis in axes]))
    if training:
        mean, var = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    elif norm.running is None:
        return None
    else:
        mean, var = norm.running
    if "unbiased" in change:
        var = var * M / (M - 1)
    rstd = 1 / np.sqrt(var + (0 if "no eps" in change else norm.eps))
    xhat = (x - mean) * rstd
    if "plain x" in change:
        xhat = x
    if "result" in change:
        xhat = trial.out
    if "centred x" in change:
        xhat = x - mean
    if trial.position == 1:
        if norm.gamma is None:
            return None
        summed = [k for k, n in enumerate(_spread(norm.gamma, x.ndim)) if n == 1]
        return np.asarray((g * xhat).sum(axis=tuple(summed))).reshape(trial.x.shape)
    gamma = 1.0 if norm.gamma is None or "no gamma" in change else norm.gamma
    grad = g * gamma
    shift = grad.mean(axis=terms, keepdims=True)
    inner = x - mean if "no inner rstd" in change else xhat
    stretch = (grad * inner).mean(axis=terms, keepdims=True)
    shift = shift * _factor(change, "shift", M)
    stretch = stretch * _factor(change, "stretch", M)
    if training:
        grad = grad - shift - stretch * xhat
    if "no rstd" not in change:
        grad = grad * (rstd**2 if "no root" in change else rstd)
    return np.asarray(grad)


def _factor(change: frozenset[str], term: str, M: int) -> float:
    """Return the factor that changes put before a term: 1 if there is none."""
    factor = 0.0 if f"no {term}" in change else 1.0
    if change & {f"{term} summed", "both summed"}:
        factor *= M
    if change & {f"{term} added", "both added"}:
        factor *= -1
    if change & {f"{term} unbiased", "terms unbiased"}:
        factor *= M / (M - 1)
    if f"{term} doubled" in change:
        factor *= 2
    if f"{term} halved" in change:
        factor /= 2
    return factor


def _spread(gamma: np.ndarray, ndim: int) -> tuple[int, ...]:
    return (1,) * (ndim - gamma.ndim) + gamma.shape
