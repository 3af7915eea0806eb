"""Print a model's layers: output shapes, parameters, multiply-adds, activations.

    python examples/resnet18_cifar10/summary.py --model resnet50 --pre-activation

A multiply-add is a product in a convolution or linear layer and its addition, for one
image; products with the padding are counted too, as is usual.  Biases, batch norms,
relus and pooling are not counted.

Activations are the arrays of one image that the forward keeps for the backward: for a
convolution with batch norm, its output and the output of the relu.  The latter is not
kept within a branch, where the backward normalises once more.  Numbers of activations
have four bytes, or two with ``--precision bf16``.
"""

import sys
from pathlib import Path

_EXAMPLES = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_EXAMPLES))
if (_EXAMPLES.parent / "odyssey" / "cli").is_dir():  # a checkout, perhaps not installed
    sys.path.insert(0, str(_EXAMPLES.parent))

if __name__ == "__main__":
    from odyssey.cli import startup

    startup.prepare()

from math import prod
from types import SimpleNamespace
from typing import Any

import click

from odyssey.cli.command import Command
from odyssey.cli.model_options import chosen_config, model_options
from odyssey.cli.precision_option import precision_option
from odyssey.cli.summary import (
    ACTIVATION_BYTES,
    BYTES,
    batch_size_option,
    print_table,
    print_totals,
)
from odyssey.layer_table import Row, layer_rows
from odyssey.precision import FLOAT32
from resnet18_cifar10.architecture import (
    ResNetConfig,
    model_name,
)
from resnet18_cifar10.example import EXAMPLE

SIDE = 32  # pixels of an image


def layer_table(
    config: ResNetConfig, side: int = SIDE, precision: str = FLOAT32
) -> list[Row]:
    """Return a row for each layer of a network, for images of side x side pixels."""
    graph = EXAMPLE.network.graph(config, (3, side, side))
    rows = layer_rows(graph, ACTIVATION_BYTES[precision])
    if config.dropout:  # the mask is float32 in every precision
        *before, average, last = rows
        kept = average.kept + BYTES * prod(average.output)
        rows = [*before, average._replace(kept=kept), last]
    return rows


@click.command(cls=Command)
@model_options(EXAMPLE)
@precision_option
@batch_size_option
def main(batch_size: int, precision: str, **options: Any) -> None:
    """Print the layers of a model and their costs.

    \b
    Examples:
      python examples/resnet18_cifar10/summary.py
      python examples/resnet18_cifar10/summary.py --model resnet50 --width 32
    """  # noqa: D301  (click wants the backspace itself)
    config = chosen_config(EXAMPLE, SimpleNamespace(**options))
    rows = layer_table(config, precision=precision)
    kind = "pre-activation" if config.pre_activation else "post-activation"
    norm = "batch norm" if config.normalize else "no batch norm"
    click.echo(
        f"{model_name(config)} of width {config.width}, {kind}, shortcut "
        f"{config.shortcut}, {norm}, {config.stem} stem\n"
    )
    print_table(rows)
    print_totals(EXAMPLE.network, config, rows, batch_size)


if __name__ == "__main__":
    startup.run(main)
