"""An option's value that is one of several names."""

from collections.abc import Iterable
from typing import Any

import click

from odyssey.cli.meant import Aliases, did_you_mean


class Choice(click.Choice):
    """One of several names; for another one, which of them was probably meant.

    Parameters
    ----------
    choices : the names
    aliases : for names of other tools, squashed, what they are called here
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
        """Return what a value could be, for who gives none, in one line."""
        return f"Choose from {', '.join(self.choices)}."
