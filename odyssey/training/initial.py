"""The weights that a run begins with, where they are those of another model.

Fine-tuning: all tensors are taken but those of the last layer, if the data has another
number of classes.  A resume does not read them again: the checkpoint has what became of
them, and their origin.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from odyssey.errors import InputError
from odyssey.network import Config, Network
from odyssey.output import say
from odyssey.training.recipe import BEGINNING
from odyssey.training.saved_model import open_model
from odyssey.training.state import Tensors
from odyssey.weights.changed_files import listed
from odyssey.weights.checkpoint import list_checkpoints
from odyssey.weights.files import WeightsError
from odyssey.weights.folder import read_manifest
from odyssey.weights.model import LoadedWeights


def begin_with(
    network: Network,
    config: Config,
    tensors: Tensors,
    path: str,
    allow_nonfinite: bool = False,
) -> str:
    """Set fresh tensors to those of a saved model; return the model's SHA-256.

    Parameters
    ----------
    network : the family
    config : the options of the run's network
    tensors : its parameters and running statistics, which get the values
    path : as for `odyssey.training.saved_model.open_model`
    allow_nonfinite : accept NaN and infinity

    Raises
    ------
    InputError
        If there is no such model, or one with other options.
    """
    model = open_model(network, path, allow_nonfinite)
    _refuse_other_options(network, config, model, path)
    saved = dict(model.params)
    if model.has_statistics:
        saved |= model.state
    new = head(network, config)
    theirs, ours = model.config.num_classes, config.num_classes
    if theirs == ours:
        new = []
    else:
        say(f"{path}: {theirs} classes, not {ours}: {', '.join(new)} are made anew")
    dtypes = {saved[name].dtype for name in saved} - {t.dtype for t in tensors.values()}
    if dtypes:
        say(f"{path}: {listed(sorted(map(str, dtypes)))} is rounded to float32")
    for name, tensor in saved.items():
        if name not in new:
            np.copyto(tensors[name], tensor, casting="same_kind")
    return digest(saved)


def head(network: Network, config: Config) -> list[str]:
    """Return the names of the parameters whose shapes depend on the classes."""
    more = network.parameter_shapes(config._replace(num_classes=config.num_classes + 1))
    shapes = network.parameter_shapes(config)
    return [name for name in shapes if shapes[name] != more[name]]


def _refuse_other_options(
    network: Network, config: Config, model: LoadedWeights, path: str
) -> None:
    """Raise if the model's options are not those of the run's network."""
    free = {"num_classes", *network.noise, *network.initial}
    wrong = [
        f"{name} is {theirs}, not {ours}"
        for name, theirs in model.config._asdict().items()
        if name not in free and (ours := getattr(config, name)) != theirs
    ]
    if wrong:
        wanted = network.name_of(config) + network.stated_options(config)
        raise InputError(
            f"{path}: {model.model}, but {wanted} is to be trained: {'; '.join(wrong)}"
        )


def digest(tensors: Tensors) -> str:
    """Return the SHA-256 of tensors with their names."""
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(repr((name, str(tensor.dtype), tensor.shape)).encode())
        found.update(np.ascontiguousarray(tensor).data)
    return found.hexdigest()


def origin_in_run(directory: Path) -> dict[str, Any] | None:
    """Return where the weights of the run in a folder were from when it began.

    It is that of the newest checkpoint whose manifest is intact; None if there is no
    such checkpoint, so that nothing can be resumed.
    """
    for path in reversed(list_checkpoints(directory)):
        try:
            recipe = (read_manifest(path) or {})["metadata"]["recipe"]
            return {name: recipe.get(name) for name in BEGINNING}
        except (WeightsError, OSError, LookupError, TypeError, AttributeError):
            continue
    return None
