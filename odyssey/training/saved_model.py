"""The model that a run has left: its weights, or what is in one of its checkpoints.

Weights are saved every ten epochs, when a run is stopped and at its end.  A run that
was killed, or is at work, may have none yet, or older ones than its newest checkpoint,
which holds the same tensors among others.
"""

import os
from pathlib import Path
from typing import Any

from odyssey.errors import InputError, os_reason, remedy, warn
from odyssey.network import Network
from odyssey.output import say
from odyssey.training.finite import refuse_nonfinite
from odyssey.training.state import learned_tensors
from odyssey.weights.checkpoint import (
    CHECKPOINTS,
    LoadedCheckpoint,
    is_checkpoint,
    list_checkpoints,
    load_checkpoint,
    load_newest_checkpoint,
    step_number,
)
from odyssey.weights.files import WeightsError, dead_link
from odyssey.weights.folder import has_manifest
from odyssey.weights.model import LoadedWeights, load_weights, model_of
from odyssey.weights.tensor_set import weight_files


def open_model(
    network: Network, weights_dir: str, allow_nonfinite: bool = False
) -> LoadedWeights:
    """Load a model; whatever is the matter with it is an `InputError`.

    Parameters
    ----------
    network : the family
    weights_dir : a folder of weights, of a run or of a checkpoint
    allow_nonfinite : take NaN and infinity as well
    """
    try:
        model = load_model(network, Path(weights_dir))
    except OSError as error:
        if what := dead_link(weights_dir):
            raise InputError(f"{weights_dir}: {what}") from error
        if os.path.exists(weights_dir):
            raise InputError(os_reason(error)) from error
        raise InputError(
            f"{weights_dir}: no such folder of weights{remedy('no weights')}"
        ) from error
    if not model.has_statistics:
        how = remedy("no statistics")
        warn(f"the running statistics are those of an untrained model{how}")
    refuse_nonfinite({**model.params, **model.state}, weights_dir, allow_nonfinite)
    return model


def load_model(network: Network, directory: Path) -> LoadedWeights:
    """Load a folder's weights, or without any those of its newest checkpoint.

    If it is a checkpoint that is read, stderr has which; if the weights are older than
    the newest, there is a warning.

    Raises
    ------
    WeightsError
        As `load_weights`, and if there are checkpoints and none is intact.
    FileNotFoundError
        If there is no such folder.
    """
    if is_checkpoint(directory):
        return _model_of_checkpoint(network, load_checkpoint(directory))
    if has_manifest(directory) or weight_files(directory):
        model = load_weights(network, directory)
        _warn_if_older(model, directory)
        return model
    run = directory
    if directory.resolve().name == CHECKPOINTS:
        run = directory.parent
    newest = load_newest_checkpoint(
        run, lambda path, error: warn(f"damaged, trying the one before: {error}")
    )
    if newest is None:
        raise WeightsError(f"{directory}: holds no weights and no checkpoints")
    return _model_of_checkpoint(network, newest)


def _model_of_checkpoint(
    network: Network, checkpoint: LoadedCheckpoint
) -> LoadedWeights:
    """Return the model in a checkpoint: the average, if there is one."""
    metadata, path = checkpoint.metadata, checkpoint.path
    recipe, counters = metadata.get("recipe"), metadata.get("counters")
    origin = metadata.get("origin", {})  # before there was any: none
    if not (
        isinstance(recipe, dict)
        and isinstance(counters, dict)
        and isinstance(origin, dict)
    ):
        raise WeightsError(f"{path}: no checkpoint of a training run")
    position = {name: counters.get(name) for name in ("step", "epoch")}
    manifest = {**origin, **position, "dataset": recipe.get("dataset")}
    manifest |= _options(network, recipe)
    model = model_of(network, learned_tensors(checkpoint.tensors), manifest, path)
    step, epoch = position.values()
    say(
        f"weights of the checkpoint {path}: step {step}, whole epochs {epoch}", err=True
    )
    return model


def _options(network: Network, recipe: dict[str, Any]) -> dict[str, Any]:
    """Return the model's options as the manifest of weights has them.

    A recipe leaves out what is usual for the model, see `odyssey.cli.model_options`.
    """
    model = recipe.get("model")
    models = network.models
    usual = models[model]._asdict() if model in list(models) else {}
    usual.pop("num_classes", None)  # as many as the data had: the shapes tell
    given = {name: recipe[name] for name in network.option_names if name in recipe}
    options = {"model": model, **usual, **given}
    return {n: list(v) if isinstance(v, tuple) else v for n, v in options.items()}


def _warn_if_older(model: LoadedWeights, directory: Path) -> None:
    """Say if a checkpoint of the same run has learned more than its weights."""
    step, checkpoints = model.metadata.get("step"), list_checkpoints(directory)
    newest = step_number(checkpoints[-1]) if checkpoints else None
    if isinstance(step, int) and newest is not None and newest > step:
        path = checkpoints[-1]
        how = remedy("newer checkpoint", path=path) or f"; {path} has newer ones"
        warn(f"the weights are those of step {step}{how}")
