"""Files of safetensors: a header in JSON, then the elements of all tensors.

::

    8 bytes    number of bytes of the header, little-endian
    header     {"__metadata__": {"key": "text", ...},
                "bias": {"dtype": "F32", "shape": [10], "data_offsets": [0, 40]}, ...}
    data       the elements, in C order, little-endian; offsets count from here

The tensors cover the data without a gap, and none lies on another.  The format is
simple enough to be read and written here: nothing needs to be installed for it, and
arrays in any memory order are written right (safetensors 0.8.0 writes the memory of
an array as it lies).
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from odyssey import bfloat16
from odyssey.formats.elements import (
    NO_ML_DTYPES,
    as_bfloat16,
    in_native_order,
    is_unicode,
    little_endian,
    why_no_shape,
)
from odyssey.formats.tensor_file import FormatError, TensorFile
from odyssey.weights.files import atomic_write_bytes, file_size
from odyssey.weights.strict_json import parse_json

KIND = "safetensors"
METADATA = "__metadata__"
#: Without it Hugging Face's loaders refuse a file that has other metadata.
FORMAT = {"format": "pt"}
#: Names of dtypes in a header, with NumPy's; bfloat16 is read as its bits.
DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    **{f"I{8 * n}": np.dtype(f"<i{n}") for n in (1, 2, 4, 8)},
    **{f"U{8 * n}": np.dtype(f"<u{n}") for n in (1, 2, 4, 8)},
    "BF16": np.dtype("<u2"),
}
_BFLOAT16 = "BF16"
_CODES = {dtype.name: code for code, dtype in DTYPES.items() if code != _BFLOAT16}
_CODES[bfloat16.NAME] = _BFLOAT16
#: Parsed, a header takes up to 25 times its bytes.  So beyond the first number of bytes
#: it may be at most a quarter of the data; the second is the format's own limit.
FREE_HEADER, MAX_HEADER = 4 << 20, 100_000_000
_KEYS = {"dtype", "shape", "data_offsets"}


def is_safetensors(head: bytes, size: int) -> bool:
    """Return whether a file of ``size`` bytes that begins with ``head`` is one."""
    length = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and 2 <= length <= min(size - 8, MAX_HEADER)


def read_safetensors(path: str | os.PathLike) -> TensorFile:
    """Read all tensors of a file, in the order of its header.

    Raises
    ------
    FormatError
        If the file is damaged or holds another dtype; names file and tensor.
    """
    path = Path(path)
    size = file_size(path)
    with open(path, "rb") as file:
        header, start = _read_header(file, size, path)
        metadata = _metadata(header.pop(METADATA, {}), path)
        _check_entries(header, size - start, path)
        tensors = {}
        for name, entry in header.items():
            tensors[name] = _read_tensor(file, start, name, entry, path)
    lacking = any(
        entry["dtype"] == _BFLOAT16 and not bfloat16.is_bfloat16(tensors[name].dtype)
        for name, entry in header.items()
    )
    return TensorFile(KIND, tensors, metadata, (NO_ML_DTYPES,) if lacking else ())


def write_safetensors(
    path: str | os.PathLike,
    tensors: Mapping[str, np.ndarray],
    metadata: Mapping[str, Any],
) -> tuple[str, ...]:
    """Write tensors to a file, which appears when all is on disk.

    Parameters
    ----------
    path : the file to write; its directory must exist
    tensors : by name, of any strides and byte order
    metadata : JSON by key; the format has only text, so other values become JSON text.
        If there is any, it begins with "format", "pt" unless it says another

    Returns
    -------
    notes : what the file does not hold, here always nothing

    Raises
    ------
    FormatError
        If a tensor has another dtype; names it.
    """
    header: dict[str, Any] = {}
    if metadata:
        texts = {key: _as_text(value) for key, value in metadata.items()}
        header[METADATA] = {**FORMAT, **texts}
    views = {}
    for name, tensor in tensors.items():
        code = _CODES.get(tensor.dtype.newbyteorder("=").name)
        if code is None or name == METADATA:
            reason = "a name that the format keeps" if code else f"{tensor.dtype}"
            raise FormatError(f"{path}: {name}: {reason}, not possible in safetensors")
        header[name] = {"dtype": code, "shape": list(tensor.shape)}
        views[name] = little_endian(tensor)
    # Large elements first, as readers that map the file want them aligned.
    order = sorted(views, key=lambda name: -tensors[name].dtype.itemsize)
    start = 0
    for name in order:
        header[name]["data_offsets"] = [start, start + len(views[name])]
        start += len(views[name])
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    length = len(text).to_bytes(8, "little")
    atomic_write_bytes(path, length, text, *(views[name] for name in order))
    return ()


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, allow_nan=False)


def _read_header(file: BinaryIO, size: int, path: Path) -> tuple[dict, int]:
    """Return the parsed header, and where the data begins."""
    length = int.from_bytes(file.read(8), "little")
    if length > size - 8:
        raise FormatError(
            f"{path}: a header of {length} bytes in a file of {size}: cut short, or "
            "not a safetensors file"
        )
    if length > min(MAX_HEADER, max(FREE_HEADER, (size - 8 - length) // 4)):
        raise FormatError(f"{path}: a header of {length} bytes is too long")
    text = file.read(length)
    if len(text) != length:
        raise FormatError(f"{path}: cut short while it was read")
    try:
        header = parse_json(text)
    except ValueError as error:
        reason = f"{error}" if not isinstance(error, UnicodeError) else "not UTF-8"
        raise FormatError(f"{path}: damaged header: {reason}") from None
    if not isinstance(header, dict):
        raise FormatError(f"{path}: damaged header: not a JSON object")
    return header, 8 + length


def _metadata(found: Any, path: Path) -> dict[str, str]:
    if not isinstance(found, dict) or not all(
        isinstance(text, str) and is_unicode(text)
        for pair in found.items()
        for text in pair
    ):
        raise FormatError(f"{path}: damaged header: {METADATA} is not text by key")
    return found


def _check_entries(header: Mapping[str, Any], size: int, path: Path) -> None:
    """Raise unless the tensors cover ``size`` bytes of data, each byte once."""
    places = []
    for name, entry in header.items():
        reason = _why_no_entry(entry)
        if not is_unicode(name):
            reason = "half a character in its name"
        if reason:
            raise FormatError(f"{path}: {name}: {reason}")
        start, end = entry["data_offsets"]
        dtype, shape = entry["dtype"], entry["shape"]
        if (needed := math.prod(shape) * DTYPES[dtype].itemsize) != end - start:
            raise FormatError(
                f"{path}: {name}: {dtype} of shape {tuple(shape)} takes {needed} "
                f"bytes, its data_offsets {start} to {end} hold {end - start}"
            )
        places.append((start, end, name))
    reached, before = 0, "the header"
    for start, end, name in sorted(places):
        if start != reached:
            kind = "overlaps" if start < reached else "leaves a gap after"
            raise FormatError(f"{path}: {name}: begins at {start}, {kind} {before}")
        reached, before = end, name
        if end > size:
            raise FormatError(
                f"{path}: {name}: ends at byte {end} of {size}: the file is cut short"
            )
    if reached != size:
        raise FormatError(f"{path}: {size - reached} bytes belong to no tensor")


def _why_no_entry(entry: Any) -> str:
    """Return what is wrong with an entry of the header by itself, "" if nothing."""
    if not isinstance(entry, dict) or entry.keys() != _KEYS:
        return f"its entry does not have just {', '.join(sorted(_KEYS))}"
    dtype, offsets = entry["dtype"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        return f"dtype {dtype!r:.40} is not read, only {', '.join(DTYPES)}"
    if reason := why_no_shape(entry["shape"], DTYPES[dtype].itemsize):
        return reason
    if (
        not isinstance(offsets, list)
        or [type(offset) for offset in offsets] != [int, int]
        or not 0 <= offsets[0] <= offsets[1]
    ):
        return "its data_offsets are not two numbers, the first at most the second"
    return ""


def _read_tensor(
    file: BinaryIO, start: int, name: str, entry: Mapping[str, Any], path: Path
) -> np.ndarray:
    elements = np.empty(entry["shape"], DTYPES[entry["dtype"]])
    bits = elements.reshape(-1).view(np.uint8)
    file.seek(start + entry["data_offsets"][0])
    if file.readinto(bits.data) != bits.size:  # type: ignore[attr-defined]
        raise FormatError(f"{path}: {name}: cut short while it was read")
    if entry["dtype"] == "BOOL" and (bits > 1).any():
        raise FormatError(f"{path}: {name}: BOOL holds a byte that is not 0 or 1")
    elements = in_native_order(elements)
    return as_bfloat16(elements) if entry["dtype"] == _BFLOAT16 else elements
