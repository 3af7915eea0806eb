"""The option ``--precision``, of training and of inference."""

from collections.abc import Callable

import click

from odyssey.bfloat16 import bfloat16
from odyssey.cli.choice import Choice
from odyssey.cli.option import MODEL, option
from odyssey.precision import BF16, FLOAT32, PRECISIONS

#: What others call them.
ALIASES = {
    **dict.fromkeys(("bfloat16", "16", "mixed", "amp", "bf16mixed"), (BF16,)),
    **dict.fromkeys(("fp32", "f32", "32", "single", "full", "32true"), (FLOAT32,)),
}


def _refuse_what_is_not_installed(
    ctx: click.Context, param: click.Parameter, value: str
) -> str:
    if value == BF16:
        try:
            bfloat16()
        except ImportError as error:
            raise click.BadParameter(f"{error}.", ctx, param) from None
    return value


def precision_option(command: Callable) -> Callable:
    """Add ``--precision`` to a command."""
    return option(
        "--precision",
        group=MODEL,
        type=Choice(PRECISIONS, ALIASES),
        default=FLOAT32,
        callback=_refuse_what_is_not_installed,
        help="Numbers of the activations and their gradients: bf16 keeps them in "
        "bfloat16, half the memory; weights, momentum, statistics and loss stay "
        "float32.",
    )(command)
