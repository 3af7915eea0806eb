"""Mark functions as layers and say which argument holds the layer's name, for profiles.

A layer is called under names that its caller chooses, ``s1b1_conv1``.  `named` notes
beside a function which of its arguments says so; the function itself stays as it is.
"""

from collections.abc import Callable
from types import CodeType
from typing import Any, NamedTuple, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class Naming(NamedTuple):
    """How calls of a function are named, and which part of a step they are."""

    argument: str  # holds the name, or a cache that does
    phase: str  # "forward" or "backward"


#: By the code of the function, which stays the same wherever it is imported.
NAMINGS: dict[CodeType, Naming] = {}


def named(argument: str, phase: str = "forward") -> Callable[[F], F]:
    """Note that a function does the layer that its ``argument`` names."""

    def note(function: F) -> F:
        NAMINGS[function.__code__] = Naming(argument, phase)
        return function

    return note
