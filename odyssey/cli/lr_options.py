"""The options of the learning rate, shared by all programs that have one."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import click

from odyssey.cli.choice import Choice
from odyssey.cli.option import SCHEDULE, option, with_options
from odyssey.cli.option_types import FiniteFloat, Milestones, WholeNumber
from odyssey.training.learning_rate import SCHEDULERS, LearningRate

#: Names of PyTorch's own training scripts; they are accepted.
ALIASES = {
    "steplr": "step",
    "multisteplr": "multistep",
    "cosineannealinglr": "cosine",
}

#: Names in other tools; they are answered with ours.
MEANT = {
    **{theirs: (ours,) for theirs, ours in ALIASES.items()},
    "cosineannealing": ("cosine",),
    "cosineannealingwarmrestarts": ("cosine-restarts",),
    "warmrestarts": ("cosine-restarts",),
    "sgdr": ("cosine-restarts",),
    "onecyclelr": ("one-cycle",),
    "triangle": ("one-cycle",),
    "triangular": ("one-cycle",),
    "constantlr": ("constant",),
    "none": ("constant",),
}

COUNT = WholeNumber(min=1)
PART = FiniteFloat(0, 1)
FACTOR = FiniteFloat(0, 1, min_open=True)


class Scheduler(Choice):
    """The name of a schedule, or PyTorch's name for it."""

    def __init__(self) -> None:
        super().__init__(SCHEDULERS, MEANT)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the name of the schedule here, or fail naming the option."""
        return super().convert(ALIASES.get(value, value), param, ctx)


def _option(*names: str, **more: Any) -> Callable:
    """Return an option whose default is that of `LearningRate`'s field of its name."""
    field = names[0].removeprefix("--").replace("-", "_")
    default = getattr(LearningRate, field)
    if isinstance(default, tuple):
        default = ",".join(map(str, default))
    return option(
        *names, field, group=SCHEDULE, default=default, show_default=True, **more
    )


_SCHEDULER = _option(
    "--lr-scheduler",
    type=Scheduler(),
    metavar="NAME",
    help=f"How the learning rate changes during training: {', '.join(SCHEDULERS)}.",
)
_OPTIONS = (
    _option(
        "--lr",
        type=FiniteFloat(0, min_open=True),
        help="Learning rate; with a schedule, the highest one.",
    ),
    _SCHEDULER,
    _option(
        "--lr-decay-epochs",
        type=COUNT,
        help="For step: number of epochs from one drop to the next.",
    ),
    _option(
        "--lr-decay-factor",
        type=FACTOR,
        help="For step: factor that the learning rate is multiplied by at each drop.",
    ),
    _option(
        "--lr-milestones",
        "--lr-steps",
        type=Milestones(),
        help="For multistep: the drops, each as the number of epochs done by then.",
    ),
    _option(
        "--lr-gamma",
        type=FACTOR,
        help="For multistep: factor that the learning rate is multiplied by at each "
        "drop.",
    ),
    _option(
        "--lr-min",
        type=FiniteFloat(0),
        help="For cosine, cosine-restarts and one-cycle: learning rate at the end.",
    ),
    _option(
        "--lr-restart-epochs",
        type=COUNT,
        help="For cosine-restarts: number of epochs to the first restart.",
    ),
    _option(
        "--lr-restart-mult",
        type=COUNT,
        help="For cosine-restarts: each period is this many times as long as the one "
        "before.",
    ),
    _option(
        "--lr-cycle-peak",
        type=PART,
        help="For one-cycle: fraction of the run after which the rate is highest.",
    ),
    _option(
        "--lr-cycle-start",
        type=PART,
        help="For one-cycle: first learning rate, as a fraction of --lr.",
    ),
    _option(
        "--lr-warmup-epochs",
        type=WholeNumber(min=0),
        help="Number of epochs in which the learning rate rises to its full value; "
        "not with one-cycle.",
    ),
    _option(
        "--lr-warmup-decay",
        type=PART,
        help="Fraction of the learning rate that the warmup starts from.",
    ),
)


def shape_options(command: Callable) -> Callable:
    """Add ``--lr`` and all ``--lr-...`` except ``--lr-scheduler`` to a command."""
    return with_options([one for one in _OPTIONS if one is not _SCHEDULER])(command)


def lr_options(command: Callable) -> Callable:
    """Add ``--lr``, ``--lr-scheduler`` and all other ``--lr-...`` to a command.

    Options that conflict are refused before the command begins.  The command must have
    ``--epochs`` too.
    """

    @functools.wraps(command)
    def checked(*args: Any, **options: Any) -> Any:
        learning_rate(options)
        return command(*args, **options)

    return with_options(_OPTIONS)(checked)


def learning_rate(options: Mapping[str, Any]) -> LearningRate:
    """Return the `LearningRate` that options, named like its fields, describe.

    Raises
    ------
    click.UsageError
        If options conflict.
    """
    names = [field.name for field in fields(LearningRate)]
    try:
        return LearningRate(**{name: options[name] for name in names})
    except ValueError as error:  # "LearningRate: lr_min must be ..., got ..."
        field, _, rest = str(error).partition(": ")[2].partition(" ")
        option = "--" + field.replace("_", "-")
        raise click.UsageError(f"{option} {rest}.") from None
