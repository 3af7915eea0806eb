"""What a ratio of two gradients may mean: a batch size, a number of pixels, 1 - p."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from odyssey.diagnosis.trial import Trial


def near(a: float, b: float) -> bool:
    """Say whether two ratios are the same."""
    return abs(a - b) <= 1e-6 * abs(b)


def ratio(trial: Trial, guess: np.ndarray) -> float | None:
    """Return the one factor between ``guess`` and yours, None if there is none."""
    known = np.isfinite(guess)
    if trial.kinks is not None:
        known &= ~trial.kinks
    size = float(np.sum(guess[known] ** 2))
    if not size:
        return None
    factor = float(np.sum(trial.yours[known] * guess[known])) / size
    return factor if factor and trial.explains(factor * guess) else None


def counts(trial: Trial) -> Iterator[tuple[int, str]]:
    """Yield the numbers over which a mean may be taken, with words for each."""
    arrays = [(f"input {i}", x) for i, x in enumerate(trial.inputs)]
    for name, x in [*arrays, ("the result", trial.out)]:
        if not isinstance(x, np.ndarray) or not x.ndim:
            continue
        if name == "input 0":
            yield x.shape[0], "the size of the batch, the first axis of input 0"
        if x.ndim == 4 and name in ("input 0", "the result"):
            N, _, H, W = x.shape
            yield H * W, f"the number of pixels of an image of {name}"
            yield N * H * W, f"the number of pixels in a channel of {name}"
        if x.ndim > 1:
            yield x.size, f"the number of elements of {name}"
    if trial.keeps:
        shares = trial.changes[np.abs(trial.changes) > 1e-9]
        if shares.size and near(float(shares.min()), float(shares.max())):
            count = round(1 / shares[0]) if shares[0] > 1e-6 else 0
            if count > 1 and near(1 / count, float(shares[0])):
                yield count, "the number of elements of which a result is the mean"


def others(trial: Trial) -> Iterator[tuple[float, str]]:
    """Yield numbers that may be a factor, but are no counts of a mean."""
    yield 2.0, "2"
    yield 0.5, "1/2"
    if trial.scalar:
        value = float(trial.out)
        yield from ((value, "the result"), (1 / (value or np.nan), "1 / the result"))
    for i, value in enumerate(trial.inputs):
        if _is_number(value) and value not in (0, 1):
            p = float(value)
            name = f"input {i}, {p:g}"
            yield from ((p, name), (1 / p, f"1 / ({name})"))
            yield from ((1 - p, f"1 - ({name})"), (1 / (1 - p), f"1 / (1 - ({name}))"))
        if isinstance(value, np.ndarray):
            for axis, n in enumerate(value.shape):
                if n > 1:
                    yield float(n), f"the size of axis {axis} of input {i}"
                    yield 1 / n, f"1 / (the size of axis {axis} of input {i})"
    scale = mask_scale(trial)
    if scale:
        yield 1 / scale, "1 - p of dropout: its mask holds 1 / (1 - p)"
        yield scale, "1 / (1 - p) of dropout, once more"


def mask_scale(trial: Trial) -> float | None:
    """Return the scale of a mask, if the forward multiplies by one of 0 and a number.

    That is 1 / (1 - p) for dropout.
    """
    if trial.out.shape != trial.x.shape or not trial.keeps:
        return None
    if trial.chosen.size < trial.x.size:
        return None
    slopes = trial.changes.diagonal()
    if not np.allclose(trial.changes, np.diag(slopes), atol=1e-8):
        return None
    kept = np.abs(slopes) > 1e-6
    if kept.all() or not kept.any():
        return None
    scale = float(slopes[kept].mean())
    alike = np.allclose(slopes[kept], scale, rtol=1e-6)
    return scale if alike and scale > 1 + 1e-6 else None


def meaning(trial: Trial, factor: float) -> tuple[str, str] | None:
    """Return the name of the fault behind a factor, and what the factor may be."""
    if near(factor, -1):
        return "wrong sign", ""
    size = abs(factor)
    all_counts = [(n, words) for n, words in counts(trial) if n > 2]
    means: list[tuple[float, str, str]] = [
        (float(n), "sum instead of mean", words) for n, words in all_counts
    ]
    means += [(1 / n, "mean instead of sum", f"1 / {words}") for n, words in all_counts]
    fitting = [(name, words) for n, name, words in means if near(size, n)]
    plain = [words for n, words in others(trial) if near(size, n)]
    if fitting and not any(words in ("2", "1/2") for words in plain):
        names = [words for _, words in fitting]
        return fitting[0][0], _either(names)
    if plain or fitting:
        also = [words for _, words in counts_words(trial, size)]
        return "wrong factor", _either([*plain, *also])
    return None


def counts_words(trial: Trial, size: float) -> list[tuple[float, str]]:
    """Return the counts that are ``size``, or 1 / size, with words."""
    pairs = itertools.chain.from_iterable(
        ((float(n), words), (1 / n, f"1 / {words}")) for n, words in counts(trial)
    )
    return [(n, words) for n, words in pairs if near(size, n)]


def _either(words: list[str]) -> str:
    return ", or ".join(dict.fromkeys(words))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
