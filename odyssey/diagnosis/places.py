"""Gradients that are wrong in some elements only: borders, phases, last windows, kinks.

Each of these is named only if the wrong elements are exactly those of the set.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from odyssey import central_differences as central
from odyssey.diagnosis.faults import Found
from odyssey.diagnosis.trial import Trial

#: So many wrong elements are looked at from both sides.
MOST_KINKS = 256
#: Fewer wrong elements lie by chance where they could be a border or a phase.
FEWEST = 4


def at_kinks(trial: Trial) -> np.ndarray:
    """Say of the wrong elements which lie where the forward has no derivative.

    There its slope to one side is another than to the other side.
    """
    kinks = np.zeros(trial.x.shape, bool)
    typical = float(np.sqrt(np.nanmean(trial.numeric**2)))
    for index in np.argwhere(trial.wrong)[:MOST_KINKS]:
        step = np.zeros(trial.x.shape)
        step[tuple(index)] = trial.eps
        above, below = (
            float(np.sum(half * trial.grad_output)) / trial.eps
            for half in _halves(trial, step)
        )
        kinks[tuple(index)] = abs(above - below) > 1e-3 * max(typical, abs(above))
    return kinks


def kink(trial: Trial) -> Found | None:
    """Find that all wrong elements lie where the forward has no derivative.

    If only some do, these are left out from now on.
    """
    kinks, wrong = at_kinks(trial), np.argwhere(trial.wrong)
    if kinks.any() and len(wrong) > np.count_nonzero(kinks):
        trial.kinks = kinks
        return None
    if not kinks.any():
        return None
    evidence = (
        f"all {len(wrong)} elements that differ lie at a kink: the forward's slope is "
        "another on each side of them, as for equal elements of a maximum and for "
        "relu at 0"
    )
    # Equal elements that move together meet no kink: there yours has to be right.
    together = np.where(trial.wrong, trial.eps, 0.0)
    up, down = _halves(trial, together)
    smooth = np.allclose(up, down, rtol=1e-3, atol=1e-3 * trial.eps)
    if not smooth:
        return "kink", f"{evidence}; take inputs some eps away from there"
    typical = float(np.sqrt(np.nanmean(trial.numeric**2)))
    measured = float(np.sum((up + down) * trial.grad_output)) / (2 * trial.eps)
    mine = float(np.sum(trial.yours[trial.wrong]))
    if abs(measured - mine) <= 1e-6 * max(abs(measured), typical):
        return "kink", (
            f"{evidence}; moved together they have a slope, {measured:.6g}, and yours "
            "sum to it: take other inputs"
        )
    return "ties", (
        f"{evidence}; moved together they have a slope, {measured:.6g}, and yours sum "
        f"to {mine:.6g}"
    )


def _halves(trial: Trial, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return f(x + step) - f(x), and f(x) - f(x - step)."""
    results = []
    for sign in (1, -1):
        moved = np.array(trial.x)
        moved += sign * step
        inputs = [*trial.inputs[: trial.position], moved]
        inputs += trial.inputs[trial.position + 1 :]
        there = central.as_float64(trial.forward(*inputs))
        results.append(sign * (there - trial.out))
    return results[0], results[1]


def overwritten(trial: Trial) -> Found | None:
    """Find that of the results which an element changes only one counts."""
    rows = trial.rows
    if rows is None or trial.chosen.size < trial.x.size:
        return None
    changes, size = trial.changes, float(np.abs(trial.changes).max())
    there, mine = np.abs(changes) > 1e-6 * size, np.abs(rows) > 1e-6 * size
    several = there.sum(axis=1) > 1
    if several.sum() < 2 or (mine & ~there).any():
        return None
    right = np.abs(rows - changes)[mine].max(initial=0.0) <= 1e-6 * size
    one = mine.sum(axis=1) == np.minimum(there.sum(axis=1), 1)
    if not (right and one.all()):
        return None
    return "overwritten instead of added", (
        f"{np.count_nonzero(several)} of {several.size} elements change several "
        "results, and yours has the gradient of just one of them, in all of these"
    )


def where(trial: Trial) -> Found | None:
    """Find a border, phase or last window that has all wrong elements and no other."""
    if trial.chosen.size < trial.x.size:
        return None
    found = _by_inputs(trial)
    return found or _by_results(trial)


def _by_inputs(trial: Trial) -> Found | None:
    shape, wrong = trial.x.shape, trial.wrong
    free = np.zeros(shape, bool)  # no result depends on these elements
    if trial.keeps:
        free = (~trial.changes.any(axis=1)).reshape(shape) & ~wrong
    if not (~wrong & ~free).any():
        return None  # nothing is right but what nothing depends on
    named = name_of_set(wrong, free) or name_of_set(wrong, np.zeros(shape, bool))
    if named is None:
        return None
    name, words = named
    count = int(np.count_nonzero(wrong))
    but = ", but for those on which no result depends" if free.any() else ""
    return name, (
        f"the {count} wrong elements are exactly {words}{but}, the other "
        f"{wrong.size - count} of shape {shape} are right{_within(trial)}"
    )


