"""``odyssey memory``: what a step of training occupies, by part, before it runs."""

import json

import click

from odyssey.cli.command import Command
from odyssey.cli.find_example import find_example
from odyssey.cli.named_model import SETTINGS, config_of_words, named_model
from odyssey.cli.next_steps import program, say_next
from odyssey.cli.option import DATA, LOGGING, debug_option, option
from odyssey.cli.option_types import WholeNumber
from odyssey.cli.precision_option import precision_option
from odyssey.cli.program import exit_statuses, threads_option

#: What the parts of a `Footprint` are called in the output.
PARTS = {
    "program": "Python, Numba and compiled kernels",
    "parameters": "parameters and running statistics",
    "momentum": "momentum",
    "images": "images of the batch",
    "activations": "activations kept for the backward",
    "gradients": "gradients of the parameters",
    "workspaces": "workspaces of a kernel",
    "temporaries": "other activations and their gradients",
    "gaps": "gaps between arrays",
}


@click.command(
    "memory",
    cls=Command,
    short_help="Predict the memory that training needs.",
    context_settings=SETTINGS,
)
@named_model
@option(
    "--batch-size",
    group=DATA,
    type=WholeNumber(min=1),
    default=128,
    help="Number of images in a batch.",
)
@precision_option
@option(
    "--recompute",
    is_flag=True,
    help="Keep only the input of each block, as with --recompute in training.",
)
@option("--json", "as_json", group=LOGGING, is_flag=True, help="Print bytes as JSON.")
@threads_option
@debug_option
@click.pass_context
def main(
    ctx: click.Context,
    model: str,
    rest: tuple[str, ...],
    batch_size: int,
    precision: str,
    recompute: bool,
    as_json: bool,
    debug: bool,
) -> None:
    """Predict the peak memory of a training step, by part.

    MODEL is a name that --model of an example's train.py knows, and comes first.  The
    options of that model, such as --width 32, can follow.  The step is not computed:
    its arrays are made and counted, and no memory of theirs is written to.  The images
    of the data set come on top, 176 MiB for CIFAR-10.  Repeat the command if kernels
    had to be compiled, which takes memory too.

    \b
    Examples:
      python -m odyssey memory resnet18 --batch-size 256
      python -m odyssey memory resnet50 --width 32 --recompute
    """  # noqa: D301  (click wants the backspace itself)
    from odyssey.cli.train import check_recompute
    from odyssey.footprint import footprint
    from odyssey.precision import FLOAT32, in_precision

    example = find_example(model)
    check_recompute(example.network, recompute)
    config = config_of_words(ctx, example, model, rest)
    with exit_statuses(debug):
        network = in_precision(example.network, precision)
        found = footprint(network, config, batch_size, recompute=recompute)
        if as_json:
            click.echo(json.dumps({**found._asdict(), "total": found.total}))
            return
        rows = [(words, getattr(found, part)) for part, words in PARTS.items()]
        for words, size in [*rows, ("peak of a training step", found.total)]:
            click.echo(f"{words:<40} {size / 2**20:8.1f} MiB")
        chosen = ["--model", model, *rest, "--batch-size", str(batch_size)]
        chosen += ["--recompute"] if recompute else []
        chosen += ["--precision", precision] if precision != FLOAT32 else []
        say_next((*program(example.folder / "train.py"), *chosen))
