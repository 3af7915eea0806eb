"""Faults in what a backward makes of the upstream gradient."""

from __future__ import annotations

import itertools

import numpy as np

from odyssey.diagnosis.faults import Found, Guess, Guesses
from odyssey.diagnosis.trial import Trial


def misused(trial: Trial) -> Guesses:
    """Guess gradients for another upstream gradient than the one that was given."""
    if not trial.keeps:
        return
    for name, words, upstream in _others(trial):
        gradient = trial.gradient_of(trial.changes, upstream)
        yield Guess(name, f"for an upstream gradient {words}", gradient)


def reduced(trial: Trial) -> Guesses:
    """Guess sums of the upstream gradient over other axes, where a sum is right."""
    g, x = trial.grad_output, trial.x
    sums = []
    for count in range(1, g.ndim + 1):
        for axes in itertools.combinations(range(g.ndim), count):
            total, size = g.sum(axes), g.size / max(1, g.sum(axes).size)
            if total.size == x.size:
                sums.append((axes, total.reshape(x.shape), size))
    right = [
        axes
        for axes, total, _ in sums
        if trial.agreeing(total, trial.numeric)[trial.measured].all()
    ]
    if right:
        name = "summed over the wrong axes"
        for axes, total, size in sums:
            over = f"{axes} in the place of {right[0]}"
            yield Guess(
                name,
                f"as it is if the upstream gradient is summed over {over}",
                total,
            )
            words = f"as it is if the upstream gradient is averaged over {over}"
            yield Guess(name, words, total / size)


def _others(trial: Trial):  # type: ignore[no-untyped-def]  # an iterator of triples
    g, out, misused = trial.grad_output, trial.out, "upstream gradient misused"
    yield "upstream gradient left out", "of ones", np.ones(g.shape)
    yield misused, "squared", g**2
    yield misused, "of which the absolute values are taken", np.abs(g)
    yield "mask of the wrong array", "cut off where it is negative", g * (g > 0)
    yield misused, "times the result", g * out
    yield misused, "replaced by the result", out
    yield misused, "averaged over all results", np.full(g.shape, g.mean())
    yield misused, "summed over all results", np.full(g.shape, g.sum())
    for axis, length in enumerate(g.shape):
        if length == 1:
            continue
        part = (
            "only a part of the batch" if axis == 0 else "overwritten instead of added"
        )
        for index, word in ((-1, "last"), (0, "first")):
            words = f"that is zero but for the {word} index of axis {axis}"
            yield part, words, _only(g, axis, index)
        for index, word, place in (
            (-1, "last", "wrong in the last window"),
            (0, "first", "wrong at the border"),
        ):
            of_axis = {0: "only a part of the batch", 1: misused}.get(axis, place)
            dropped = g - _only(g, axis, index)
            yield of_axis, f"without the {word} of axis {axis}", dropped
        flipped = np.flip(g, axis)
        yield "axes flipped", f"flipped along axis {axis}", flipped
    if g.ndim == 4:
        inner = np.zeros(g.shape)
        inner[:, :, 1:-1, 1:-1] = g[:, :, 1:-1, 1:-1]
        yield "wrong at the border", "without its border", inner
        last = g.copy()
        last[:, :, -1], last[:, :, :, -1] = 0, 0
        yield "wrong in the last window", "without its last row and column", last
        turned = g[:, :, ::-1, ::-1]
        yield "axes flipped", "turned by 180 degrees in axes 2 and 3", turned
    for count in range(1, g.ndim):
        for axes in itertools.combinations(range(g.ndim), count):
            if np.prod([g.shape[axis] for axis in axes]) == 1:
                continue
            mean = np.broadcast_to(g.mean(axes, keepdims=True), g.shape)
            yield misused, f"averaged over axes {axes}", mean
            total = np.broadcast_to(g.sum(axes, keepdims=True), g.shape)
            yield misused, f"summed over axes {axes}", total
    for a, b in itertools.combinations(range(g.ndim), 2):
        if g.shape[a] == g.shape[b] > 1:
            swapped = g.swapaxes(a, b)
            yield "axes transposed", f"with axes {a} and {b} exchanged", swapped


def _only(g: np.ndarray, axis: int, index: int) -> np.ndarray:
    kept = np.zeros(g.shape)
    at = (slice(None),) * axis + (index,)
    kept[at] = g[at]
    return kept


def ignored(trial: Trial) -> Found | None:
    """Find a backward that gives the same whatever the upstream gradient is."""
    other = np.random.default_rng(3).standard_normal(trial.grad_output.shape)
    again = trial.call_backward(other)
    if not trial.agreeing(again, trial.yours).all():
        return None
    evidence = (
        f"another upstream gradient gives the same in all {trial.x.size} elements"
    )
    if trial.keeps:
        for words, instead in (("ones", 1.0), ("the forward's result", trial.out)):
            if trial.explains(trial.gradient_of(trial.changes, instead)):
                evidence += f", which are right for an upstream gradient of {words}"
    return "upstream gradient left out", evidence


def with_a_term(trial: Trial) -> Found | None:
    """Find a backward that is not zero for an upstream gradient of zero."""
    term = trial.call_backward(0 * trial.grad_output)
    size = float(np.abs(trial.yours).max())
    if not np.isfinite(term).all() or np.abs(term).max(initial=0) <= 1e-6 * size:
        return None
    evidence = (
        "for an upstream gradient of zeros yours is not zero in "
        f"{np.count_nonzero(term)} of {term.size} elements"
    )
    if trial.agreeing(trial.yours - term, trial.numeric)[trial.measured].all():
        evidence += ", and without these numbers yours is right"
    return "term without the upstream gradient", evidence


def not_linear(trial: Trial) -> Found | None:
    """Find a backward that is not linear in the upstream gradient, as each must be."""
    g = trial.grad_output
    other = np.random.default_rng(3).standard_normal(g.shape)
    together = trial.call_backward(g + other)
    apart = trial.yours + trial.call_backward(other)
    size = float(max(np.abs(together).max(initial=0), np.abs(apart).max(initial=0)))
    differs = np.abs(together - apart) > 1e-6 * size
    if not differs.any():
        return None
    return "upstream gradient misused", (
        "the gradient of a sum of two upstream gradients is not the sum of their "
        f"gradients in {np.count_nonzero(differs)} of {differs.size} elements: a right "
        "one multiplies by the upstream gradient once"
    )


def not_repeatable(trial: Trial) -> Found | None:
    """Find a backward that gives something else when it is called once more."""
    again = trial.call_backward(trial.grad_output)
    if np.array_equal(again, trial.yours):
        return None
    added = trial.agreeing(again - trial.yours, trial.numeric)[trial.measured]
    if added.all():
        return "gradient kept between calls", (
            f"a second call gives more by the numerical gradient in {trial.count()}"
        )
    number = int(np.count_nonzero(again != trial.yours))
    return "another result at each call", (
        f"a second call gives other numbers in {number} of {trial.x.size} elements"
    )
