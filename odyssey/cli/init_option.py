"""The option ``--init-from``: a run begins with the weights of another model."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import click

from odyssey.cli.option import MODEL, option
from odyssey.layers.context import Tensors
from odyssey.network import Config, Network
from odyssey.training.initial import begin_with, origin_in_run
from odyssey.training.recipe import Recipe

init_option = option(
    "--init-from",
    group=MODEL,
    type=click.Path(),
    metavar="PATH",
    help="Begin with these weights: a folder of weights, a run, or a file of PyTorch, "
    "safetensors or NumPy. The last layer is made anew if the data has another number "
    "of classes. --resume does not read them again.",
)


def begun(
    network: Network,
    config: Config,
    recipe: Recipe,
    tensors: tuple[Tensors, Tensors],
    options: SimpleNamespace,
    folder: Path,
) -> Recipe:
    """Set fresh tensors to those of --init-from; return the recipe that says so.

    A run that is resumed in its ``folder`` keeps what its checkpoint says of this.
    """
    resumed = origin_in_run(folder) if options.resume else None
    if resumed is not None:
        if recipe.init_from not in (None, resumed["init_from"]):
            click.echo(f"{folder} is resumed: --init-from does not count")
        return replace(recipe, **resumed)
    if recipe.init_from is None:
        return recipe
    params, running = tensors
    sha256 = begin_with(
        network,
        config,
        {**params, **running},
        recipe.init_from,
        options.allow_nonfinite,
    )
    return replace(recipe, init_sha256=sha256)
