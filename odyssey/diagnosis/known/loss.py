"""Backwards of softmax and cross-entropy as they go wrong."""

from __future__ import annotations

import numpy as np

from odyssey import reference
from odyssey.diagnosis.faults import Guess, Guesses
from odyssey.diagnosis.trial import Trial


def guesses(trial: Trial) -> Guesses:
    """Guess wrong gradients of the logits."""
    if trial.position == 0 and trial.x.ndim == 2:
        yield from _of_softmax(trial)
        yield from _of_cross_entropy(trial)


def _is(trial: Trial, right: np.ndarray) -> bool:
    return bool(trial.agreeing(right, trial.numeric)[trial.measured].all())


def _of_softmax(trial: Trial) -> Guesses:
    x, g = trial.x, trial.grad_output
    if trial.out.shape != x.shape or not _is(trial, reference.softmax_backward(g, x)):
        return
    prob = reference.softmax(x)
    missing = "path through the sum left out"
    yield Guess(missing, "without the sum: prob * g", prob * g)
    words = (
        "as it is if each result changes with its own logit only: prob * (1 - prob) * g"
    )
    yield Guess("only the diagonal", words, prob * (1 - prob) * g)
    for axis, name in ((0, "over the batch"), (None, "over all elements")):
        inner = (g * prob).sum(axis=axis, keepdims=True)
        words = f"with the sum taken {name}: prob * (g - sum)"
        yield Guess("statistics of the wrong values", words, prob * (g - inner))
    mean = (g * prob).mean(axis=1, keepdims=True)
    words = "with a mean in the place of the sum of g * prob"
    yield Guess("mean instead of sum", words, prob * (g - mean))
    plain = g.sum(axis=1, keepdims=True)
    words = "with the sum of g in the place of the sum of g * prob"
    yield Guess("factor left out", words, prob * (g - plain))
    words = "without the first factor prob: g - sum(g * prob)"
    yield Guess("factor left out", words, g - (g * prob).sum(axis=1, keepdims=True))
    total = (g * prob).sum(axis=1)
    words = "without the factor prob of the sum: prob * g - sum"
    yield Guess("factor left out", words, prob * g - total[:, None])
    if x.shape[0] == x.shape[1]:
        words = "with the sums of the rows broadcast along the wrong axis"
        yield Guess("statistics of the wrong values", words, prob * (g - total))
    words = "with a plus in the place of the minus: prob * (g + sum)"
    yield Guess("wrong sign", words, prob * (g + (g * prob).sum(axis=1, keepdims=True)))
    words = "with the logits in the place of their softmax"
    inner = (g * x).sum(axis=1, keepdims=True)
    yield Guess("softmax left out", words, x * (g - inner))
    words = "with the softmax of the softmax: the result given for the logits"
    yield Guess(
        "gradient at the updated value", words, reference.softmax_backward(g, prob)
    )
    log_gradient = g - prob * g.sum(axis=1, keepdims=True)
    words = "for the logarithm of softmax"
    yield Guess("other form of the function", words, log_gradient)
    for axis, over in ((0, "the batch"), (None, "all elements")):
        exp = np.exp(x - x.max(axis=axis, keepdims=True))
        other = exp / exp.sum(axis=axis, keepdims=True)
        inner = (g * other).sum(axis=1, keepdims=True)
        words = f"for a softmax over {over}"
        yield Guess("statistics of the wrong values", words, other * (g - inner))


def _of_cross_entropy(trial: Trial) -> Guesses:
    if not trial.scalar or len(trial.inputs) < 2:
        return
    x, labels = trial.inputs[:2]
    g, (N, K) = float(trial.grad_output), x.shape
    if not isinstance(labels, np.ndarray):
        return
    for smoothing in (0.0, 0.1, 0.2, 0.05, *_numbers(trial)):
        if _is(trial, reference.cross_entropy_backward(g, x, labels, smoothing)):
            break
    else:
        return
    target = np.eye(K)[labels] if labels.ndim == 1 else labels
    smooth = (1 - smoothing) * target + smoothing / K
    prob = reference.softmax(x)
    if smoothing:
        words = "for labels that are not smoothed"
        yield Guess("label smoothing left out", words, (prob - target) * g / N)
        words = "as it is if e / K is not added to the smoothed target"
        yield Guess(
            "label smoothing left out", words, (prob - (1 - smoothing) * target) * g / N
        )
        others = (1 - smoothing) * target + smoothing / max(K - 1, 1) * (1 - target)
        words = "as it is if e is shared by the K - 1 other classes"
        yield Guess("other form of the function", words, (prob - others) * g / N)
    words = "without the target: softmax"
    yield Guess("target left out", words, prob * g / N)
    words = "without the softmax: -target"
    yield Guess("target left out", words, -smooth * g / N)
    words = "with the logits in the place of their softmax"
    yield Guess("softmax left out", words, (x - smooth) * g / N)
    words = "as it is if only the logit of the target gets any: (softmax - 1) * target"
    yield Guess("only the diagonal", words, (prob - smooth) * (target > 0) * g / N)
    words = "with -target / softmax, which is the gradient of the softmax"
    yield Guess("softmax left out", words, -smooth / prob * g / N)
    words = "with softmax + target"
    yield Guess("wrong sign", words, (prob + smooth) * g / N)
    words = "with the softmax of the softmax"
    again = reference.softmax(prob)
    yield Guess("gradient at the updated value", words, (again - smooth) * g / N)
    words = "with the logarithm of the softmax in its place"
    yield Guess("other form of the function", words, (np.log(prob) - smooth) * g / N)
    for axis, over in ((0, "the batch"), (None, "all elements")):
        exp = np.exp(x - x.max(axis=axis, keepdims=True))
        other = exp / exp.sum(axis=axis, keepdims=True)
        words = f"for a softmax over {over}"
        yield Guess("statistics of the wrong values", words, (other - smooth) * g / N)


def _numbers(trial: Trial) -> list[float]:
    return [float(value) for value in trial.inputs if isinstance(value, float)]
