"""Backwards of functions of each element as they go wrong: gelu, relu."""

from __future__ import annotations

import numpy as np

from odyssey import reference
from odyssey.diagnosis.faults import Guess, Guesses
from odyssey.diagnosis.trial import Trial
from odyssey.reference.gelu import erfc


def guesses(trial: Trial) -> Guesses:
    """Guess wrong gradients of gelu in both of its forms."""
    x, g = trial.x, trial.grad_output
    if trial.out.shape != x.shape:
        return
    for form, other in (("none", "tanh"), ("tanh", "none")):
        right = reference.gelu_backward(g, x, form)
        if trial.agreeing(right, trial.numeric)[trial.measured].all():
            yield from _of_gelu(g, x, form, other)
            return


def _of_gelu(g: np.ndarray, x: np.ndarray, form: str, other: str) -> Guesses:
    share, slope = _share(x, form)
    product = "path of the product left out"
    yield Guess(product, "with the first term alone: share", g * share)
    yield Guess(product, "with the second term alone: x * share'", g * x * slope)
    words = "without the factor x of the second term: share + share'"
    yield Guess("factor left out", words, g * (share + slope))
    words = f"for the form approximate='{other}', not '{form}'"
    yield Guess(
        "other form of the function", words, reference.gelu_backward(g, x, other)
    )
    words = "for x * sigmoid(1.702 * x)"
    s = 1 / (1 + np.exp(-1.702 * x))
    grad = g * (s + 1.702 * x * s * (1 - s))
    yield Guess("other form of the function", words, grad)
    words = "with a minus between the terms: share - x * share'"
    yield Guess("wrong sign", words, g * (share - x * slope))
    words = "with the result in the place of x"
    out = x * share
    yield Guess(
        "gradient at the updated value", words, reference.gelu_backward(g, out, form)
    )
    left_out = "factor left out"
    if form == "tanh":
        c, cubic = np.sqrt(2 / np.pi), 0.044715
        inner = c * (1 + 3 * cubic * x**2)
        tanh = 2 * share - 1
        chain = {
            "the inner derivative left out": (1 - tanh**2) / 2,
            "the inner derivative sqrt(2 / pi) alone": (1 - tanh**2) / 2 * c,
            "the 3 of the inner derivative left out": (
                (1 - tanh**2) / 2 * c * (1 + cubic * x**2)
            ),
            "the 1 / 2 of the second term left out": 2 * slope,
            "1 / cosh in the place of its square, 1 - tanh^2": (
                np.sqrt(1 - tanh**2) / 2 * inner
            ),
            "1 - tanh in the place of 1 - tanh^2": (1 - tanh) / 2 * inner,
            "the sqrt(2 / pi) of the inner derivative left out": slope / c,
        }
    else:
        density = np.exp(-(x**2) / 2)
        chain = {
            "1 / sqrt(2 pi) of the density left out": density,
            "exp(-x^2) in the place of exp(-x^2 / 2)": (
                np.exp(-(x**2)) / np.sqrt(2 * np.pi)
            ),
            "1 / sqrt(pi) in the place of 1 / sqrt(2 pi)": density / np.sqrt(np.pi),
            "2 / sqrt(pi) in the place of 1 / sqrt(2 pi)": 2 * density / np.sqrt(np.pi),
            "the 1 / 2 of erf's share left out": 2 * slope,
            "1 / (2 pi) in the place of its root": density / (2 * np.pi),
            "exp(x^2 / 2) in the place of exp(-x^2 / 2)": (
                np.exp(x**2 / 2) / np.sqrt(2 * np.pi)
            ),
        }
        for words, z in {
            "x in the place of x / sqrt(2) within erfc": x,
            "x / 2 in the place of x / sqrt(2) within erfc": x / 2,
            "the sign of x within erfc turned round": -x / np.sqrt(2),
        }.items():
            grad = g * (erfc(-z) / 2 + x * slope)
            yield Guess(left_out, f"with {words}", grad)
    for words, wrong in chain.items():
        yield Guess(left_out, f"with {words}", g * (share + x * wrong))
    words = "with share' in the place of share + x * share'"
    yield Guess(product, words, g * slope)


def _share(x: np.ndarray, form: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the factor of x in the forward, and its derivative."""
    if form == "tanh":
        tanh = np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))
        slope = (1 - tanh**2) * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x**2)
        return (1 + tanh) / 2, slope / 2
    share = erfc(-x / np.sqrt(2)) / 2
    return share, np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
