"""Backwards of a convolution as they go wrong."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from odyssey import reference
from odyssey.diagnosis.faults import Guess, Guesses
from odyssey.diagnosis.trial import Trial


def guesses(trial: Trial) -> Guesses:
    """Guess wrong gradients of the input and of the kernel."""
    x, kernel = trial.inputs[:2]
    if trial.position > 1 or x.ndim != 4 or kernel.ndim != 4:
        return
    for stride, padding in options(x, kernel, trial.out):
        right = reference.conv2d_backward(
            trial.grad_output, x, kernel, stride, padding
        )[trial.position]
        if trial.agreeing(right, trial.numeric)[trial.measured].all():
            wrong = _of_input if trial.position == 0 else _of_kernel
            yield from wrong(trial.grad_output, x, kernel, stride, padding)
            return


def options(
    x: np.ndarray, kernel: np.ndarray, out: np.ndarray
) -> Iterator[tuple[int, int]]:
    """Yield the strides and paddings that fit the shapes."""
    (_, _, H, W), (_, _, R, S) = x.shape, kernel.shape
    for stride, padding in itertools.product(range(1, max(H, W) + 1), range(R + S)):
        P, Q = (H + 2 * padding - R) // stride + 1, (W + 2 * padding - S) // stride + 1
        if out.shape[2:] == (P, Q):
            yield stride, padding


def _of_input(
    g: np.ndarray, x: np.ndarray, kernel: np.ndarray, stride: int, padding: int
) -> Guesses:
    N, C, H, W = x.shape
    R, S = kernel.shape[2:]
    P, Q = g.shape[2:]
    padded = (N, C, H + 2 * padding, W + 2 * padding)
    inner = np.s_[:, :, padding : padding + H, padding : padding + W]

    def spread(down: int, right: int) -> np.ndarray:
        grad = np.zeros(padded)
        for r, s in np.ndindex(R, S):
            taps = np.s_[:, :, r : r + P * down : down, s : s + Q * right : right]
            grad[taps] += np.einsum("nkpq,kc->ncpq", g, kernel[:, :, r, s])
        return grad

    whole = spread(stride, stride)
    words = "as it is if what is cut off as padding lies"
    name = "padding cut off wrongly"
    if padding:
        yield Guess(name, f"{words} all at the end", whole[:, :, :H, :W])
        cut = whole[:, :, 2 * padding :, 2 * padding :]
        yield Guess(name, f"{words} all at the start", cut)
    for steps, words in _strides(stride):
        yield Guess("stride left out", words, spread(*steps)[inner])
    added = "overwritten instead of added"
    for order, name in ((np.ndindex(R, S), "tap"), (np.ndindex(P, Q), "window")):
        grad = np.zeros(padded)
        for a, b in order:
            if name == "tap":
                taps = np.s_[
                    :, :, a : a + P * stride : stride, b : b + Q * stride : stride
                ]
                grad[taps] = np.einsum("nkpq,kc->ncpq", g, kernel[:, :, a, b])
            else:
                window = np.s_[
                    :, :, a * stride : a * stride + R, b * stride : b * stride + S
                ]
                grad[window] = np.einsum("nk,kcrs->ncrs", g[:, :, a, b], kernel)
        words = f"as it is if each {name} overwrites what earlier ones gave a pixel"
        yield Guess(added, words, grad[inner])


def _strides(stride: int) -> Iterator[tuple[tuple[int, int], str]]:
    """Yield wrong steps down and to the right, with words for them."""
    if stride > 1:
        for steps, word in (
            ((1, 1), "rows and columns"),
            ((1, stride), "rows"),
            ((stride, 1), "columns"),
        ):
            yield steps, f"for a stride of 1, not {stride}, in {word}"


def _of_kernel(
    g: np.ndarray, x: np.ndarray, kernel: np.ndarray, stride: int, padding: int
) -> Guesses:
    R, S = kernel.shape[2:]
    P, Q = g.shape[2:]
    both = [(0, 0), (0, 0)]

    def gather(x_pad: np.ndarray, down: int, right: int) -> np.ndarray:
        grad = np.zeros(kernel.shape)
        for r, s in np.ndindex(R, S):
            taps = np.s_[:, :, r : r + P * down : down, s : s + Q * right : right]
            grad[:, :, r, s] = np.einsum("nkpq,ncpq->kc", g, x_pad[taps])
        return grad

    x_pad = np.pad(x, [*both, (padding, padding), (padding, padding)])
    for steps, words in _strides(stride):
        yield Guess("stride left out", words, gather(x_pad, *steps))
    if padding:
        name, words = (
            "padding cut off wrongly",
            "as it is if the padding of x lies all at",
        )
        end = np.pad(x, [*both, (0, 2 * padding), (0, 2 * padding)])
        yield Guess(name, f"{words} the end", gather(end, stride, stride))
        start = np.pad(x, [*both, (2 * padding, 0), (2 * padding, 0)])
        yield Guess(name, f"{words} the start", gather(start, stride, stride))
    for index, word in ((-1, "last"), (0, "first")):
        grad = np.zeros(kernel.shape)
        for r, s in np.ndindex(R, S):
            pixels = x_pad[:, :, r::stride, s::stride][:, :, :P, :Q]
            one = g[:, :, index, index], pixels[:, :, index, index]
            grad[:, :, r, s] = np.einsum("nk,nc->kc", *one)
        words = f"for the {word} window alone"
        yield Guess("overwritten instead of added", words, grad)
