"""Checkpoints of a run: ``<run>/checkpoints/step-00001234/``, whole or not there.

Each is a folder of hex files with a manifest, written to ``.tmp-...``, flushed to disk
and renamed; only then are old ones removed.  A checkpoint of a step that exists already
takes its place by way of ``.old-step-...``, which counts as that step while there is
no other.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from odyssey.checks import check_int
from odyssey.errors import warn
from odyssey.weights.files import (
    WeightsError,
    directory_lock,
    discard,
    fsync_directory,
    leaving,
    make_directory,
    remove_leftovers,
    temporary_directory,
)
from odyssey.weights.folder import read_listed
from odyssey.weights.manifest import MANIFEST, decode_manifest, read_manifest_bytes
from odyssey.weights.tensor_set import check_set, summary, write_set

CHECKPOINTS = "checkpoints"
KIND = "checkpoint"
_OLD = ".old-"
_STEP = re.compile(r"(?:\.old-)?step-([0-9]{8,18})", re.ASCII)


class LoadedCheckpoint(NamedTuple):
    """A checkpoint read back: where it lies, its step, and what was saved with it."""

    path: Path
    step: int
    tensors: dict[str, np.ndarray]
    metadata: dict[str, Any]

    def __repr__(self) -> str:
        return f"LoadedCheckpoint({self.path}: {summary(self.tensors)})"


def save_checkpoint(
    run_dir: str | os.PathLike,
    step: int,
    tensors: Mapping[str, np.ndarray],
    metadata: Mapping[str, Any],
    keep: int = 2,
) -> Path:
    """Write a checkpoint and return its folder, all of it flushed to disk.

    Afterwards the older ones are removed but for as many as make ``keep`` intact ones
    together with the new one.  Checkpoints of later steps are left alone.  One that
    cannot be deleted stays, with a warning, and is tried again after the next.

    Parameters
    ----------
    run_dir : folder of the run, made if it does not exist
    step : number of updates done
    tensors : by name, at least one; names are 1 to 120 of ``A-Za-z0-9._-``
    metadata : JSON for the manifest: recipe, seed, epoch, ...
    keep : how many checkpoints to keep, at least 1

    Raises
    ------
    TypeError, ValueError
        If something cannot be written; nothing is touched then.
    OSError
        If the disk is full or the folder cannot be written; the checkpoints before
        this one are then untouched.
    """
    step = check_int("save_checkpoint", "step", step, 0)
    keep = check_int("save_checkpoint", "keep", keep, 1)
    check_set("save_checkpoint", tensors, metadata)
    metadata = json.loads(json.dumps(dict(metadata)))  # as it will be read back
    header = {
        "step": step,
        "metadata": metadata,
        "metadata_sha256": _digest(step, metadata),
    }
    root = Path(run_dir) / CHECKPOINTS
    make_directory(root)
    target = root / f"step-{step:08d}"
    aside = root / (_OLD + target.name)
    with directory_lock(root):
        _recover(root)
        with temporary_directory(root, target.name) as staging:
            write_set(staging, tensors, KIND, header)
            if target.is_dir():  # a folder cannot be renamed over another
                os.rename(target, aside)
            os.rename(staging, target)
        fsync_directory(root)
        with leaving(root):  # it is saved: what comes now can wait for the next time
            if aside.is_dir():
                discard(aside)
            _prune(root, step, keep)
    return target


def list_checkpoints(run_dir: str | os.PathLike) -> list[Path]:
    """Return the checkpoint folders of a run, the lowest step first, by number."""
    return list(checkpoint_folders(Path(run_dir) / CHECKPOINTS).values())


def load_checkpoint(
    path: str | os.PathLike, *, with_tensors: bool = True
) -> LoadedCheckpoint:
    """Read one checkpoint; without ``with_tensors`` check all, but return no tensor.

    Raises
    ------
    WeightsError
        If anything in it is missing, unexpected or damaged.
    FileNotFoundError
        If there is no such folder.
    """
    path = Path(path)
    tensors, manifest = read_listed(path, with_tensors=with_tensors)
    check_checkpoint(path, manifest)
    return LoadedCheckpoint(path, manifest["step"], tensors, manifest["metadata"])


def load_newest_checkpoint(run_dir: str | os.PathLike) -> LoadedCheckpoint | None:
    """Read the intact checkpoint of the highest step; warn of newer, damaged ones.

    Parameters
    ----------
    run_dir : folder of the run

    Returns
    -------
    The checkpoint, or None if the run has none at all.

    Raises
    ------
    WeightsError
        If there are checkpoints and none is intact.
    """
    paths = list_checkpoints(run_dir)
    for path in reversed(paths):
        try:
            return load_checkpoint(path)
        except (WeightsError, OSError) as error:
            warn(f"damaged, trying the one before: {error}")
    if paths:
        raise WeightsError(
            f"{Path(run_dir) / CHECKPOINTS}: none of {len(paths)} checkpoints is usable"
        )
    return None


def is_checkpoint(path: Path) -> bool:
    """Tell whether a folder is a checkpoint, be it damaged, by its name or manifest."""
    if step_number(path.resolve()) is not None:
        return True
    try:
        manifest = decode_manifest(read_manifest_bytes(path / MANIFEST), path)
    except (WeightsError, OSError):
        return False
    return manifest["kind"] == KIND


def check_checkpoint(path: Path, manifest: Mapping[str, Any]) -> None:
    """Raise ``WeightsError`` unless ``manifest`` is that of the checkpoint ``path``."""
    step, metadata = manifest.get("step"), manifest.get("metadata")
    if manifest["kind"] != KIND or not isinstance(metadata, dict):
        raise WeightsError(f"{path}: not a checkpoint")
    if manifest.get("metadata_sha256") != _digest(step, metadata):
        raise WeightsError(f"{path}: damaged manifest: step or metadata changed")
    if step_number(path) not in (None, step):
        raise WeightsError(f"{path}: holds step {step}")


def step_number(path: Path) -> int | None:
    """Return the step in the name of a checkpoint folder, None if it has none."""
    match = _STEP.fullmatch(path.name)
    return int(match[1]) if match else None


def checkpoint_folders(root: Path) -> dict[int, Path]:
    """Return the checkpoints in a ``checkpoints`` folder by step, ascending."""
    found: dict[int, Path] = {}
    for path in root.iterdir() if root.is_dir() else ():
        step = step_number(path)
        if step is None or not path.is_dir():
            continue
        if step not in found or not path.name.startswith(_OLD):
            found[step] = path
    return dict(sorted(found.items()))


def _recover(root: Path) -> None:
    """Clear up after a crash; the caller holds the lock."""
    remove_leftovers(root)
    for aside in filter(Path.is_dir, root.glob(f"{_OLD}step-*")):
        target = root / aside.name[len(_OLD) :]
        if not target.is_dir():
            os.rename(aside, target)
            continue
        with leaving(root):
            discard(aside)


def _prune(root: Path, step: int, keep: int) -> None:
    """Remove checkpoints before ``step`` until ``keep`` intact ones are left.

    A damaged one does not count, so that it can never push out one that is needed.
    """
    intact = 1  # the one just written
    for number, path in reversed(checkpoint_folders(root).items()):
        if number >= step:
            continue
        if intact >= keep:
            with leaving(root):
                discard(path)
            continue
        try:
            load_checkpoint(path, with_tensors=False)
            intact += 1
        except (WeightsError, OSError):
            pass
    fsync_directory(root)


def _digest(step: Any, metadata: Any) -> str:
    """Return a checksum of what the tensors' own do not cover."""
    text = json.dumps([step, metadata], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
