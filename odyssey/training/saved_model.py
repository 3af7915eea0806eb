"""The model of a run, from its weights or from one of its checkpoints; or of a file.

Weights are saved every ten epochs, when a run is stopped and at its end.  A run that
was killed, or is still running, may have none yet, or older ones than its newest
checkpoint.  A checkpoint contains the same tensors and more.

A file is one of another tool, or was made of a folder here: see `odyssey.formats`.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from odyssey.errors import InputError, os_reason, remedy, warn
from odyssey.formats.files import read_tensors
from odyssey.formats.misfits import NamesError, said_apart
from odyssey.formats.names import to_odyssey
from odyssey.formats.tensor_file import ODYSSEY, TensorFile
from odyssey.network import Network
from odyssey.output import say
from odyssey.training.finite import refuse_nonfinite
from odyssey.training.origin import UNKNOWN_IMAGES
from odyssey.training.recipe import with_lists
from odyssey.training.state import Tensors, learned_tensors
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
from odyssey.weights.folder import has_manifest, load_folder, read_manifest
from odyssey.weights.manifest import SUFFIX
from odyssey.weights.model import LoadedWeights, load_weights, model_of
from odyssey.weights.tensor_set import weight_files


class ModelName(NamedTuple):
    """What a folder or a file says of its model."""

    name: str | None  # of the model or of its family; None: it does not say
    tensors: Tensors  # by name, if it does not say


def open_model(
    network: Network, weights_dir: str, allow_nonfinite: bool = False
) -> LoadedWeights:
    """Load a model; every fault of its files is an `InputError`.

    Parameters
    ----------
    network : the family
    weights_dir : folder of weights, of a run or of a checkpoint, or a file of tensors
    allow_nonfinite : accept NaN and infinity
    """
    with _opening(weights_dir):
        model = load_model(network, Path(weights_dir))
    if not model.has_statistics:
        advice = remedy("no statistics")
        warn(f"the running statistics are those of an untrained model{advice}")
    refuse_nonfinite({**model.params, **model.state}, weights_dir, allow_nonfinite)
    return model


def load_model(network: Network, directory: Path) -> LoadedWeights:
    """Load a folder's weights, or those of its newest checkpoint if it has none.

    Tensors of a file, or under other tools' names, are renamed.
    The name of a checkpoint that is read is printed on stderr.  There is a warning if
    the weights are older than the newest checkpoint.

    Raises
    ------
    WeightsError
        As `load_weights` and `to_odyssey`, and if there are checkpoints but none is
        intact.
    FileNotFoundError
        If there is no such folder.
    """
    if is_checkpoint(directory):
        return _model_of_checkpoint(network, load_checkpoint(directory))
    if _is_file(directory) or has_other_names(directory):
        return _model_of_file(network, directory)
    if has_manifest(directory) or weight_files(directory):
        model = load_weights(network, directory)
        _warn_if_older(model, directory)
        return model
    newest = load_newest_checkpoint(_run_of(directory))
    if newest is None:
        raise _nothing_in(directory)
    return _model_of_checkpoint(network, newest)


def has_other_names(directory: Path) -> bool:
    """Tell whether tensors in a folder have other tools' names: conv1.weight."""
    return any("." in path.stem for path in weight_files(directory))


def _read_file(path: Path) -> tuple[TensorFile, dict[str, Any] | None]:
    """Return what a file holds, and what it says of its model, if Odyssey wrote it."""
    if path.is_file() and path.suffix == SUFFIX:
        raise WeightsError(f"{path}: one tensor of the weights in {path.parent}")
    file = read_tensors(path)
    manifest = file.metadata.get(ODYSSEY)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("model"), str):
        manifest = None
    return file, manifest


def _model_of_file(network: Network, path: Path) -> LoadedWeights:
    """Return the model in a file; what it is and what was changed is printed."""
    file, manifest = _read_file(path)
    renamed = to_odyssey(network, file.tensors, str(path), manifest=manifest)
    config, known = renamed.config, manifest
    state = network.state_shapes(config)
    if manifest is None and not (state and state.keys().isdisjoint(renamed.tensors)):
        options = with_lists(config._asdict())
        known = {"model": network.name_of(config), **options}
    model = model_of(network, renamed.tensors, known, path)
    if manifest is None:
        model = model._replace(metadata={**model.metadata, **UNKNOWN_IMAGES})
    say(f"{path}: {file.kind}, {model.model}", err=True)
    for note in (*file.notes, *renamed.notes):
        say(f"{path}: {note}", err=True)
    return model