def _by_results(trial: Trial) -> Found | None:
    """Look for the results whose gradients are wrong, with each of them alone."""
    if trial.rows is None:
        return None
    size = float(np.abs(trial.changes).max())
    bad = np.abs(trial.rows - trial.changes).max(axis=0) > 1e-6 * size
    if bad.all() or trial.rows[:, bad].any():
        return None  # only what is left out is said of results
    named = name_of_set(bad.reshape(trial.out.shape), np.zeros(trial.out.shape, bool))
    if named is None:
        return None
    name, words = named
    return name, (
        f"the gradients of {np.count_nonzero(bad)} results are left out, which are "
        f"exactly {words} of the result, those of the other "
        f"{np.count_nonzero(~bad)} are right"
    )


def name_of_set(wrong: np.ndarray, free: np.ndarray) -> tuple[str, str] | None:
    """Return the name and words of a set of elements: a border, a phase, a tail.

    The elements that are ``free`` may be in the set or not.
    """
    if wrong.all() or np.count_nonzero(wrong) < FEWEST:
        return None
    if wrong.ndim == 4:
        plane: np.ndarray = np.any(wrong, axis=(0, 1))
        same = np.broadcast_to(plane, wrong.shape) == wrong
        if (same | free).all():
            for name, words, pixels in _in_plane(plane, np.all(free, axis=(0, 1))):
                most = np.broadcast_to(pixels, wrong.shape)
                if 2 * np.count_nonzero(wrong) >= np.count_nonzero(most):
                    return name, words
    for axis in range(max(2, wrong.ndim - 2), wrong.ndim):  # of pixels, or of time
        others = tuple(k for k in range(wrong.ndim) if k != axis)
        line: np.ndarray = np.any(wrong, axis=others)
        spread = np.expand_dims(line, others)
        same = np.broadcast_to(spread, wrong.shape) == wrong
        if (same | free).all() and (~spread & ~free).any():
            return _on_line(line, axis)
    return None


def _on_line(line: np.ndarray, axis: int) -> tuple[str, str] | None:
    places = np.flatnonzero(line)
    if 2 * len(places) > len(line):
        return None
    if len(places) < len(line) and places[0] > 0 and line[places[0] :].all():
        words = f"the last {len(places)} along axis {axis}"
        return "wrong in the last window", words
    if line[: len(places)].all():
        return "wrong at the border", f"the first {len(places)} along axis {axis}"
    return None


def _in_plane(
    plane: np.ndarray, free: np.ndarray
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield names, words and pixels of sets that have all of the wrong pixels."""
    H, W = plane.shape
    right = np.argwhere(~plane & ~free)
    if not len(right):
        return
    (top, left), (bottom, last) = right.min(axis=0), right.max(axis=0) + 1
    inside = np.zeros((H, W), bool)
    inside[top:bottom, left:last] = True
    sides = {
        "first rows": int(top),
        "last rows": int(H - bottom),
        "first columns": int(left),
        "last columns": int(W - last),
    }
    thin = 2 * max(top, H - bottom) <= H and 2 * max(left, W - last) <= W
    if thin and not inside.all() and ((plane != inside) | free).all():
        words = ", ".join(f"{n} {side}" for side, n in sides.items() if n)
        tail = not top and not left
        name = "wrong in the last window" if tail else "wrong at the border"
        yield name, f"the {words}", ~inside
    for stride in (2, 3, 4):
        if min(H, W) <= stride:
            continue
        phases = [
            (a, b)
            for a in range(stride)
            for b in range(stride)
            if plane[a::stride, b::stride].any()
        ]
        rows, columns = {a for a, _ in phases}, {b for _, b in phases}
        if len(phases) != len(rows) * len(columns) and len(phases) < stride**2 - 1:
            continue  # neither some of rows and columns nor all but one
        same = np.zeros((H, W), bool)
        for a, b in phases:
            same[a::stride, b::stride] = True
        if ((plane == same) | free).all() and (~same & ~free).any():
            listed = ", ".join(f"({a}, {b})" for a, b in phases[:4])
            words = f"the pixels whose row and column leave {listed}"
            words += f" when divided by {stride}"
            yield "wrong at a phase of the stride", words, same


def _within(trial: Trial) -> str:
    """Say what is common to the wrong elements, if anything is."""
    wrong = trial.wrong
    mine, numeric = trial.yours[wrong], trial.numeric[wrong]
    if not mine.any():
        return "; there yours is 0"
    if not numeric.any():
        return "; there the numerical gradient is 0"
    with np.errstate(all="ignore"):
        ratios = mine / numeric
    if np.all(np.abs(ratios - ratios[0]) <= 1e-5 * abs(ratios[0])):
        return f"; there the ratio is {ratios[0]:.4g}"
    return ""
