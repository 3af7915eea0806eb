"""Read tensors from a file of any format, and write them in the format of a suffix.

What a file is, is told by its first bytes: names are often wrong, ``.pt`` is used for
two formats, and ``.bin`` for any.
"""

import contextlib
import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from odyssey.data.file_kinds import HEAD_BYTES, kind_of
from odyssey.formats import hex_folder, npz, pytorch, safetensors
from odyssey.formats.elements import is_unicode
from odyssey.formats.tensor_file import ODYSSEY, FormatError, TensorFile
from odyssey.weights.files import dead_link, file_size
from odyssey.weights.strict_json import parse_json

#: Modules and functions that write a format, by the suffixes of its files.
WRITERS = {
    (".pth", ".pt", ".th"): ("pytorch", "write_pytorch"),
    (".safetensors",): ("safetensors", "write_safetensors"),
    (".npz",): ("npz", "write_npz"),
    ("",): ("hex_folder", "write_hex_folder"),
}
READ = "PyTorch, safetensors, NumPy (npz) and folders of hex files"
#: Formats that are known, and not read: first bytes, name and advice.
_OTHERS = (
    (b"GGUF", "a GGUF model, whose tensors are quantised"),
    (b"\x89HDF", "an HDF5 file, as Keras writes it: save its weights as npz"),
    (b"TFL3", "a TensorFlow Lite model"),
)


def read_tensors(path: str | os.PathLike) -> TensorFile:
    """Read all tensors of a file or folder, whatever its name.

    Returns
    -------
    file : its tensors with the names and dtypes of the file, in memory of their own

    Raises
    ------
    FormatError
        If it is damaged, of a format that is not read, or holds a refused dtype; names
        file and tensor.
    FileNotFoundError
        If there is no such file.
    """
    found = _read(Path(path))
    own = found.metadata.get(ODYSSEY)
    if isinstance(own, str):  # a format that has only text
        with contextlib.suppress(ValueError):
            found.metadata[ODYSSEY] = parse_json(own)
    return found


def _read(path: Path) -> TensorFile:
    if reason := dead_link(path):
        raise FormatError(f"{path}: {reason}")
    if path.is_dir():
        return hex_folder.read_hex_folder(path)
    size = file_size(path)
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
    if npz.is_npz(head):
        return npz.read_npz(path)
    if pytorch.is_pytorch(head):
        return pytorch.read_pytorch(path)
    if safetensors.is_safetensors(head, size) or path.suffix == ".safetensors":
        return safetensors.read_safetensors(path)
    if hex_folder.is_hex_file(head):
        return hex_folder.read_hex_file(path)
    raise FormatError(f"{path}: {_what_it_is(path, head)}; what is read: {READ}")


def write_tensors(
    path: str | os.PathLike,
    tensors: Mapping[str, np.ndarray],
    metadata: Mapping[str, Any],
) -> tuple[str, ...]:
    """Write tensors in the format of the path's suffix; without one, a hex folder.

    Parameters
    ----------
    path : ``.pth``, ``.pt``, ``.th``, ``.safetensors``, ``.npz``, or a folder: without
        a suffix, with a slash at its end, or one that is there
    tensors : by name, of any strides and byte order; their dtypes are kept where the
        format has them
    metadata : JSON by key; under "odyssey", what a manifest says of the model

    Returns
    -------
    notes : what the format does not hold as it was, a line each

    Raises
    ------
    FormatError
        If there is no tensor, or one that the format cannot hold; names it.
    OSError
        If the file cannot be written; an old one stays as it was.
    """
    if not tensors:
        raise FormatError(f"{path}: no tensors to write")
    if wrong := [name for name in tensors if not is_unicode(name)]:
        raise FormatError(f"{path}: half a character in the name {wrong[0]!a}")
    module, function = WRITERS[_suffixes(path)]
    writer = getattr(importlib.import_module(f"odyssey.formats.{module}"), function)
    notes: tuple[str, ...] = writer(path, tensors, metadata)
    return notes


def is_folder(path: str | os.PathLike) -> bool:
    """Return whether `write_tensors` writes a folder of hex files to ``path``.

    Raises
    ------
    FormatError
        If the path has a suffix of no format that is written.
    """
    return _suffixes(path) == ("",)


def _suffixes(path: str | os.PathLike) -> tuple[str, ...]:
    text = os.fspath(path)
    if text.endswith(("/", os.sep)) or os.path.isdir(text):
        return ("",)
    suffix = Path(text).suffix.lower()
    for suffixes in WRITERS:
        if suffix in suffixes:
            return suffixes
    known = ", ".join(suffix for suffixes in WRITERS for suffix in suffixes if suffix)
    raise FormatError(
        f"{path}: no format is known for {suffix}: {known}; a folder ends with /"
    )


def _what_it_is(path: Path, head: bytes) -> str:
    """Return what a file is that is not read, as far as it is known."""
    if not head:
        return "an empty file"
    for magic, kind in _OTHERS:
        if magic in (head[:4], head[4:8]):
            return kind
    if path.suffix == ".onnx":
        return "an ONNX model, which is written here but not read"
    return kind_of(head) or "a file of an unknown format"
