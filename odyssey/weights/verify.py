"""Find and check the sets of tensors in a folder, for ``python -m odyssey verify``."""

import math
from pathlib import Path

from odyssey.weights.checkpoint import (
    KIND,
    check_checkpoint,
    checkpoint_folders,
    list_checkpoints,
    step_number,
)
from odyssey.weights.folder import has_manifest, read_listed
from odyssey.weights.manifest import CHECKSUM
from odyssey.weights.tensor_set import weight_files


def find_sets(directory: Path) -> list[Path]:
    """Return the folders to verify: ``directory``, the checkpoints in it, or both.

    ``directory`` is a folder of weights, a checkpoint, the ``checkpoints`` of a run, or
    the folder of a run, which may not have weights yet.
    """
    checkpoints = list_checkpoints(directory)
    checkpoints += checkpoint_folders(directory).values()
    if has_manifest(directory) or weight_files(directory) or not checkpoints:
        return [directory, *checkpoints]
    return checkpoints


def verify_set(directory: Path) -> str:
    """Check a folder and return a summary; raise ``WeightsError`` for a mismatch."""
    manifest = read_listed(directory, with_tensors=False).manifest
    matching = "all there and matching"
    if manifest["kind"] == KIND or step_number(directory) is not None:
        check_checkpoint(directory, manifest)
    elif CHECKSUM not in manifest:
        matching += "; what the manifest says of the model has no checksum"
    entries = manifest["tensors"].values()
    numbers = sum(math.prod(entry["shape"]) for entry in entries)
    size = sum(entry["bytes"] for entry in entries)
    return (
        f"{manifest['kind']}, {len(entries)} tensors, {numbers:,} numbers, "
        f"{size / 1e6:.1f} MB: {matching}"
    )
