"""The model that a run has left: its weights, or what is in one of its checkpoints.

Weights are saved every ten epochs, when a run is stopped and at its end.  A run that
was killed, or is at work, may have none yet, or older ones than its newest checkpoint,
which holds the same tensors among others.
"""

import os
from pathlib import Path
from typing import Any

import click
from architecture import MODELS, ResNetConfig
from weights import LoadedWeights, load_weights, model_of

from odyssey.training.errors import InputError, os_reason, warn
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
from odyssey.weights.tensor_set import weight_files


def open_model(weights_dir: str, allow_nonfinite: bool) -> LoadedWeights:
    """Load a model; whatever is the matter with it is an `InputError`.

    Parameters
    ----------
    weights_dir : a folder of weights, of a run or of a checkpoint
    allow_nonfinite : take NaN and infinity as well
    """
    try:
        model = load_model(Path(weights_dir))
    except OSError as error:
        if what := dead_link(weights_dir):
            raise InputError(f"{weights_dir}: {what}") from error
        if os.path.exists(weights_dir):
            raise InputError(os_reason(error)) from error
        raise InputError(
            f"{weights_dir}: no such folder of weights; "
            "python examples/resnet18_cifar10/train.py makes one"
        ) from error
    if not model.has_statistics:
        warn("--recalibrate estimates them from training images")
    refuse_nonfinite({**model.params, **model.state}, weights_dir, allow_nonfinite)
    return model


def load_model(directory: Path) -> LoadedWeights:
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
        return _model_of_checkpoint(load_checkpoint(directory))
    if has_manifest(directory) or weight_files(directory):
        model = load_weights(directory)
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
    return _model_of_checkpoint(newest)


def _model_of_checkpoint(checkpoint: LoadedCheckpoint) -> LoadedWeights:
    """Return the model in a checkpoint: the average, if there is one."""
    metadata, path = checkpoint.metadata, checkpoint.path
    recipe, counters = metadata.get("recipe"), metadata.get("counters")
    origin = metadata.get("origin", {})  # before there was any: none
    if not all(isinstance(part, dict) for part in (recipe, counters, origin)):
        raise WeightsError(f"{path}: no checkpoint of a training run")
    position = {name: counters.get(name) for name in ("step", "epoch")}
    manifest = {**origin, **position, "dataset": recipe.get("dataset")}
    model = model_of(
        learned_tensors(checkpoint.tensors), manifest | _options(recipe), path
    )
    step, epoch = position.values()
    click.echo(
        f"weights of the checkpoint {path}: step {step}, whole epochs {epoch}", err=True
    )
    return model


def _options(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return the model's options as the manifest of weights has them.

    A recipe leaves out what is usual for the model, see `model_options.recipe_options`.
    """
    model = recipe.get("model")
    usual = MODELS[model]._asdict() if model in list(MODELS) else {}
    usual.pop("num_classes", None)  # as many as the data had: the shapes tell
    given = {name: recipe[name] for name in ResNetConfig._fields if name in recipe}
    options = {"model": model, **usual, **given}
    return {n: list(v) if isinstance(v, tuple) else v for n, v in options.items()}


def _warn_if_older(model: LoadedWeights, directory: Path) -> None:
    """Say if a checkpoint of the same run has learned more than its weights."""
    step, checkpoints = model.metadata.get("step"), list_checkpoints(directory)
    if isinstance(step, int) and checkpoints and step_number(checkpoints[-1]) > step:
        warn(
            f"the weights are those of step {step}; "
            f"--weights-dir {checkpoints[-1]} takes newer ones"
        )
