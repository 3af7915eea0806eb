"""Types of option values that click does not have; none needs Numba."""

import math
import re
from typing import Any

import click
import numpy as np

#: The largest number of float32, in which models are trained.
MAX_NUMBER = float(np.finfo(np.float32).max)


class FiniteFloat(click.FloatRange):
    """A number within a range, finite also as float32; click lets NaN through."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return ``value`` as a float, or fail naming the option."""
        number = super().convert(value, param, ctx)
        if not abs(number) <= MAX_NUMBER:  # true for NaN too
            of = " of float32" if math.isfinite(number) else ""
            self.fail(f"{value} is not a finite number{of}.", param, ctx)
        return number


class WholeNumber(click.IntRange):
    """A whole number within a range."""

    name = "whole number"  # click's errors call it "integer range"

    def _describe_range(self) -> str:
        return re.sub(r"\d{10,}", _as_power, super()._describe_range())


def _as_power(digits: re.Match) -> str:
    """Return a limit as a power of two if it is one, which is easier to read."""
    number = int(digits[0])
    for limit, text in ((number, ""), (number + 1, "-1")):
        if limit & (limit - 1) == 0:
            return f"2**{limit.bit_length() - 1}{text}"
    return digits[0]


class Channels(click.ParamType):
    """A number for each channel of an image, separated by commas."""

    name = "X,X,..."

    def __init__(self, **limits: Any) -> None:
        self.number = FiniteFloat(**limits)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Return ``value`` as a tuple of numbers, or fail naming the option."""
        if isinstance(value, tuple):
            return value
        return tuple(
            self.number.convert(part.strip(), param, ctx) for part in value.split(",")
        )


class Milestones(click.ParamType):
    """Increasing whole numbers from 1, separated by commas."""

    name = "N,N,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return ``value`` as a tuple of integers, or fail naming the option."""
        if isinstance(value, tuple):
            return value
        if not value.strip():
            self.fail("needs at least one number of epochs.", param, ctx)
        numbers = WholeNumber(min=1)
        parts = tuple(numbers.convert(part, param, ctx) for part in value.split(","))
        if list(parts) != sorted(set(parts)):
            self.fail(f"{value} is not in increasing order.", param, ctx)
        return parts
