"""The option ``--config``: it takes options from a recipe file."""

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from odyssey.cli import other_tools
from odyssey.cli.command import reworded
from odyssey.cli.meant import did_you_mean
from odyssey.cli.option import option
from odyssey.cli.option_types import Milestones
from odyssey.errors import InputError
from odyssey.training.recipe import Recipe
from odyssey.training.recipe_file import (
    TRUTH_VALUES,
    find_recipe,
    read_recipe,
    recipe_names,
    rescaled,
    with_point,
    written,
)

DESCRIPTION = "description"  # the only key that is not an option
NUMBER, WHOLE, TEXT = "a number", "a whole number", "text"
TRUTH, LIST = "true or false", "a list of whole numbers"

#: Names of the types of a file's values, for messages.
CALLED = {
    type(None): "no value",
    bool: "a truth value",
    int: "a whole number",
    float: "a number with a point",
    str: "text",
    list: "a list",
}
ACCEPTED = {NUMBER: (int, float), WHOLE: (int,), TEXT: (str,), TRUTH: (bool,)}


class RecipeName(click.ParamType):
    """A recipe's file, or the name of one in the program's ``configs/``."""

    name = "recipe"

    def __init__(self, choices: Iterable[str]) -> None:
        self.choices = tuple(choices)


def config_option(folder: Path, model_options: Iterable[str] = ()) -> Callable:
    """Return a decorator that adds ``--config`` to a command that trains.

    Options on the command line win over the file, and the file over the defaults.
    ``--epochs`` on the command line rescales the file's schedule, see `rescaled`.  The
    decorator must stand above those of all options that it may change.

    Parameters
    ----------
    folder : where a name without a path is looked up
    model_options : keys that a file may have besides the fields of `Recipe`
    """
    keys = {field.name for field in fields(Recipe)} | set(model_options)

    def load(ctx: click.Context, param: click.Parameter, name: str | None) -> Any:
        if name is None:
            return None
        path = find_recipe(name, folder)
        try:
            if path.parent == folder and not path.exists():
                known = recipe_names(folder)
                question = did_you_mean(path.stem, known)
                meant = f"; {question}" if question else f" among {', '.join(known)}"
                raise InputError(f"there is no recipe {name!r}{meant}")
            values = option_values(ctx, read_recipe(path), keys)
        except InputError as error:
            raise click.BadParameter(str(error), ctx, param) from None
        except ValueError as error:
            raise click.BadParameter(f"{path}: {error}", ctx, param) from None
        ctx.default_map = {**(ctx.default_map or {}), **values}
        return path

    def decorate(command: Callable) -> Callable:
        @functools.wraps(command)
        def configured(*args: Any, config: Path | None, **options: Any) -> Any:
            if config is None:
                return command(*args, **options)
            context = click.get_current_context()
            if changed := new_schedule(context):
                listed = ", ".join(f"{n} {written(v)}" for n, v in changed.items())
                before, now = (context.default_map or {})["epochs"], options["epochs"]
                click.echo(f"{config}: from {before} to {now} epochs, {listed}")
            options |= changed
            try:
                return command(*args, **options)
            except click.UsageError as error:  # options that conflict
                reworded(error, f"{error.message} (with --config {config})")
                raise

        return option(
            "--config",
            metavar="RECIPE",
            type=RecipeName(recipe_names(folder)),
            is_eager=True,  # it changes the defaults of the other options
            callback=load,
            help="Take options from a recipe: a YAML file, or the name of one in "
            "configs/. Options on the command line win over it; --epochs rescales its "
            "schedule.",
        )(configured)

    return decorate


def new_schedule(ctx: click.Context) -> dict[str, Any]:
    """Return the options of a recipe that ``--epochs`` on the command line rescales."""
    if ctx.get_parameter_source("epochs") != ParameterSource.COMMANDLINE:
        return {}
    recipe = ctx.default_map or {}  # set by `load`
    return {
        name: value
        for name, value in rescaled(recipe, ctx.params["epochs"]).items()
        if ctx.get_parameter_source(name) == ParameterSource.DEFAULT_MAP
        and value != recipe[name]
    }


def option_values(
    ctx: click.Context, given: Mapping[str, Any], keys: Iterable[str]
) -> dict[str, Any]:
    """Return the values of a file, converted by the options of a command.

    Raises
    ------
    ValueError
        If a key is not an option of ``keys``, or a value has the wrong type or is out
        of range.  The message names the key.
    """
    params = {param.name: param for param in ctx.command.params}
    known = [name for name in params if name in keys]
    values = {}
    for name, value in given.items():
        if name == DESCRIPTION:
            _refuse_other_type(name, value, TEXT)
        elif name in known:
            param = params[name]
            if value is None and not isinstance(
                param.default, (int, float, str, tuple)
            ):
                continue  # the same as leaving the option out
            value = _for_click(name, value, param.type)
            try:
                values[name] = param.type_cast_value(ctx, value)
            except click.BadParameter as error:
                raise ValueError(f"{name}: {error.message}") from None
        elif name in params:
            option = params[name].opts[0]
            raise ValueError(f"{name} cannot be in a recipe; give {option} instead")
        else:
            answer = other_tools.answer(name, [*known, DESCRIPTION])
            answer = answer or "--help lists the options"
            raise ValueError(f"there is no option {name!r}; {answer}")
    return values


def _for_click(name: str, value: Any, kind: click.ParamType) -> Any:
    """Return a value of the file in the form in which click takes it."""
    if isinstance(kind, (click.Tuple, Milestones)):
        if not isinstance(value, list):
            raise _other_type(name, value, LIST)
        for item in value:
            _refuse_other_type(name, item, WHOLE)
        return ",".join(map(str, value)) if isinstance(kind, Milestones) else value
    wanted = TEXT
    for type_, its_name in (
        (click.types.BoolParamType, TRUTH),
        (click.types.IntParamType, WHOLE),  # IntRange is one
        (click.types.FloatParamType, NUMBER),
    ):
        if isinstance(kind, type_):
            wanted = its_name
    _refuse_other_type(name, value, wanted)
    return value


def _refuse_other_type(name: str, value: Any, wanted: str) -> None:
    if type(value) not in ACCEPTED[wanted]:  # True is an int to isinstance
        raise _other_type(name, value, wanted)


def _other_type(name: str, value: Any, wanted: str) -> ValueError:
    """Return the error about a value of a wrong type, with a suggestion."""
    shown = repr(value) if isinstance(value, str) else written(value)
    message = f"{name}: {shown} is {CALLED[type(value)]}, not {wanted}"
    if meant := _meant(value, wanted):
        message += f"; write {meant}"
    elif isinstance(value, bool):
        message += "; YAML takes yes, no, on and off for true and false"
    return ValueError(message)


def _meant(value: Any, wanted: str) -> str | None:
    """Return how to write a value of a wrong type rightly, None if not known."""
    if wanted == LIST:
        parts = str(value).replace(",", " ").split()
        numbers = [n for part in parts if (n := _meant(part, WHOLE))]
        whole = parts and len(numbers) == len(parts)
        return f"[{', '.join(numbers)}]" if whole else None
    if wanted == TRUTH and isinstance(value, str):
        truth = TRUTH_VALUES.get(value.lower())
        return None if truth is None else written(truth)
    if wanted not in (WHOLE, NUMBER) or not isinstance(value, (str, float)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    if not abs(number) < 2**53:  # not NaN, and exact as a float
        return None
    if wanted == WHOLE:
        return str(int(number)) if number.is_integer() else None
    exact = with_point(str(value))
    return exact if exact != value else written(number)
