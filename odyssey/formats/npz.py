"""NumPy's archives of arrays (.npz), read and written without pickle.

An ``.npz`` is a zip archive with one ``.npy`` for each array: a magic number, a header
such as ``{'descr': '<f4', 'fortran_order': False, 'shape': (10,), }``, the elements.
``numpy.load`` evaluates that header as Python and can unpickle objects; here a pattern
reads the header, and what would need pickle is refused.
"""

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from odyssey import bfloat16
from odyssey.formats.elements import (
    CODES,
    in_native_order,
    little_endian,
    why_no_shape,
)
from odyssey.formats.tensor_file import FormatError, TensorFile
from odyssey.formats.zip_reader import (
    MAX_COMMENT,
    Allowance,
    ZipReader,
    first_name,
)
from odyssey.formats.zip_writer import zip_chunks
from odyssey.weights.files import atomic_write_chunks, file_size
from odyssey.weights.strict_json import parse_json

KIND = "NumPy (npz)"
SUFFIX = ".npy"
_MAGIC = b"\x93NUMPY"
#: Deflate packs zeros a thousandfold.  Beyond the first number of bytes, the arrays may
#: be at most that many times as large as the file; weights are never packed so small.
FREE_BYTES, MAX_INFLATION = 64 << 20, 8
_MAX_HEADER = 10_000  # of an array; NumPy's own limit
_SHAPE = r"\((?:\d{1,19}L?(?:, ?|(?=\))))*\)"  # Python 2 wrote (3L, 4L)
_VALUE = rf"(['\"][^'\"]*['\"]|True|False|{_SHAPE}|\[[^\[\]]*\])"
_ITEM = rf" ?['\"](descr|fortran_order|shape)['\"] ?: ?{_VALUE} ?"
_ITEMS = re.compile(_ITEM)
_HEADER = re.compile(rf"\{{{_ITEM},{_ITEM},{_ITEM}(, ?)?\}}")
_CODE = re.compile(r"[<>|=]([A-Za-z])\d*(\[.*\])?")
#: What is refused, by the letters of NumPy's kinds.
_REFUSED = {
    "O": "objects, which only pickle can read",
    "V": "raw bytes of an unknown dtype, as NumPy writes bfloat16",
    "U": "text",
    "S": "text as bytes",
    "c": "complex numbers",
    "M": "dates",
    "m": "lengths of time",
}


def is_npz(head: bytes) -> bool:
    """Return whether a file that begins with ``head`` is a zip archive of arrays."""
    return (first_name(head) or "").endswith(SUFFIX)


def read_npz(path: str | os.PathLike) -> TensorFile:
    """Read all arrays of an archive, in its order.

    Raises
    ------
    FormatError
        If it is damaged, or an array has another dtype; names file and array.
    """
    path = Path(path)
    size = file_size(path)
    allowance = Allowance(max(FREE_BYTES, MAX_INFLATION * size))
    tensors = {}
    try:
        with open(path, "rb") as file:
            archive = ZipReader(file, size, allowance)
            for record in archive.records:
                name = record.removesuffix(SUFFIX)
                if name == record:
                    raise FormatError(f"{name}: not an array ({SUFFIX})")
                try:
                    tensors[name] = decode_npy(archive.read_array(record))
                except ValueError as error:
                    if isinstance(error, FormatError):
                        raise
                    raise FormatError(f"{name}: {error}") from None
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    return TensorFile(KIND, tensors, _metadata(archive.comment))


def write_npz(
    path: str | os.PathLike,
    tensors: Mapping[str, np.ndarray],
    metadata: Mapping[str, Any],
) -> tuple[str, ...]:
    """Write an archive that ``numpy.load`` reads, not compressed, as ``numpy.savez``.

    ``metadata`` is written as JSON into the comment of the archive, where there is room
    for 65,535 bytes.

    Returns
    -------
    notes : what the file does not hold as it was: bfloat16, which NumPy does not know,
        becomes float32, which is exact

    Raises
    ------
    FormatError
        If a tensor has another dtype; names it.
    """
    members, notes, widened = {}, [], []
    for name, tensor in tensors.items():
        if bfloat16.is_bfloat16(tensor.dtype):
            tensor = bfloat16.widen(tensor)
            widened.append(name)
        code = tensor.dtype.newbyteorder("<").str
        if code[1:] not in CODES:
            raise FormatError(f"{path}: {name}: {tensor.dtype} is not possible in npz")
        members[name + SUFFIX] = (
            _npy_header(code, tensor.shape),
            little_endian(tensor),
        )
    if widened:
        notes.append(f"{len(widened)} bfloat16 tensors became float32, which is exact")
    comment = json.dumps(dict(metadata), allow_nan=False).encode() if metadata else b""
    if len(comment) > MAX_COMMENT:
        notes.append(f"metadata left out: {len(comment)} bytes, over {MAX_COMMENT}")
        comment = b""
    atomic_write_chunks(path, zip_chunks(members, comment))
    return tuple(notes)


