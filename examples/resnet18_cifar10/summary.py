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
from typing import Any, NamedTuple

import click

from odyssey.cli.command import Command
from odyssey.cli.model_options import chosen_config, model_options
from odyssey.cli.option import DATA, option
from odyssey.cli.option_types import WholeNumber
from odyssey.cli.precision_option import precision_option
from odyssey.layers.listed import Layer
from odyssey.precision import BF16, FLOAT32
from resnet18_cifar10.architecture import (
    STEM_POOL,
    ResNetConfig,
    model_name,
    network_blocks,
    network_layers,
    parameter_shapes,
    state_shapes,
)
from resnet18_cifar10.example import EXAMPLE

SIDE = 32  # pixels of an image
BYTES = 4  # of a float32
ACTIVATION_BYTES = {FLOAT32: 4, BF16: 2}


class Row(NamedTuple):
    """A row of the table."""

    name: str
    output: tuple[int, ...]  # of one image, (K, P, Q)
    parameters: int
    multiply_adds: int = 0
    kept: int = 0  # bytes of one image's activations that the backward needs


def layer_table(
    config: ResNetConfig, side: int = SIDE, precision: str = FLOAT32
) -> list[Row]:
    """Return a row for each layer of a network, for images of side x side pixels."""
    shapes, size = parameter_shapes(config), ACTIVATION_BYTES[precision]
    rows = [Row("image", (3, side, side), 0, kept=size * 3 * side**2)]
    strides = {block.name: block.stride for block in network_blocks(config)}
    block_input = side
    # with norms, as relus have the same places without them
    for layer in network_layers(config._replace(normalize=True)):
        name = layer.conv or layer.norm or ""  # every layer has one of the two
        block = name.split("_")[0]
        if name.endswith("_proj"):  # listed after its block, but has the block's input
            P = -(-block_input // layer.stride)
        else:
            if strides.pop(block, None):  # the block's first layer
                block_input = side
            P = side = -(-side // layer.stride)  # rounded up, by the padding
        K = layer.shape[0]
        parts = [part for part in (layer.conv, layer.norm) if part]
        if not config.normalize:
            parts = [layer.conv or f"{block}_relu"]
        parameters = sum(
            prod(shape) for n, shape in shapes.items() if n.rpartition("_")[0] in parts
        )
        products = P * P * prod(layer.shape) if layer.conv else 0
        kept = size * K * P * P * _arrays_kept(layer, config)
        rows.append(Row(" ".join(parts), (K, P, P), parameters, products, kept))
        if name == "conv1" and config.stem == "imagenet":
            side = -(-side // STEM_POOL[1])
            rows.append(Row("max pooling", (K, side, side), 0, 0, size * K * side**2))
    K, features = shapes["fc_weights"]
    mask = BYTES * features if config.dropout else 0  # float32 in every precision
    rows.append(Row("average", (features,), 0, 0, size * features + mask))
    rows.append(Row("fc", (K,), K * features + K, K * features))
    return rows


def _arrays_kept(layer: Layer, config: ResNetConfig) -> int:
    """Return how many arrays of a layer's output size the backward needs.

    They are the output of the convolution, for the batch norm, and the next layer's
    input, unless that is in the same branch.
    """
    if layer.conv and layer.conv.endswith("_proj"):
        # the sum that it is added to is counted with the block
        return 1 if layer.norm and config.normalize else 0
    if not config.normalize:
        return 1 if layer.norm else 0  # the backward of a relu needs only its output
    last = "_conv3" if config.bottleneck else "_conv2"
    if layer.conv and "_" in layer.conv and not layer.conv.endswith(last):
        return 1
    return 2 if layer.conv and layer.norm else 1


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
    """Print the layers of a model and their costs."""
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
