"""The start of a run: from the beginning, or from its newest intact checkpoint."""

from pathlib import Path

import odyssey
from odyssey.errors import InputError, remedy, warn
from odyssey.output import say
from odyssey.training.finite import refuse_nonfinite
from odyssey.training.logs import naming
from odyssey.training.recipe import Recipe, said
from odyssey.training.recipe_file import recipe_text
from odyssey.training.run_folder import RunFolder
from odyssey.training.state import TrainingState
from odyssey.weights.checkpoint import load_newest_checkpoint
from odyssey.weights.files import atomic_write_text


def begin(
    folder: RunFolder,
    state: TrainingState,
    recipe: Recipe,
    *,
    resume: bool = False,
    overwrite: bool = False,
    allow_nonfinite: bool = False,
) -> Path | None:
    """Prepare a run's folder and set ``state`` to where training continues.

    The recipe is written to the folder, also at a resume: ``epochs`` may have grown.

    Parameters
    ----------
    folder : open
    state : fresh; gets the checkpoint's values if there is one
    recipe : the run's
    resume : continue from the newest intact checkpoint, or from the beginning if there
        is none
    overwrite : delete the run that is in the folder
    allow_nonfinite : accept NaN and infinity in the weights

    Returns
    -------
    checkpoint : the one that the run continues from, or None

    Raises
    ------
    InputError
        If the folder holds a run but neither ``resume`` nor ``overwrite`` is set, or a
        run with another recipe.
    WeightsError
        If there are checkpoints and all are damaged.
    """
    checkpoint = None
    if resume:
        checkpoint = _restore_newest(folder, state, recipe, allow_nonfinite)
    else:
        if overwrite:
            folder.clear()
        folder.refuse_old_run()
        refuse_nonfinite(state.tensors(), "initial weights", allow_nonfinite)
    with naming(folder.recipe):
        atomic_write_text(folder.recipe, recipe_text(recipe.to_dict()))
    return checkpoint


def _restore_newest(
    folder: RunFolder, state: TrainingState, recipe: Recipe, allow_nonfinite: bool
) -> Path | None:
    checkpoint = load_newest_checkpoint(folder.path)
    if checkpoint is None:
        say(f"{folder.path} has no checkpoint to resume from: starting afresh")
        return None
    try:
        counters = checkpoint.metadata["counters"]
        saved, version = checkpoint.metadata["recipe"], checkpoint.metadata["odyssey"]
        _refuse_other_recipe(folder, recipe, saved, counters)
        state.restore(checkpoint.tensors, counters)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{checkpoint.path}: not a checkpoint of a training run ({error!r})"
        ) from None
    refuse_nonfinite(state.tensors(), str(checkpoint.path), allow_nonfinite)
    if version != odyssey.__version__:
        warn(
            f"the checkpoint is odyssey {version}'s, this is {odyssey.__version__}: "
            "the run goes on, perhaps not with the same last bits"
        )
    return checkpoint.path


def _refuse_other_recipe(
    folder: RunFolder, recipe: Recipe, saved: dict, counters: dict
) -> None:
    lines = recipe.differences(saved)
    epochs, steps = counters["epoch"], counters["batch"]
    # Training beyond ``epochs`` would be in the weights, but not in the recipe.
    if recipe.epochs < epochs + (steps > 0):
        done = f"{epochs} are done"
        if steps:
            done = f"epoch {epochs + 1} has begun ({steps} of its steps are done)"
        lines.append(f"{said('epochs')} is {recipe.epochs}, but {done}")
    if lines:
        there = folder.recipe.exists()
        raise InputError(
            "this run was started with another recipe: "
            + "; ".join(lines)
            + (remedy("recipe of the run", path=folder.recipe) if there else "")
        )