def decode_npy(content: np.ndarray) -> np.ndarray:
    """Return the array in the bytes of an ``.npy``, in their memory if possible.

    Parameters
    ----------
    content : (size,) uint8; nothing else may use it afterwards

    Raises
    ------
    ValueError
        If it is damaged, or of another dtype; says how.
    """
    start = content[:12].tobytes()
    if start[:6] != _MAGIC or start[6:7] not in (b"\1", b"\2", b"\3"):
        raise ValueError("not an array of NumPy")
    begin = 10 if start[6] == 1 else 12
    length = int.from_bytes(start[8:begin], "little")
    if length > _MAX_HEADER:
        raise ValueError(f"a header of {length} bytes is too long")
    header = content[begin : begin + length].tobytes().decode("latin-1")
    descr, fortran_order, shape = _parse_header(header)
    dtype = _dtype(descr)
    if reason := why_no_shape(shape, dtype.itemsize):
        raise ValueError(reason)
    bits = content[begin + length :]
    if (needed := math.prod(shape) * dtype.itemsize) != bits.size:
        raise ValueError(
            f"{dtype} of shape {shape} takes {needed} bytes, {bits.size} are there"
        )
    if dtype == np.bool_ and (bits > 1).any():
        raise ValueError("a bool that is neither 0 nor 1")
    elements = in_native_order(bits.view(dtype))
    if not elements.flags.aligned:
        elements = elements.copy()
    if fortran_order:
        return np.ascontiguousarray(elements.reshape(shape[::-1]).T).reshape(shape)
    return elements.reshape(shape)


def _parse_header(text: str) -> tuple[str, bool, tuple[int, ...]]:
    """Return dtype, whether in Fortran order, and shape of an ``.npy``'s header."""
    text = " ".join(text.split())
    values = dict(_ITEMS.findall(text)) if _HEADER.fullmatch(text) else {}
    descr, order, shape = (values.get(k) for k in ("descr", "fortran_order", "shape"))
    if not (descr and order in ("True", "False") and shape and shape[0] == "("):
        raise ValueError(f"its header is not NumPy's: {text[:60]!r}")
    numbers = tuple(map(int, re.findall(r"\d+", shape)))
    return descr.strip("'\""), order == "True", numbers


def _dtype(descr: str) -> np.dtype:
    if descr[:1] in ("<", ">", "|", "=") and descr[1:] in CODES:
        return np.dtype(descr)
    kind = "a table of columns" if descr.startswith("[") else None
    if code := _CODE.fullmatch(descr):
        kind = _REFUSED.get(code[1])
    raise ValueError(
        (f"it holds {kind}" if kind else f"dtype {descr[:40]!r} is not read")
        + "; bool, integers and floats of up to 64 bits are read"
    )


def _metadata(comment: bytes) -> dict[str, Any]:
    """Return the metadata that `write_npz` has put into a comment, if it did."""
    try:
        found = parse_json(comment)
    except ValueError:
        return {"comment": comment.decode("latin-1")} if comment else {}
    return found if isinstance(found, dict) else {"comment": comment.decode("latin-1")}


def _npy_header(code: str, shape: tuple[int, ...]) -> bytes:
    """Return magic number and header, together a multiple of 64 bytes."""
    text = f"{{'descr': {code!r}, 'fortran_order': False, 'shape': {shape}, }}"
    space = -(10 + len(text) + 1) % 64
    data = f"{text}{' ' * space}\n".encode("ascii")
    return _MAGIC + b"\1\0" + len(data).to_bytes(2, "little") + data
