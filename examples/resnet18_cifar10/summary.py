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
from odyssey.cli.option import DATA, option
from odyssey.cli.option_types import WholeNumber
from odyssey.cli.precision_option import precision_option
from odyssey.layer_table import Row, layer_rows
from odyssey.precision import BF16, FLOAT32
from resnet18_cifar10.architecture import (
    ResNetConfig,
    model_name,
    state_shapes,
)
from resnet18_cifar10.example import EXAMPLE

SIDE = 32  # pixels of an image
BYTES = 4  # of a float32
ACTIVATION_BYTES = {FLOAT32: 4, BF16: 2}


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


def print_table(rows: list[Row]) -> None:
    """Print the rows, and totals below them."""
    width = max(len(row.name) for row in rows)
    line = f"{{:{width}}}  {{:>13}}  {{:>11}}  {{:>14}}  {{:>15}}"
    heads = ("layer", "output", "parameters", "multiply-adds", "activations KiB")
    click.echo(line.format(*heads))
    for row in rows:
        shape = " x ".join(map(str, row.output))
        counts = f"{row.parameters:,}", f"{row.multiply_adds:,}"
        click.echo(line.format(row.name, shape, *counts, f"{row.kept / 1024:.1f}"))
    totals = [sum(column) for column in list(zip(*rows, strict=True))[2:]]
    counts = f"{totals[0]:,}", f"{totals[1]:,}"
    click.echo(line.format("total", "", *counts, f"{totals[2] / 1024:.1f}"))


@click.command(cls=Command)
@model_options(EXAMPLE)
@precision_option
@option(
    "--batch-size",
    group=DATA,
    type=WholeNumber(min=1),
    default=128,
    help="Number of images in the batch that activations are summed for.",
)
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
    parameters, kept = sum(r.parameters for r in rows), sum(r.kept for r in rows)
    running = sum(map(prod, state_shapes(config).values()))
    click.echo(
        f"\n{parameters:,} trainable numbers ({BYTES * parameters / 2**20:.1f} MiB in "
        f"float32, with gradients and momentum three times that), {running:,} running "
        f"statistics\nactivations of a batch of {batch_size}: "
        f"{batch_size * kept / 2**20:.0f} MiB"
    )


if __name__ == "__main__":
    startup.run(main)
