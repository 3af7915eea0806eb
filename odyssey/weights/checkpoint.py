"""Checkpoints of a run: ``<run>/checkpoints/step-00001234/``, complete or not there.

Each is a folder of hex files with a manifest.  It is written to ``.tmp-...``, flushed
to disk and renamed; only then are old checkpoints removed.  If the step already has a
checkpoint, that one is first renamed to ``.old-step-...``, which counts as the step's
checkpoint as long as there is no other.
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
    """A checkpoint that was read: its folder, step, tensors and metadata."""

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
    """Write a checkpoint, flushed to disk, and return its folder.

    Afterwards older checkpoints are removed, until ``keep`` intact ones are left, the
    new one included.  Checkpoints of later steps are not touched.  One that cannot be
    deleted stays, with a warning; the next save tries again.

    Parameters
    ----------
    run_dir : folder of the run, created if necessary
    step : number of updates done
    tensors : by name, at least one; names are 1 to 120 of ``A-Za-z0-9._-``
    metadata : JSON for the manifest: recipe, seed, epoch, ...
    keep : number of checkpoints to keep, at least 1

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be written; nothing is changed then.
    OSError
        If the disk is full or the folder cannot be written; the earlier checkpoints
        stay.
    """
    step = check_int("save_checkpoint", "step", step, 0)
    keep = check_int("save_checkpoint", "keep", keep, 1)
    check_set("save_checkpoint", tensors, metadata)
    metadata = json.loads(json.dumps(dict(metadata)))  # as it will be read
    header = {
        "step": step,
        "metadata": metadata,
        "metadata_sha256": _digest(step, metadata),
    }
    root = Path(run_dir) / CHECKPOINTS
    make_directory(root)
    target = checkpoint_folder(run_dir, step)
    aside = root / (_OLD + target.name)
    with directory_lock(root):
        _recover(root)
        with temporary_directory(root, target.name) as staging:
            write_set(staging, tensors, KIND, header)
            if target.is_dir():  # a folder cannot be renamed over another
                os.rename(target, aside)
            os.rename(staging, target)
        fsync_directory(root)
        with leaving(root):  # saved; the next save can clear up what stays now
            if aside.is_dir():
                discard(aside)
            _prune(root, step, keep)
    return target


def checkpoint_folder(run_dir: str | os.PathLike, step: int) -> Path:
    """Return where the checkpoint of a step is, or would be."""
    return Path(run_dir) / CHECKPOINTS / f"step-{step:08d}"


def list_checkpoints(run_dir: str | os.PathLike) -> list[Path]:
    """Return the checkpoint folders of a run, sorted by step."""
    return list(checkpoint_folders(Path(run_dir) / CHECKPOINTS).values())


def load_checkpoint(
    path: str | os.PathLike, *, with_tensors: bool = True
) -> LoadedCheckpoint:
    """Read a checkpoint; without ``with_tensors`` check it, but return no tensors.

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
    The checkpoint, or None if the run has no checkpoints.

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
    """Tell by name or manifest whether a folder is a checkpoint, even a damaged one."""
    if step_number(path.resolve()) is not None:
        return True
    try:
        manifest = decode_manifest(read_manifest_bytes(path / MANIFEST), path)
    except (WeightsError, OSError):
        return False
    return manifest["kind"] == KIND


def check_checkpoint(path: Path, manifest: Mapping[str, Any]) -> None:
    """Raise ``WeightsError`` unless ``manifest`` belongs to the checkpoint ``path``."""
    step, metadata = manifest.get("step"), manifest.get("metadata")
    if manifest["kind"] != KIND or not isinstance(metadata, dict):
        raise WeightsError(f"{path}: not a checkpoint")
    if manifest.get("metadata_sha256") != _digest(step, metadata):
        raise WeightsError(f"{path}: damaged manifest: step or metadata changed")
    if step_number(path) not in (None, step):
        raise WeightsError(f"{path}: holds step {step}")


def step_number(path: Path) -> int | None:
    """Return the step in the name of a folder, None if it has none."""
    match = _STEP.fullmatch(path.name)
    return int(match[1]) if match else None


def checkpoint_folders(root: Path) -> dict[int, Path]:
    """Return the folders in a ``checkpoints`` folder by step, ascending."""
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

    Damaged ones do not count, so that they never take the place of one that is needed.
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
    """Return the checksum of step and metadata, which no tensor's checksum covers."""
    text = json.dumps([step, metadata], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
