"""Write a set of tensors and its manifest to a new folder, and read them with checks.

Folders of weights and checkpoints share this module.  They differ in how the new folder
replaces an old one.
"""

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from odyssey.weights.changed_files import (
    HEAD_BYTES,
    ChangedFileError,
    changed_how,
    listed,
    summed_up,
)
from odyssey.weights.files import (
    WeightsError,
    file_size,
    fsync_directory,
    write_new_file,
)
from odyssey.weights.flushing import Flusher
from odyssey.weights.hexfile import check_tensor, encode_tensor, read_tensor
from odyssey.weights.manifest import (
    MANIFEST,
    RESERVED,
    SUFFIX,
    check_names,
    encode_manifest,
)


def check_set(
    op: str, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]
) -> None:
    """Raise for what cannot be written, before anything on disk changes."""
    for argument, value in (("tensors", tensors), ("metadata", metadata)):
        if not isinstance(value, Mapping):
            raise TypeError(
                f"{op}: {argument} must be a mapping, got {type(value).__name__}"
            )
    if not tensors:
        raise ValueError(f"{op}: tensors must hold at least one tensor, got none")
    check_names(tensors, op)
    for name, tensor in tensors.items():
        check_tensor(op, f"tensors[{name!r}]", tensor)
    taken = sorted(set(metadata) & set(RESERVED))
    if taken:
        raise ValueError(f"{op}: metadata must not have the keys {', '.join(taken)}")
    entries = {n: _entry(n, t, sys.maxsize, "0" * 64) for n, t in tensors.items()}
    try:  # nested as in the manifest of a checkpoint
        encode_manifest("", {"metadata": dict(metadata)}, entries)
    except (TypeError, ValueError, RecursionError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{op}: metadata must be JSON that reads back: {error}") from None


def write_set(
    directory: Path,
    tensors: Mapping[str, np.ndarray],
    kind: str,
    header: Mapping,
    advance: Callable[[int], object] | None = None,
) -> None:
    """Write tensors, then the manifest, to an empty folder, flushed to disk.

    ``advance`` is called with the bytes of each tensor that is on disk.
    """
    entries = {}
    with Flusher() if len(tensors) > Flusher.THREADS else nullcontext() as flusher:
        for name, tensor in tensors.items():
            chunks = encode_tensor(tensor, name)
            write_new_file(directory / (name + SUFFIX), *chunks, flusher=flusher)
            digest = hashlib.sha256()
            for chunk in chunks:
                digest.update(chunk)
            size = sum(map(len, chunks))
            entries[name] = _entry(name, tensor, size, digest.hexdigest())
            if advance is not None:
                advance(tensor.nbytes)
    write_new_file(directory / MANIFEST, encode_manifest(kind, header, entries))
    fsync_directory(directory)


def read_set(
    manifest: Mapping[str, Any], folders: Sequence[Path], *, with_tensors: bool = True
) -> dict[str, np.ndarray]:
    """Read all tensors of a manifest, each from the first of ``folders`` that has it.

    A single folder must not hold other ``*.weights``.  Without ``with_tensors``
    everything is checked too, but the result is empty.

    Raises
    ------
    WeightsError
        If files are missing, unexpected or damaged; names them.
    """
    tensors, missing, damaged = {}, [], []
    for name, entry in manifest["tensors"].items():
        try:
            tensor = _read_entry(name, entry, folders)
        except FileNotFoundError:
            missing.append(entry["file"])
        except WeightsError as error:
            damaged.append(error)
        else:
            if with_tensors:
                tensors[name] = tensor
    expected = {entry["file"] for entry in manifest["tensors"].values()}
    found = {path.name for path in weight_files(folders[-1])}
    unexpected = sorted(found - expected) if len(folders) == 1 else []
    problems = [
        f"{len(files)} {kind}: {listed(files)}"
        for kind, files in (("missing", missing), ("unexpected", unexpected))
        if files
    ]
    problems += summed_up(damaged)
    if problems:
        raise WeightsError(
            f"{folders[-1]}: does not match its {MANIFEST}: {'; '.join(problems)}"
        )
    return tensors


def summary(tensors: Mapping[str, np.ndarray]) -> str:
    """Return the numbers of tensors and of their elements, in words."""
    numbers = sum(tensor.size for tensor in tensors.values())
    return f"{len(tensors)} tensors, {numbers:,} numbers"


def weight_files(directory: Path) -> list[Path]:
    """Return the ``*.weights`` of a folder, sorted by name, without hidden files."""
    return sorted(
        path
        for path in directory.iterdir()
        if path.suffix == SUFFIX and not path.name.startswith(".")
    )


def _entry(name: str, tensor: np.ndarray, size: int, sha256: str) -> dict[str, Any]:
    """Return the entry of a tensor and its file in the manifest."""
    return {
        "file": name + SUFFIX,
        "dtype": tensor.dtype.newbyteorder("=").name,
        "shape": list(tensor.shape),
        "bytes": size,
        "sha256": sha256,
    }


def _read_entry(
    name: str, entry: Mapping[str, Any], folders: Sequence[Path]
) -> np.ndarray:
    for folder in folders:
        path = folder / entry["file"]
        try:
            size = file_size(path)  # refuses a pipe, which could block
            if path.is_dir():
                raise WeightsError(f"{path}: a directory where a file belongs")
            if size != entry["bytes"]:
                with open(path, "rb") as file:
                    if change := changed_how(file.read(HEAD_BYTES)):
                        raise ChangedFileError(path, change)
                raise WeightsError(
                    f"{path}: {size} bytes, the manifest says {entry['bytes']}"
                )
            digest = hashlib.sha256()
            inside, tensor = read_tensor(path, digest)
            break
        except FileNotFoundError:
            continue
    else:
        raise FileNotFoundError(entry["file"])
    if digest.hexdigest() != entry["sha256"]:
        raise WeightsError(f"{path}: contents changed, SHA-256 is not the manifest's")
    if inside != name:
        raise WeightsError(f"{path}: line 1: name {inside!r}, expected {name!r}")
    dtype, shape = tensor.dtype.name, list(tensor.shape)
    if (dtype, shape) != (entry["dtype"], entry["shape"]):
        raise WeightsError(
            f"{path}: line 2: {dtype} {shape}, the manifest says "
            f"{entry['dtype']} {entry['shape']}"
        )
    return tensor