def model_in(weights_dir: str) -> ModelName:
    """Return what files say of their model, for whom does not know its network.

    Parameters
    ----------
    weights_dir : as for `open_model`

    Raises
    ------
    InputError, WeightsError
        As `open_model`; the files that a manifest lists are not looked at.
    """
    with _opening(weights_dir):
        directory = Path(weights_dir)
        directory.stat()  # FileNotFoundError rather than "holds no weights"
        if _is_file(directory) or has_other_names(directory):
            file, manifest = _read_file(directory)
            return ModelName((manifest or {}).get("model"), file.tensors)
        manifest = read_manifest(directory)
        if manifest is None and weight_files(directory):
            return ModelName(None, load_folder(directory).tensors)
        if manifest is None:
            manifest = _manifest_of_a_checkpoint(directory)
    for part in ("metadata", "recipe"):  # where a checkpoint has the name
        if "model" not in manifest:
            inner = manifest.get(part)
            manifest = inner if isinstance(inner, dict) else {}
    name = manifest.get("model")
    return ModelName(name if isinstance(name, str) else None, {})


def _manifest_of_a_checkpoint(directory: Path) -> dict[str, Any]:
    """Return the manifest of a run's newest checkpoint whose manifest is intact."""
    paths = list_checkpoints(_run_of(directory))
    errors: list[Exception] = [_nothing_in(directory)]
    for path in reversed(paths):
        try:
            if manifest := read_manifest(path):
                return manifest
        except (WeightsError, OSError) as error:
            errors.append(error)
    raise errors[-1]


def _run_of(directory: Path) -> Path:
    """Return the folder of a run, of which perhaps the checkpoints' is given."""
    return directory.parent if directory.resolve().name == CHECKPOINTS else directory


def _is_file(path: Path) -> bool:
    """Return whether it is no folder: a pipe is refused as a file, by its reader."""
    return path.exists() and not path.is_dir()


def _nothing_in(directory: Path) -> WeightsError:
    return WeightsError(f"{directory}: holds no weights and no checkpoints")


@contextlib.contextmanager
def _opening(weights_dir: str) -> Iterator[None]:
    """Turn errors of the system into `InputError`."""
    try:
        yield
    except NamesError as error:
        raise said_apart(error) from error
    except OSError as error:
        if reason := dead_link(weights_dir):
            raise InputError(f"{weights_dir}: {reason}") from error
        if os.path.exists(weights_dir):
            raise InputError(os_reason(error)) from error
        raise InputError(
            f"{weights_dir}: no such folder or file of weights{remedy('no weights')}"
        ) from error


def _model_of_checkpoint(
    network: Network, checkpoint: LoadedCheckpoint
) -> LoadedWeights:
    """Return the model in a checkpoint: the average, if there is one."""
    metadata, path = checkpoint.metadata, checkpoint.path
    recipe, counters = metadata.get("recipe"), metadata.get("counters")
    origin = metadata.get("origin", {})  # old checkpoints have none
    if not (
        isinstance(recipe, dict)
        and isinstance(counters, dict)
        and isinstance(origin, dict)
    ):
        raise WeightsError(f"{path}: not a checkpoint of a training run")
    position = {name: counters.get(name) for name in ("step", "epoch")}
    manifest = {**origin, **position, "dataset": recipe.get("dataset")}
    manifest |= _options(network, recipe)
    model = model_of(network, learned_tensors(checkpoint.tensors), manifest, path)
    step, epoch = position.values()
    say(
        f"weights of the checkpoint {path}: step {step}, epochs finished {epoch}",
        err=True,
    )
    return model


def _options(network: Network, recipe: dict[str, Any]) -> dict[str, Any]:
    """Return the model's options in the form of the weights' manifest.

    A recipe leaves out the model's defaults, see `odyssey.cli.model_options`.
    """
    model = recipe.get("model")
    models = network.models
    defaults = models[model]._asdict() if model in list(models) else {}
    defaults.pop("num_classes", None)  # that of the data, which the shapes show
    given = {name: recipe[name] for name in network.option_names if name in recipe}
    return with_lists({"model": model, **defaults, **given})


def _warn_if_older(model: LoadedWeights, directory: Path) -> None:
    """Warn if a checkpoint of the same run is newer than its weights."""
    step, checkpoints = model.metadata.get("step"), list_checkpoints(directory)
    newest = step_number(checkpoints[-1]) if checkpoints else None
    if isinstance(step, int) and newest is not None and newest > step:
        path = checkpoints[-1]
        advice = remedy("newer checkpoint", path=path) or f"; {path} has newer ones"
        warn(f"the weights are those of step {step}{advice}")
