"""The type of an option whose value is one of several names."""

from collections.abc import Iterable
from typing import Any

import click

from odyssey.cli.meant import Aliases, did_you_mean


class Choice(click.Choice):
    """One of several names; the error for another name suggests the likeliest ones.

    Parameters
    ----------
    choices : the names
    aliases : names of other tools, squashed, and what they are called here
    """

    def __init__(self, choices: Iterable[str], aliases: Aliases | None = None) -> None:
        super().__init__(list(choices))
        self.aliases = aliases or {}

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return ``value`` if it is one of the names, or fail naming the option."""
        if value in self.choices:
            return value
        question = did_you_mean(value, self.choices, self.aliases)
        listed = ", ".join(map(repr, self.choices))
        self.fail(
            f"{value!r} is not one of the choices; {question}"
            if question
            else f"{value!r} is not one of {listed}.",
            param,
            ctx,
        )

    def get_missing_message(
        self, param: click.Parameter, ctx: click.Context | None = None
    ) -> str:
        """Return the line with all choices, for an option whose value is missing."""
        return f"Choose from {', '.join(self.choices)}."
