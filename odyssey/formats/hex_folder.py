"""Sets of tensors in Odyssey's own form: folders of hex files, and single ones."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from odyssey.formats.tensor_file import ODYSSEY, FormatError, TensorFile
from odyssey.weights.checkpoint import CHECKPOINTS
from odyssey.weights.files import WeightsError
from odyssey.weights.folder import has_manifest, read_folder, save_folder
from odyssey.weights.hexfile import DTYPES, load_tensor_with_name
from odyssey.weights.manifest import CHECKSUM, MANIFEST, RESERVED, check_names
from odyssey.weights.tensor_set import weight_files

KIND, KIND_OF_FILE = "folder of hex files", "hex file"
#: The key of a manifest with the metadata of another format, whose keys are free.
OTHER_METADATA = "other_metadata"


def is_hex_file(head: bytes) -> bool:
    """Return whether the second line of a file begins with a dtype."""
    words = head.partition(b"\n")[2].split(None, 1)
    return bool(words) and words[0].decode("latin-1") in DTYPES


def read_hex_folder(path: str | os.PathLike) -> TensorFile:
    """Read all tensors of a folder; what its manifest says of a model is metadata.

    Raises
    ------
    WeightsError
        If the folder holds no weights, or damaged ones.
    """
    path = Path(path)
    if not (has_manifest(path) or weight_files(path)):
        raise FormatError(f"{path}: {_why_no_weights(path)}")
    tensors, manifest = read_folder(path)
    if manifest is None:
        note = f"no {MANIFEST}: whether these are all tensors cannot be checked"
        return TensorFile(KIND, tensors, {}, (note,))
    return TensorFile(KIND, tensors, metadata_of(manifest))


def metadata_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a manifest says besides its tensors, as `write_hex_folder` takes it.

    What it says of a model is under "odyssey", if there is anything.
    """
    kept = {k: v for k, v in manifest.items() if k not in (*RESERVED, CHECKSUM)}
    other = kept.pop(OTHER_METADATA, {})
    metadata = dict(other) if isinstance(other, dict) else {}
    return metadata | ({ODYSSEY: kept} if kept else {})


def read_hex_file(path: str | os.PathLike) -> TensorFile:
    """Read a single hex file; without a name in it, the tensor is named as the file."""
    name, tensor = load_tensor_with_name(path)
    return TensorFile(KIND_OF_FILE, {name or Path(path).stem: tensor}, {})


def write_hex_folder(
    path: str | os.PathLike,
    tensors: Mapping[str, np.ndarray],
    metadata: Mapping[str, Any],
) -> tuple[str, ...]:
    """Write a folder, replacing the weights that are in it; see `save_folder`.

    What ``metadata`` has under "odyssey" becomes keys of the manifest; all else goes
    under one key, so that it is not taken for the model's options.

    Returns
    -------
    notes : what is not held as it was: a hex file has no bool, these become uint8

    Raises
    ------
    FormatError
        If a name cannot be that of a file, or a hex file does not have the dtype.
    """
    check_names(tensors, os.fspath(path))
    held, notes = {}, []
    for name, tensor in tensors.items():
        if tensor.dtype == np.bool_:
            tensor = tensor.view(np.uint8)
            notes.append(f"{name}: bool became uint8")
        if tensor.dtype.newbyteorder("=").name not in DTYPES:
            raise FormatError(f"{path}: {name}: {tensor.dtype} is not possible in hex")
        held[name] = tensor
    header = dict(metadata)
    own = header.pop(ODYSSEY, {})
    if not isinstance(own, Mapping):
        own, header = {}, dict(metadata)
    try:
        manifest = {**own, **({OTHER_METADATA: header} if header else {})}
        save_folder(held, path, metadata=manifest)
    except WeightsError:
        raise
    except (TypeError, ValueError) as error:  # of the arguments
        raise FormatError(f"{path}: {error}") from None
    return tuple(notes)


def _why_no_weights(path: Path) -> str:
    """Return what a folder without hex files is, and what to name in its place."""
    if (path / CHECKPOINTS).is_dir():
        return f"holds no weights yet; name one of its {CHECKPOINTS}"
    suffixes = (".safetensors", ".pth", ".pt", ".bin", ".npz")
    files = sorted(p.name for p in path.iterdir() if p.suffix in suffixes)
    return (
        f"holds no hex files; name a file in it: {files[0]}"
        if files
        else "holds no weights"
    )
