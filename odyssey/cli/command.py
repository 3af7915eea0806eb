"""Commands with help in groups, ``-h``, ``--version``, and suggestions.

All programs are made of these classes, so all of them have these features.
"""

import contextlib
import io
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import click

from odyssey import __version__
from odyssey.cli import other_tools
from odyssey.cli.meant import did_you_mean
from odyssey.cli.option import GROUPS, RUN, Option, option_names
from odyssey.distributed.failure import Failure, guarded
from odyssey.errors import one_line

SWITCHED = ("true", "false", "yes", "no", "on", "off")
DASHES = tuple("\u2010\u2011\u2012\u2013\u2014\u2212")  # editors make -- one of them
WIDEST = 28  # characters of an option's name and value in the help


class _Shared(click.Command):
    """The base of commands and of groups of commands."""

    def __init__(self, *args: Any, **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        self.context_settings = {"show_default": True, **self.context_settings}
        self.params.append(_version())

    def main(self, *args: Any, **more: Any) -> Any:
        """Run as a program; on several ranks, errors are left to be printed once."""
        if not guarded() or not more.get("standalone_mode", True):
            return super().main(*args, **more)
        try:
            status = super().main(*args, **{**more, "standalone_mode": False})
        except click.ClickException as error:
            text = io.StringIO()
            error.show(text)
            raise Failure(text.getvalue().rstrip(), error.exit_code) from None
        except click.Abort:
            raise Failure("Aborted!", 1) from None
        sys.exit(status if isinstance(status, int) else 0)

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        """Read the command line; errors are one line of readable length."""
        with _short_errors():
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors are one line of readable length."""
        with _short_errors():
            return super().invoke(ctx)

    def get_help_option_names(self, ctx: click.Context) -> list[str]:
        """Return the names of the option that prints the help."""
        return ["-h", "--help"]

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return ``-h, --help`` with a text in the style of the other options."""
        option: Any = super().get_help_option(ctx)
        if option is not None:
            option.group, option.help = RUN, "Show this help and exit."
        return option

    def format_options(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Write the options in two columns, with a section for each group."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and not isinstance(param, click.Argument):
                sections.setdefault(getattr(param, "group", RUN), []).append(record)
        rows = [row for section in sections.values() for row in section]
        width = min(WIDEST, max((len(name) for name, _ in rows), default=0))
        columns = formatter.width - width - 4  # for the text
        for group in GROUPS:
            if group in sections:
                section = [
                    (f"{name:{width}}", _wrapped(text, columns))
                    for name, text in sections[group]
                ]
                with formatter.section(f"{group.capitalize()} options"):
                    formatter.write_dl(section, col_max=WIDEST)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line; suggest an option in place of an unknown one."""
        words = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            name = _as_typed(error.option_name, words)
            message = f"No such option: {name}"
            if answer := other_tools.answer(name, option_names(ctx)):
                message += f"; {answer}"
            raise click.NoSuchOption(name, message, ctx=ctx) from None
        except click.BadOptionUsage as error:  # the parser's have no context
            raise click.BadOptionUsage(error.option_name, error.message, ctx) from None


class Command(_Shared):
    """A command whose help lists the options in groups."""

    allow_extra_args = True  # they are refused below, not by click

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line; explain an argument too many."""
        rest = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            ctx.fail(unexpected(rest[0], ctx))
        return rest


class Group(_Shared, click.Group):
    """Several commands under one name."""

    command_class = Command

    def format_options(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Write the options, and the commands below them."""
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command by name; suggest one in place of an unknown one."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            question = did_you_mean(name, self.list_commands(ctx))
            ctx.fail(f"No such command {name!r}{f'; {question}' if question else '.'}")
        return super().resolve_command(ctx, args)


def unexpected(word: str, ctx: click.Context) -> str:
    """Return the message about an argument too many, with a suggestion if possible."""
    message = f"Got unexpected extra argument ({word})"
    for param in ctx.command.params:
        names = getattr(param.type, "choices", ())
        if word in names and isinstance(param, click.Option):
            return f"{message}; did you mean {param.opts[0]} {word}?"
    name, equals, value = word.partition("=")
    if word.lower() in SWITCHED:
        return f"{message}; a switch has no value: --x turns it on, --no-x off."
    if word[:1] in DASHES:
        return f"{message}; options begin with two hyphens, this is another dash."
    if equals and (question := did_you_mean(name, option_names(ctx))):
        return f"{message}; {question[:-1]}={value}?"
    return message


@contextlib.contextmanager
def _short_errors() -> Iterator[None]:
    """Shorten error messages: a quoted command line may be long or binary."""
    try:
        yield
    except click.UsageError as error:
        reworded(error, one_line(error.message))
        raise


def reworded(error: Any, message: str) -> None:
    """Change the message of an error of click, which its types declare final."""
    error.message = message


def _wrapped(text: str, columns: int) -> str:
    """Return a text in lines that click does not wrap again; no option is split."""
    lines = textwrap.wrap(text, columns, break_on_hyphens=False)
    return "\n".join(["\b", *lines])


def _version() -> click.Option:
    def show(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            click.echo(f"odyssey {__version__}")
            ctx.exit()

    return Option(
        ["--version"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=show,
        help="Show the version and exit.",
    )


def _as_typed(name: str, words: list[str]) -> str:
    """Return the word of the command line that contains an unknown option.

    For ``-lr`` click names ``-l``, because short options can be combined.
    """
    if name.startswith("--"):
        return name
    for word in words:
        if word[:1] == "-" and word[1:2].isalpha() and name[-1] in word[1:]:
            return word.partition("=")[0]
    return name
