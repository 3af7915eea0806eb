"""Options that belong to a group of the help."""

from collections.abc import Callable, Sequence
from typing import Any

import click
from click.core import ParameterSource

#: The groups of the help, in its order.
GROUPS = ("run", "model", "data", "update", "schedule", "logging")
RUN, MODEL, DATA, UPDATE, SCHEDULE, LOGGING = GROUPS


class Option(click.Option):
    """An option of a group, with a short word for its value in the help.

    An empty value is refused: ``--weights-dir "$DIR"`` with no DIR set would mean the
    current folder.  The name of another option is refused too: it means that the value
    was forgotten.

    Parameters
    ----------
    group : one of `GROUPS`
    may_be_empty : accept "" as a value
    """

    def __init__(
        self, *args: Any, group: str = RUN, may_be_empty: bool = False, **attrs: Any
    ) -> None:
        if group not in GROUPS:
            raise ValueError(f"Option: group must be one of {GROUPS}, got {group!r}")
        super().__init__(*args, **attrs)
        self.group, self.may_be_empty = group, may_be_empty
        if self.metavar is None and not self.is_flag:
            self.metavar = _word_for(self.type)

    def consume_value(self, ctx: click.Context, opts: Any) -> tuple[Any, Any]:
        """Return the value and its source; refuse a value that must be a mistake."""
        value, source = super().consume_value(ctx, opts)
        if source == ParameterSource.COMMANDLINE and not self.is_flag:
            for word in value if isinstance(value, (list, tuple)) else [value]:
                self._refuse_no_value(ctx, word)
        return value, source

    def _refuse_no_value(self, ctx: click.Context, word: str) -> None:
        if word == "" and not self.may_be_empty:
            raise click.BadParameter("must not be empty.", ctx, self)
        if "\0" in word and isinstance(self.type, click.Path):  # no path can have one
            raise click.BadParameter("must not hold a NUL character.", ctx, self)
        if word.startswith("-") and word.partition("=")[0] in option_names(ctx):
            name = self.opts[0]
            message = f"Option {name!r} needs a value, but the option {word!r} follows."
            raise click.BadOptionUsage(name, message, ctx)


def option_names(ctx: click.Context) -> list[str]:
    """Return the names of all options of a command, in order."""
    params = ctx.command.get_params(ctx)
    options = [param for param in params if isinstance(param, click.Option)]
    return [name for o in options for name in (*o.opts, *o.secondary_opts)]


def _word_for(kind: click.ParamType) -> str | None:
    """Return the help's word for a value; None leaves it to click."""
    if isinstance(kind, click.IntRange):
        return "N"
    if isinstance(kind, click.FloatRange):
        return "X"
    if isinstance(kind, click.Path):
        if kind.dir_okay and kind.file_okay:
            return "PATH"
        return "DIR" if kind.dir_okay else "FILE"
    return None


def option(*names: str, group: str = RUN, **attrs: Any) -> Callable:
    """Return a decorator that adds an `Option` of a group to a command."""
    return click.option(*names, cls=Option, group=group, **attrs)


def with_options(options: Sequence[Callable]) -> Callable[[Callable], Callable]:
    """Return a decorator that adds options, which the help lists in this order."""

    def add(command: Callable) -> Callable:
        for one in reversed(options):
            command = one(command)
        return command

    return add


debug_option = option("--debug", is_flag=True, help="Show the traceback of an error.")
