"""The options of the learning rate, the same for every program that has one."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import click

from odyssey.training.learning_rate import SCHEDULERS, LearningRate
from odyssey.training.option_types import FiniteFloat, Milestones

#: The names that PyTorch's own training scripts have for some of them.
ALIASES = {
    "steplr": "step",
    "multisteplr": "multistep",
    "cosineannealinglr": "cosine",
}

COUNT = click.IntRange(min=1)
PART = FiniteFloat(0, 1)
FACTOR = FiniteFloat(0, 1, min_open=True)


class Scheduler(click.Choice):
    """The name of a schedule, or PyTorch's name for it."""

    def __init__(self) -> None:
        super().__init__(SCHEDULERS)

    def convert(self, value, param, ctx) -> str:
        """Return the name that this library has for it, or fail naming the option."""
        return super().convert(ALIASES.get(value, value), param, ctx)


def _option(*names: str, **more: Any) -> Callable:
    """Return an option of which the default is that of the field of its name."""
    field = names[0].removeprefix("--").replace("-", "_")
    default = getattr(LearningRate, field)
    if isinstance(default, tuple):
        default = ",".join(map(str, default))
    return click.option(*names, field, default=default, show_default=True, **more)


_SCHEDULER = _option("--lr-scheduler", type=Scheduler(), help="How the rate goes on.")
_OPTIONS = (
    _option(
        "--lr", type=FiniteFloat(0, min_open=True), help="The highest rate there is."
    ),
    _SCHEDULER,
    _option("--lr-decay-epochs", type=COUNT, help="step: epochs to a drop."),
    _option("--lr-decay-factor", type=FACTOR, help="step: what a drop makes of lr."),
    _option(
        "--lr-milestones",
        "--lr-steps",
        type=Milestones(),
        help="multistep: epochs done at each drop.",
    ),
    _option("--lr-gamma", type=FACTOR, help="multistep: what a drop makes of lr."),
    _option("--lr-min", type=FiniteFloat(0), help="cosine*, one-cycle: lr at the end."),
    _option(
        "--lr-restart-epochs", type=COUNT, help="cosine-restarts: epochs to the first."
    ),
    _option(
        "--lr-restart-mult",
        type=COUNT,
        help="cosine-restarts: each period is this many times as long.",
    ),
    _option("--lr-cycle-peak", type=PART, help="one-cycle: part of the run going up."),
    _option("--lr-cycle-start", type=PART, help="one-cycle: starts at this times lr."),
    _option(
        "--lr-warmup-epochs",
        type=click.IntRange(min=0),
        help="Epochs of linear warmup; not with one-cycle.",
    ),
    _option("--lr-warmup-decay", type=PART, help="Warmup starts at this times lr."),
)


def shape_options(command: Callable) -> Callable:
    """Add ``--lr`` and all ``--lr-...`` to a command but ``--lr-scheduler``."""
    return _with(command, [option for option in _OPTIONS if option is not _SCHEDULER])


def lr_options(command: Callable) -> Callable:
    """Add ``--lr``, ``--lr-scheduler`` and all their company to a command.

    What does not go together is refused before the command begins; it must have
    ``--epochs`` as well.
    """

    @functools.wraps(command)
    def checked(*args: Any, **options: Any) -> Any:
        learning_rate(options)
        return command(*args, **options)

    return _with(checked, _OPTIONS)


def _with(command: Callable, options: Sequence[Callable]) -> Callable:
    """Return ``command`` with options that its help lists in this order."""
    for option in reversed(options):
        command = option(command)
    return command


def learning_rate(options: Mapping[str, Any]) -> LearningRate:
    """Return the learning rate that ``options``, by the names of its fields, make.

    Raises
    ------
    click.UsageError
        If they do not go together.
    """
    names = [field.name for field in fields(LearningRate)]
    try:
        return LearningRate(**{name: options[name] for name in names})
    except ValueError as error:  # "LearningRate: lr_min must be ..., got ..."
        field, _, rest = str(error).partition(": ")[2].partition(" ")
        option = "--" + field.replace("_", "-")
        raise click.UsageError(f"{option} {rest}.") from None
