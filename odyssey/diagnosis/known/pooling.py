"""Backwards of pooling as they go wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from odyssey import reference
from odyssey.diagnosis.faults import Guess, Guesses
from odyssey.diagnosis.trial import Trial

#: In small images several sizes of windows have the same maxima: so many are tried.
MOST = 4


class Windows(NamedTuple):
    """The size, stride and padding of the windows."""

    size: int
    stride: int
    padding: int


def guesses(trial: Trial) -> Guesses:
    """Guess wrong gradients of max pooling, or of average pooling."""
    x, g = trial.x, trial.grad_output
    if trial.position != 0 or x.ndim != 4 or trial.out.shape[:2] != x.shape[:2]:
        return
    recognised = 0
    for windows in options(x, trial.out):
        for backward, wrong in (
            (reference.maxpool2d_backward, _of_maximum),
            (reference.avgpool2d_backward, _of_mean),
        ):
            right = backward(g, x, *windows)
            if trial.agreeing(right, trial.numeric)[trial.measured].all():
                yield from wrong(g, x, windows)
                yield from _elsewhere(g, x, windows, backward)
                recognised += 1
                if recognised == MOST:
                    return


def options(x: np.ndarray, out: np.ndarray) -> Iterator[Windows]:
    """Yield the windows that fit the shapes."""
    for size in range(1, max(x.shape[2:]) + 1):
        for padding in range(size // 2 + 1):
            for stride in range(1, max(x.shape[2:]) + 1):
                lengths = [(n + 2 * padding - size) // stride + 1 for n in x.shape[2:]]
                if out.shape[2:] == tuple(lengths):
                    yield Windows(size, stride, padding)


def _each(
    x: np.ndarray, out: np.ndarray, windows: Windows
) -> Iterator[tuple[int, int, slice, slice]]:
    """Yield each place of the result with its rows and columns of x."""
    size, stride, padding = windows
    for p, q in np.ndindex(out.shape[2:]):
        top, left = p * stride - padding, q * stride - padding
        rows, cols = (slice(max(at, 0), max(at + size, 0)) for at in (top, left))
        yield p, q, rows, cols


def _elsewhere(
    g: np.ndarray,
    x: np.ndarray,
    windows: Windows,
    backward: Callable[..., np.ndarray],
) -> Guesses:
    """Guess the gradient for windows in other places."""
    size, stride, padding = windows
    (H, W), low = x.shape[2:], float(x.min()) - 1

    def moved(step: int, start: int) -> np.ndarray:
        """Return the gradient for other steps, the first of which begins at start."""
        lengths = [(n - 1) * step + size for n in g.shape[2:]]
        after = [max(n + start - k, 0) for n, k in zip(lengths, (H, W), strict=True)]
        width = [(0, 0), (0, 0), (-min(start, 0), after[0]), (-min(start, 0), after[1])]
        wide = np.pad(x, width, constant_values=low)[
            :, :, max(start, 0) :, max(start, 0) :
        ]
        grad = backward(g, wide[:, :, : lengths[0], : lengths[1]], size, step)
        whole = np.zeros((*x.shape[:2], H + 2 * sum(lengths), W + 2 * sum(lengths)))
        at = max(start, 0)
        whole[:, :, at : at + lengths[0], at : at + lengths[1]] = grad
        skip = -min(start, 0)
        return whole[:, :, skip : skip + H, skip : skip + W]

    for other in dict.fromkeys((size, 1)):
        if other != stride:
            words = f"for a stride of {other} in the place of {stride}"
            yield Guess("stride left out", words, moved(other, -padding))
    if padding:
        words = "as it is if the first window begins at the first pixel"
        yield Guess("padding cut off wrongly", words, moved(stride, 0))


def _of_maximum(g: np.ndarray, x: np.ndarray, windows: Windows) -> Guesses:
    def to(
        where: Callable[[np.ndarray], np.ndarray], *, add: bool = True
    ) -> np.ndarray:
        grad = np.zeros(x.shape)
        for p, q, rows, cols in _each(x, g, windows):
            for n, c in np.ndindex(x.shape[:2]):
                share = where(x[n, c, rows, cols])
                before = grad[n, c, rows, cols] * (1 if add else share == 0)
                grad[n, c, rows, cols] = before + share * g[n, c, p, q]
        return grad

    def one(window: np.ndarray, flat: int) -> np.ndarray:
        share = np.zeros(window.shape)
        share.flat[flat] = 1
        return share

    def minimum(window: np.ndarray) -> np.ndarray:
        return one(window, int(window.argmin()))

    def transposed(window: np.ndarray) -> np.ndarray:
        row, column = divmod(int(window.argmax()), window.shape[1])
        share = np.zeros(window.shape)
        share[min(column, len(window) - 1), min(row, window.shape[1] - 1)] = 1
        return share

    def maxima(window: np.ndarray) -> np.ndarray:
        return (window == window.max()).astype(float)

    words = "as it is if a later window overwrites what an earlier one gave a pixel"
    yield Guess("overwritten instead of added", words, to(maxima, add=False))
    words = "as it is if a later window sets all of its pixels anew"
    grad = np.zeros(x.shape)
    for p, q, rows, cols in _each(x, g, windows):
        for n, c in np.ndindex(x.shape[:2]):
            grad[n, c, rows, cols] = maxima(x[n, c, rows, cols]) * g[n, c, p, q]
    yield Guess("overwritten instead of added", words, grad)
    words = "as it is if the row and column of the maximum are exchanged"
    yield Guess("wrong element of the window", words, to(transposed))

    def absolute(window: np.ndarray) -> np.ndarray:
        return one(window, int(np.abs(window).argmax()))

    words = "as it is if the largest absolute value of each window gets it"
    yield Guess("wrong element of the window", words, to(absolute))
    words = "as it is if the minimum of each window gets it"
    yield Guess("wrong element of the window", words, to(minimum))
    for flat, word in ((0, "first"), (-1, "last")):
        words = f"as it is if the {word} element of each window gets it"
        yield Guess("wrong element of the window", words, to(partial(one, flat=flat)))
    shares: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "as it is if each element gets all of it": np.ones_like,
        "as it is if all elements get an equal share": (
            lambda window: np.full(window.shape, 1 / window.size)
        ),
        "for the mean of each window": (
            lambda window: np.full(window.shape, 1 / windows.size**2)
        ),
        "as it is if each element gets a share as large as it is": (
            lambda window: window / window.sum()
        ),
    }
    for axis, word in ((1, "row"), (0, "column")):
        shares[f"as it is if the maximum of each {word} of a window gets it"] = partial(
            _lines, axis=axis
        )
    for words, share in shares.items():
        yield Guess("every element of the window", words, to(share))
    grad = np.zeros(x.shape)
    for p, q, rows, cols in _each(x, g, windows):
        grad[:, :, rows, cols] += (x[:, :, rows, cols] > 0) * g[:, :, p, q][
            :, :, None, None
        ]
    words = "as it is if each positive element gets all of it"
    yield Guess("every element of the window", words, grad)
    grad = np.zeros(x.shape)
    for n, c, p, q in np.ndindex(g.shape):
        rows, cols = next(
            (rows, cols)
            for a, b, rows, cols in _each(x, g, windows)
            if (a, b) == (p, q)
        )
        window = x[n, c, rows, cols]
        row, column = np.unravel_index(window.argmax(), window.shape)
        grad[n, c, row, column] += g[n, c, p, q]
    words = "as it is if the place in the window is taken for the place in the image"
    yield Guess("wrong element of the window", words, grad)


def _lines(window: np.ndarray, axis: int) -> np.ndarray:
    """Return 1 at the maximum of each row or column of a window."""
    share: np.ndarray = window == window.max(axis=axis, keepdims=True)
    return share.astype(float)


def _of_mean(g: np.ndarray, x: np.ndarray, windows: Windows) -> Guesses:
    overwritten, pixels = np.zeros(x.shape), np.zeros(x.shape)
    for p, q, rows, cols in _each(x, g, windows):
        share = g[:, :, p, q][:, :, None, None]
        overwritten[:, :, rows, cols] = share / windows.size**2
        count = x[0, 0, rows, cols].size
        pixels[:, :, rows, cols] += share / count
    words = "as it is if a later window overwrites what an earlier one gave a pixel"
    yield Guess("overwritten instead of added", words, overwritten)
    words = "as it is if each window is divided by its pixels that are not padding"
    yield Guess("divided by the pixels in the image", words, pixels)
