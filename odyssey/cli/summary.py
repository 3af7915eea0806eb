"""``odyssey summary``: the layers of a network, and what each of them costs."""

from math import prod

import click

from odyssey.cli.command import Command
from odyssey.cli.find_example import find_example
from odyssey.cli.named_model import SETTINGS, config_of_words, named_model
from odyssey.cli.next_steps import ODYSSEY, say_next
from odyssey.cli.option import DATA, debug_option, option
from odyssey.cli.option_types import WholeNumber
from odyssey.cli.precision_option import precision_option
from odyssey.cli.program import exit_statuses
from odyssey.errors import InputError
from odyssey.layer_table import Row, layer_rows
from odyssey.network import Config, Network
from odyssey.precision import BF16, FLOAT32

BYTES = 4  # of a float32
ACTIVATION_BYTES = {FLOAT32: 4, BF16: 2}

batch_size_option = option(
    "--batch-size",
    group=DATA,
    type=WholeNumber(min=1),
    default=128,
    help="Number of images in the batch that activations are summed for.",
)


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


def print_totals(
    network: Network, config: Config, rows: list[Row], batch_size: int
) -> None:
    """Print what the parameters occupy, and the activations of a batch."""
    parameters, kept = sum(r.parameters for r in rows), sum(r.kept for r in rows)
    running = sum(map(prod, network.state_shapes(config).values()))
    click.echo(
        f"\n{parameters:,} trainable numbers ({BYTES * parameters / 2**20:.1f} MiB in "
        f"float32, with gradients and momentum three times that), {running:,} running "
        f"statistics\nactivations of a batch of {batch_size}: "
        f"{batch_size * kept / 2**20:.0f} MiB"
    )


@click.command(
    "summary",
    cls=Command,
    short_help="List the layers of a network and their costs.",
    context_settings=SETTINGS,
)
@named_model
@option(
    "--image-size",
    group=DATA,
    type=WholeNumber(min=1),
    metavar="SIDE",
    default=32,
    help="Height and width of the images in pixels.",
)
@batch_size_option
@precision_option
@debug_option
@click.pass_context
def main(
    ctx: click.Context,
    model: str,
    rest: tuple[str, ...],
    image_size: int,
    batch_size: int,
    precision: str,
    debug: bool,
) -> None:
    """List the layers of a network: output shapes, parameters, multiply-adds, memory.

    MODEL is a name that --model of an example's train.py knows, and comes first.  The
    options of that model, such as --width 32, can follow.  What follows a convolution
    or a linear layer, such as a relu or a pooling, is in its row.  Activations are
    those of one image that the forward keeps for the backward; masks of dropout come
    on top.

    \b
    Examples:
      python -m odyssey summary lenet5
      python -m odyssey summary resnet18 --stem imagenet --image-size 224
    """  # noqa: D301  (click wants the backspace itself)
    example = find_example(model)
    network = example.network
    config = config_of_words(ctx, example, model, rest)
    with exit_statuses(debug):
        try:
            graph = network.graph(config, (3, image_size, image_size))
        except ValueError as error:
            raise InputError(f"images of {image_size} pixels: {error}") from None
        rows = layer_rows(graph, ACTIVATION_BYTES[precision])
        click.echo(f"{network.name_of(config)}{network.stated_options(config)}\n")
        print_table(rows)
        print_totals(network, config, rows, batch_size)
        say_next((*ODYSSEY, "memory", model, *rest))
