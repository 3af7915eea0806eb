"""Backwards of batch normalisation as they go wrong."""

from __future__ import annotations

import itertools

import numpy as np

from odyssey.diagnosis.faults import Guess, Guesses
from odyssey.diagnosis.trial import Trial

AXES = (0, 2, 3)
#: Values of ``eps`` that are tried.
EPSILONS = (1e-5, 1e-3, 1e-8, 1e-12, 1e-2, 1e-1, 1.0)
#: What may be wrong: the words, and the fault's name.
CHANGES = {
    "mean": ("the term of the mean left out", "path through the mean left out"),
    "variance": (
        "the term of the variance left out",
        "path through the variance left out",
    ),
    "gamma": ("the factor gamma left out", "factor left out"),
    "rstd": ("the factor 1 / sqrt(var + eps) left out", "factor left out"),
    "root": ("1 / (var + eps) in the place of its root", "factor left out"),
    "unbiased": (
        "the variance divided by M - 1 in the place of M",
        "biased or unbiased variance",
    ),
    "terms unbiased": (
        "the sums of both terms divided by M - 1 in the place of M",
        "biased or unbiased variance",
    ),
    "stretch unbiased": (
        "the sum in the variance's term divided by M - 1 in the place of M",
        "biased or unbiased variance",
    ),
    "eps": ("eps left out", "eps left out"),
    "mean summed": ("a sum for the mean in the mean's term", "sum instead of mean"),
    "variance summed": (
        "a sum for the mean in the variance's term",
        "sum instead of mean",
    ),
    "both summed": ("sums for the means in both terms", "sum instead of mean"),
    "plain x": ("x in the place of the normalised x", "not normalised"),
    "centred x": ("x - mean in the place of the normalised x", "not normalised"),
    "per image": (
        "statistics of each image alone",
        "statistics of the wrong values",
    ),
    "terms per image": (
        "the means of both terms taken over each image alone",
        "statistics of the wrong values",
    ),
    "terms per pixel": (
        "the means of both terms taken over the batch alone",
        "statistics of the wrong values",
    ),
    "per pixel": (
        "statistics over the batch alone",
        "statistics of the wrong values",
    ),
    "other": (
        "the statistics of the other mode, training or evaluation",
        "statistics of the wrong values",
    ),
    "halved": ("a factor 2 left over in the variance's term", "wrong factor"),
}


def guesses(trial: Trial) -> Guesses:
    """Guess wrong gradients of the input, gamma and beta, with one and two changes."""
    x, gamma = trial.inputs[:2]
    if x.ndim != 4 or gamma.shape != x.shape[1:2] or trial.out.shape != x.shape:
        return
    for training, eps in itertools.product((True, False), EPSILONS):
        right = _gradient(trial, training, eps, frozenset())
        if right is None:
            continue
        if trial.agreeing(right, trial.numeric)[trial.measured].all():
            yield from _wrong(trial, training, eps)
            return


def _wrong(trial: Trial, training: bool, eps: float) -> Guesses:
    changes = [{name} for name in CHANGES]
    both = {"mean", "variance"}
    alone: list[np.ndarray] = []
    pairs = [set(pair) for pair in itertools.combinations(CHANGES, 2)]
    for change in [*changes, both, *(pair for pair in pairs if pair != both)]:
        grad = _gradient(trial, training, eps, frozenset(change))
        if grad is None:
            continue
        if any(trial.agreeing(grad, part).all() for part in alone if len(change) > 1):
            continue  # one of the two changes nothing here
        if len(change) == 1:
            alone.append(grad)
        words, names = zip(*(CHANGES[name] for name in sorted(change)), strict=True)
        name = "; ".join(dict.fromkeys(names))
        if change == both:
            name = "path through the mean and the variance left out"
        yield Guess(name, f"with {' and '.join(words)}", grad)


def _gradient(
    trial: Trial, training: bool, eps: float, change: frozenset[str]
) -> np.ndarray | None:
    """Return the gradient of this input, as the twin computes it, but for changes."""
    g, inputs = trial.grad_output, trial.inputs
    x, gamma = inputs[:2]
    if "other" in change:
        training = not training
    axes: tuple[int, ...] = AXES
    if "per image" in change:
        axes = (2, 3)
    if "per pixel" in change:
        axes = (0,)
    M = int(np.prod([x.shape[axis] for axis in axes]))
    if training:
        mean = x.mean(axis=axes, keepdims=True)
        var = x.var(axis=axes, keepdims=True)
    elif len(inputs) < 5:
        return None
    else:
        mean, var = (a[:, None, None] for a in inputs[3:5])
    if "unbiased" in change:
        var = var * M / (M - 1)
    rstd = 1 / np.sqrt(var + (0 if "eps" in change else eps))
    xhat = (x - mean) * rstd
    if "plain x" in change:
        xhat = x
    if "centred x" in change:
        xhat = x - mean
    if trial.position == 1:
        return np.asarray((g * xhat).sum(axis=AXES))
    if trial.position != 0:
        return None
    grad_xhat = g if "gamma" in change else g * gamma[:, None, None]
    if "terms per image" in change:
        axes = (2, 3)
    if "terms per pixel" in change:
        axes = (0,)
    shift = grad_xhat.mean(axis=axes, keepdims=True)
    stretch = (grad_xhat * xhat).mean(axis=axes, keepdims=True)
    if "terms unbiased" in change:
        shift, stretch = shift * M / (M - 1), stretch * M / (M - 1)
    if "stretch unbiased" in change:
        stretch = stretch * M / (M - 1)
    if change & {"mean summed", "both summed"}:
        shift = shift * M
    if change & {"variance summed", "both summed"}:
        stretch = stretch * M
    if "halved" in change:
        stretch = stretch * 2
    if training and "mean" not in change:
        grad_xhat = grad_xhat - shift
    if training and "variance" not in change:
        grad_xhat = grad_xhat - stretch * xhat
    if "rstd" in change:
        return np.asarray(grad_xhat)
    return np.asarray(grad_xhat * (rstd**2 if "root" in change else rstd))
