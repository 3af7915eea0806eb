"""What a diagnosis has in hand: both gradients, and what may be measured again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from odyssey import central_differences as central

#: An input of at most so many elements is measured in whole, a larger one in samples.
WHOLE = 1024
SAMPLES = 128
#: Numbers in the changes of all results by all elements that are kept.
KEPT = 2**22
#: Results of which each is given its own upstream gradient, and no more.
ROWS = 512
#: A guess explains a gradient if all elements agree to this part of their size.
RTOL = 1e-6


@dataclass
class Trial:
    """One wrong gradient: the backward's ``yours`` for the input at ``position``.

    Arrays that are not measured in whole hold NaN where they were not.
    """

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    inputs: Sequence[Any]
    position: int
    yours: np.ndarray
    #: Gradients of all inputs as the backward gave them, by position.
    gradients: dict[int, Any]
    out: np.ndarray
    grad_output: np.ndarray
    eps: float
    atol: float
    #: Whether the forward gives a float: then the upstream gradient is one, too.
    scalar: bool
    #: Elements that are left out because the forward has no derivative there.
    kinks: np.ndarray | None = None

    @property
    def x(self) -> np.ndarray:
        """The input whose gradient is wrong."""
        x: np.ndarray = self.inputs[self.position]
        return x

    @cached_property
    def chosen(self) -> np.ndarray:
        """The flat indices of the elements that are measured."""
        if self.x.size <= WHOLE:
            return np.arange(self.x.size)
        rng = np.random.default_rng(0)
        return np.sort(rng.choice(self.x.size, SAMPLES, replace=False))

    @cached_property
    def changes(self) -> np.ndarray:
        """The derivative of each result by each chosen element, (chosen, results)."""
        return self.measure(self.inputs)

    def measure(self, inputs: Sequence[Any]) -> np.ndarray:
        """Measure the changes at other inputs; where these are many, times upstream.

        The result is (chosen, results), or (chosen, 1) if that would be large.
        """
        rows = np.empty((self.chosen.size, self.out.size if self.keeps else 1))
        for row, element in zip(rows, self.chosen, strict=True):
            step = np.zeros(self.x.shape)
            step[np.unravel_index(element, step.shape)] = self.eps
            change, moved = central.change(self.forward, inputs, self.position, step)
            change = change if self.keeps else np.sum(change * self.grad_output)
            row[:] = np.ravel(change) / moved.sum()
        return rows

    @cached_property
    def numeric(self) -> np.ndarray:
        """The numerical gradient."""
        return self.gradient_of(self.changes)

    def gradient_of(self, changes: np.ndarray, upstream: Any = None) -> np.ndarray:
        """Return the gradient, NaN where not measured, for an upstream gradient."""
        upstream = self.grad_output if upstream is None else upstream
        vector = np.broadcast_to(upstream, self.out.shape).reshape(-1)
        gradient = np.full(self.x.size, np.nan)
        gradient[self.chosen] = changes @ (vector if self.keeps else np.ones(1))
        return gradient.reshape(self.x.shape)

    @property
    def keeps(self) -> bool:
        """Whether the changes of each result are kept."""
        return self.chosen.size * self.out.size <= KEPT

    @property
    def measured(self) -> np.ndarray:
        """Which elements are measured."""
        measured = ~np.isnan(self.numeric)
        return measured if self.kinks is None else measured & ~self.kinks

    @property
    def wrong(self) -> np.ndarray:
        """Which of the measured elements are wrong."""
        return self.measured & ~self.agreeing(self.yours, self.numeric)

    def agreeing(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Say of each element whether ``a`` agrees with the measured ``b``."""
        known = b[np.isfinite(b)]
        typical = float(np.sqrt(np.mean(known**2))) if known.size else 0.0
        with np.errstate(all="ignore"):
            rounding = float(np.linalg.norm(self.grad_output * self.out)) / self.eps
            rounding *= 100 * float(np.finfo(np.float64).eps)
            floor = min(self.atol, max(1e-6 * typical, rounding))
            scale = np.maximum(np.maximum(np.abs(a), np.abs(b)), 0.01 * typical)
            result: np.ndarray = np.abs(a - b) <= floor + RTOL * scale
        return result

    def explains(self, guess: np.ndarray, yours: np.ndarray | None = None) -> bool:
        """Say whether a guessed gradient is yours, in all elements that are known.

        A guess that is all zero, or that is the right gradient, explains nothing.
        """
        yours = self.yours if yours is None else yours
        if np.shape(guess) != self.x.shape:
            return False
        known = np.isfinite(guess)
        if self.kinks is not None:
            known &= ~self.kinks
        return bool(
            2 * np.count_nonzero(known) > self.chosen.size
            and np.any(guess[known] != 0)
            and self.agreeing(yours, guess)[known].all()
        )

    def call_backward(self, grad_output: np.ndarray, *inputs: Any) -> Any:
        """Return the backward's gradient of this input for an upstream gradient."""
        upstream = float(grad_output) if self.scalar else np.array(grad_output)
        grads = central.call_on_copies(
            "backward", self.backward, [upstream, *(inputs or self.inputs)]
        )
        if not isinstance(grads, (tuple, list)):
            return np.array(grads)
        return np.array(grads[self.position])

    @cached_property
    def rows(self) -> np.ndarray | None:
        """Your gradient for each result alone, (inputs, results), or None.

        None if there are too many results, or if the gradient is not linear in the
        upstream gradient.
        """
        if self.scalar or self.out.size > ROWS or not self.keeps:
            return None
        rows = np.empty((self.x.size, self.out.size))
        for index in range(self.out.size):
            unit = np.zeros(self.out.shape)
            unit[np.unravel_index(index, unit.shape)] = 1.0
            rows[:, index] = self.call_backward(unit).reshape(-1)
        combined = (rows @ self.grad_output.reshape(-1)).reshape(self.x.shape)
        return rows if self.agreeing(combined, self.yours).all() else None

    def count(self, elements: int | None = None) -> str:
        """Say "all 96 elements", or how many of how many were sampled."""
        number = int(np.count_nonzero(self.measured))
        more = ""
        if self.chosen.size < self.x.size:
            more = f" sampled of {self.x.size}"
        elif self.kinks is not None:
            more = " smooth"
        if elements is not None:
            return f"{elements} of {number}{more} elements"
        return (
            "the only element" if self.x.size == 1 else f"all {number}{more} elements"
        )
