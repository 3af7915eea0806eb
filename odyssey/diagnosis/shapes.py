"""Gradients of the wrong form: another shape, dtype, or numbers that are not finite."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from odyssey.diagnosis.faults import Found
from odyssey.diagnosis.trial import Trial


def of_form(trial: Trial, grad: Any, numerics: Mapping[int, np.ndarray]) -> Found:
    """Say what is wrong with a gradient that cannot be compared as it is.

    ``trial`` has no gradient of yours; ``numerics`` are those of all inputs.
    """
    numeric = trial.numeric
    if grad is None:
        return "no gradient", f"input {trial.position} has one of shape {numeric.shape}"
    if not isinstance(grad, (np.ndarray, np.generic, float)):
        return "unknown", f"yours is a {type(grad).__name__}, not an array"
    grad = np.asarray(grad)
    if grad.dtype.kind not in "fiub":
        return "unknown", f"yours holds {grad.dtype}"
    if not np.isfinite(grad).all():
        return _not_finite(trial, grad)
    mine = grad.astype(np.float64)
    if grad.shape != numeric.shape:
        return _of_shape(trial, mine, numerics) or (
            "unknown",
            f"yours has the shape {grad.shape}, the input {numeric.shape}, and no sum, "
            "order of axes or part of yours is the numerical gradient",
        )
    loose = np.allclose(mine, numeric, rtol=1e-2, atol=1e-2, equal_nan=True)
    if loose:
        return "wrong dtype", (
            f"yours is {grad.dtype} and agrees with the numerical gradient to "
            f"{np.nanmax(np.abs(mine - numeric)):.1g} in {trial.count()}"
        )
    return "unknown", f"yours is {grad.dtype}, and the numbers differ as well"


def _not_finite(trial: Trial, grad: np.ndarray) -> Found:
    bad = ~np.isfinite(grad)
    count = int(np.count_nonzero(bad))
    words = f"{count} of {grad.size} elements of yours are not finite"
    if grad.shape == trial.numeric.shape and not bad.all():
        rest = trial.measured & ~bad
        if rest.any() and trial.agreeing(grad, trial.numeric)[rest].all():
            words += ", all others are right"
        zeros = bad & (trial.x == 0)
        if np.array_equal(zeros, bad):
            words += "; they are where the input is 0"
    return "unknown", words


def _of_shape(
    trial: Trial, mine: np.ndarray, numerics: Mapping[int, np.ndarray]
) -> Found | None:
    numeric, shapes = trial.numeric, f"shape {mine.shape}"

    def same(a: np.ndarray, b: np.ndarray = numeric) -> bool:
        if a.shape != b.shape or np.isnan(b).all():
            return False
        known = ~np.isnan(b)
        size = max(float(np.abs(b[known]).max(initial=0.0)), 1e-300)
        return bool(np.all(np.abs(a - b)[known] <= 1e-6 * size))

    for other, wanted in numerics.items():
        if other == trial.position or not same(mine, wanted):
            continue
        its = trial.gradients.get(other)
        right = isinstance(its, np.ndarray) and same(its, wanted)
        if not right:  # what is right for the other is not there by mistake
            return "gradients in the wrong order", (
                f"yours, of {shapes}, is the numerical gradient of input {other} in "
                f"all {mine.size} elements"
            )
    for axes in itertools.permutations(range(mine.ndim)):
        if mine.ndim <= 4 and same(mine.transpose(axes)):
            return "axes transposed", (
                f"yours, of {shapes}, with its axes in the order {axes} is the "
                f"numerical gradient in {trial.count()}"
            )
    if mine.size == numeric.size and same(mine.reshape(numeric.shape)):
        return "axes of length 1", (
            f"yours has {shapes} in the place of {numeric.shape}, the numbers in it "
            f"are right in {trial.count()}"
        )
    for count in range(1, mine.ndim + 1):
        for over in itertools.combinations(range(mine.ndim), count):
            total, mean = mine.sum(over), mine.mean(over)
            for reduced, word in ((total, "sum"), (mean, "mean")):
                if reduced.size == numeric.size and same(
                    reduced.reshape(numeric.shape)
                ):
                    return "summed over too few axes", (
                        f"the {word} of yours, of {shapes}, over axes {over} is the "
                        f"numerical gradient in {trial.count()}"
                    )
    for count in range(1, numeric.ndim + 1):
        for over in itertools.combinations(range(numeric.ndim), count):
            for reduced, word in (
                (numeric.sum(over), "sum"),
                (numeric.mean(over), "mean"),
            ):
                if reduced.size == mine.size and same(
                    mine.reshape(reduced.shape), reduced
                ):
                    return "summed over too many axes", (
                        f"yours, of {shapes}, is the {word} of the numerical gradient "
                        f"over axes {over}"
                    )
    sums = _sums_of_upstream(trial)
    right_axes = [
        axes
        for axes, total in sums.items()
        if same(total.reshape(-1), numeric.reshape(-1))
    ]
    for axes, total in sums.items():
        if right_axes and same(mine, total):
            return "summed over the wrong axes", (
                f"yours, of {shapes}, is the sum of the upstream gradient over axes "
                f"{axes}, right is {right_axes[0]}"
            )
    return _cut(mine, numeric)


def _sums_of_upstream(trial: Trial) -> dict[tuple[int, ...], np.ndarray]:
    """Return the sums of the upstream gradient over all choices of its axes."""
    g = trial.grad_output
    return {
        axes: g.sum(axes)
        for count in range(1, g.ndim + 1)
        for axes in itertools.combinations(range(g.ndim), count)
    }


def _cut(mine: np.ndarray, numeric: np.ndarray) -> Found | None:
    """Find the numerical gradient in the middle of a larger one."""
    if mine.ndim != numeric.ndim or np.isnan(numeric).any():
        return None
    more = np.array(mine.shape) - numeric.shape
    if (more < 0).any() or (more % 2).any() or not more.any():
        return None
    inner = mine[
        tuple(
            slice(k // 2, k // 2 + n) for k, n in zip(more, numeric.shape, strict=True)
        )
    ]
    if np.abs(inner - numeric).max() > 1e-6 * np.abs(numeric).max():
        return None
    return "padding cut off wrongly", (
        f"yours has shape {mine.shape}: with {tuple(int(k) for k in more // 2)} cut "
        f"off at both ends of the axes it is right in all {numeric.size} elements"
    )
