"""The start of a run on one or several ranks: rank 0 reads and writes its folder."""

import contextlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numba
import numpy as np

import odyssey
from odyssey.cli.init_option import begun
from odyssey.distributed import placement
from odyssey.distributed.agreement import refuse_other_setup, share_state
from odyssey.distributed.ranks import Ranks
from odyssey.errors import warn
from odyssey.layers.context import Tensors
from odyssey.network import Config, Network
from odyssey.output import say
from odyssey.training.recipe import Recipe
from odyssey.training.resume import begin
from odyssey.training.run_folder import RunFolder
from odyssey.training.state import TrainingState


def open_folder(
    ranks: Ranks, path: str | Path
) -> contextlib.AbstractContextManager[RunFolder]:
    """Return the context of a run's folder; only rank 0 opens it."""
    folder = RunFolder(path)
    return folder if ranks.first else contextlib.nullcontext(folder)


def begun_together(
    ranks: Ranks,
    network: Network,
    config: Config,
    recipe: Recipe,
    tensors: tuple[Tensors, Tensors],
    options: SimpleNamespace,
    folder: RunFolder,
) -> Recipe:
    """Do on rank 0 what `begun` does, and return its recipe on all ranks.

    Raises
    ------
    InputError
        If the ranks have other versions, options or training images.
    """
    refuse_other_setup(ranks, _setup(recipe))
    if ranks.first:
        recipe = begun(network, config, recipe, tensors, options, folder.path)
    return ranks.from_first(recipe)


def begin_together(
    ranks: Ranks,
    folder: RunFolder,
    state: TrainingState,
    recipe: Recipe,
    **options: Any,
) -> Path | None:
    """Do on rank 0 what `begin` does, and give its state to all ranks."""
    checkpoint = begin(folder, state, recipe, **options) if ranks.first else None
    checkpoint = ranks.from_first(checkpoint)
    share_state(ranks, state)
    return checkpoint


def say_ranks(ranks: Ranks) -> None:
    """Print where the ranks run, with how many threads each.  Collective."""
    if ranks.size > 1:
        line, warning = placement.summary(ranks, numba.get_num_threads())
        say(line)
        if warning:
            warn(warning)


def _setup(recipe: Recipe) -> dict[str, str]:
    values = recipe.to_dict()
    images = values.pop("data_sha256")
    return {
        "the version of odyssey": odyssey.__version__,
        "the version of Numba": numba.__version__,
        "the version of NumPy": np.__version__,
        "the SHA-256 of the training images": images,
        "the recipe": json.dumps(values, sort_keys=True),
    }
