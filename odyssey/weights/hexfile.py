"""A tensor in a text file of three lines, readable for people and programs.

::

    conv1_kernel
    float32 64 3 3 3
    0000803f...

The first line is the name.  The second has the dtype and the dimensions, separated by
single spaces; a scalar has no dimensions.  The third has the elements in C order,
little-endian, with two hex digits for each byte: float32 1.0 is ``0000803f``, bfloat16
1.0 is ``803f``.  The first line may be empty, and the third is empty if the tensor has
no elements.

The reader compares the number of hex digits that the header announces with the size of
the file before it allocates memory.
"""

import binascii
import math
import os
import re
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from odyssey import bfloat16
from odyssey.checks import check_array
from odyssey.weights.changed_files import (
    CARRIAGE_RETURN,
    HEAD_BYTES,
    ChangedFileError,
    changed_how,
)
from odyssey.weights.files import WeightsError, atomic_write_bytes, file_size

__all__ = ["load_tensor", "load_tensor_with_name", "save_tensor"]

_KINDS = [("float", (16, 32, 64)), ("int", (8, 16, 32, 64)), ("uint", (8, 16, 32, 64))]
#: How elements lie in a file, by the names of dtypes that the second line may begin
#: with.  NumPy has no bfloat16 of its own: its elements are read and written as bits.
DTYPES = {
    f"{kind}{bits}": np.dtype(f"{kind}{bits}").newbyteorder("<")
    for kind, sizes in _KINDS
    for bits in sizes
} | {bfloat16.NAME: np.dtype("<u2")}
MAX_NDIM = 32  # supported by every version of NumPy
_MAX_LINE = 1 << 16  # bytes of the name, and of dtype with dimensions
_TOO_FEW_LINES = "the file ends here, and must have three lines"
_DIMENSION = re.compile(r"0|[1-9][0-9]*", re.ASCII)
_NOT_HEX = re.compile(rb"[^0-9a-fA-F]")


def save_tensor(
    tensor: np.ndarray, filepath: str | os.PathLike, name: str = ""
) -> None:
    """Write a tensor to a hex file; an old file is replaced when all is on disk.

    Parameters
    ----------
    tensor : any shape, strides and byte order; float16/32/64, bfloat16 of ml_dtypes,
        (u)int8/16/32/64
    filepath : the file to write; its directory must exist
    name : printable ASCII, or empty; in a folder of weights, the stem of the file

    Raises
    ------
    TypeError
        If ``tensor`` is not an array of such a dtype, or ``name`` not a string.
    ValueError
        If ``name`` holds a newline or another character that is not printable ASCII.
    OSError
        If the file cannot be written; an old file stays as it was.
    """
    atomic_write_bytes(filepath, *encode_tensor(tensor, name))


def load_tensor(filepath: str | os.PathLike) -> np.ndarray:
    """Read the tensor of a hex file; see `load_tensor_with_name`."""
    return load_tensor_with_name(filepath)[1]


def load_tensor_with_name(filepath: str | os.PathLike) -> tuple[str, np.ndarray]:
    """Read name and tensor of a hex file.

    Returns
    -------
    name : the first line
    tensor : in C order and native byte order, with its own writeable memory

    Raises
    ------
    WeightsError
        (a ``ValueError``) If the file is damaged, or holds bfloat16 numbers and there
        is no ml_dtypes; names file, line and reason.
    FileNotFoundError
        If there is no such file.
    """
    return read_tensor(filepath)


def check_tensor(op: str, label: str, tensor: Any) -> str:
    """Raise unless a hex file can hold ``tensor``; return the name of its dtype."""
    check_array(op, label, tensor)
    dtype = tensor.dtype.newbyteorder("=").name
    if dtype not in DTYPES:
        raise TypeError(
            f"{op}: {label} must have one of the dtypes {', '.join(DTYPES)}, "
            f"got {tensor.dtype}"
        )
    if tensor.ndim > MAX_NDIM:
        raise ValueError(
            f"{op}: {label} must have at most {MAX_NDIM} dimensions, got {tensor.ndim}"
        )
    return dtype


def encode_tensor(tensor: np.ndarray, name: str = "") -> tuple[bytes, bytes, bytes]:
    """Return the content of a hex file in three parts: header, hex digits, newline."""
    dtype = check_tensor("save_tensor", "tensor", tensor)
    if not isinstance(name, str):
        raise TypeError(f"save_tensor: name must be a str, got {type(name).__name__}")
    if not (name.isascii() and name.isprintable()) or len(name) >= _MAX_LINE:
        raise ValueError(
            "save_tensor: name must be one line of printable ASCII, "
            f"got {ascii(name)[:200]}"
        )
    header = f"{name}\n{' '.join([dtype, *map(str, tensor.shape)])}\n"
    elements = np.ascontiguousarray(bfloat16.as_bits(tensor), DTYPES[dtype])
    digits = binascii.hexlify(elements.data)
    return header.encode("ascii"), digits, b"\n"


def read_tensor(path: str | os.PathLike, digest: Any = None) -> tuple[str, np.ndarray]:
    """Read a hex file; update ``digest`` (of hashlib) with its bytes."""
    path = Path(path)
    file_size(path)
    with open(path, "rb") as file:
        try:
            first = _read_header_line(file, path, 1)
            name = _decode_name(first[:-1], path)
            second = _read_header_line(file, path, 2)
            kind, shape = _decode_form(second.removesuffix(b"\n"), path)
            dtype = _native(kind, path)
            if not second.endswith(b"\n") and 0 not in shape:
                raise _damaged(path, 2, _TOO_FEW_LINES)
            digits = _read_digits(file, path, kind, shape)
        except WeightsError as error:
            file.seek(0)
            change = changed_how(file.read(HEAD_BYTES))
            if change and not isinstance(error, ChangedFileError):
                raise ChangedFileError(path, change) from None
            raise
    if digest is not None:
        for line in (first, second, digits):
            digest.update(line)
    count = len(digits) - digits.endswith(b"\n")
    try:
        data = binascii.unhexlify(memoryview(digits)[:count])
    except binascii.Error:
        odd = _NOT_HEX.search(digits)
        where = odd.start() if odd else 0
        raise _damaged(
            path, 3, f"character {where + 1} is no hex digit: {_show(digits[where:])}"
        ) from None
    tensor = np.empty(shape, dtype)
    elements = np.frombuffer(data, DTYPES[kind]).reshape(shape)
    bfloat16.as_bits(tensor)[...] = elements
    return name, tensor


def _read_header_line(file: BinaryIO, path: Path, number: int) -> bytes:
    line = file.readline(_MAX_LINE + 1)
    if not line.isascii():
        raise _damaged(path, number, "not ASCII")
    if len(line.removesuffix(b"\n")) > _MAX_LINE:
        raise _damaged(path, number, f"longer than {_MAX_LINE} characters")
    # The file may end without a newline, also after line 2 if line 3 is empty.
    if not line or (number == 1 and not line.endswith(b"\n")):
        raise _damaged(path, number, _TOO_FEW_LINES)
    if line.endswith(b"\r\n"):
        raise ChangedFileError(path, CARRIAGE_RETURN, number)
    return line


def _decode_name(line: bytes, path: Path) -> str:
    name = line.decode("ascii")
    if not name.isprintable():
        raise _damaged(path, 1, f"name with unprintable characters: {_show(line)}")
    return name


def _decode_form(line: bytes, path: Path) -> tuple[str, tuple[int, ...]]:
    """Return dtype and shape of the second line, without allocating memory."""
    kind, *dims = line.decode("ascii").split(" ")
    if kind not in DTYPES:
        raise _damaged(
            path, 2, f"unknown dtype {kind[:40]!r}; known are {', '.join(DTYPES)}"
        )
    if len(dims) > MAX_NDIM:
        raise _damaged(path, 2, f"{len(dims)} dimensions, more than {MAX_NDIM}")
    for dim in dims:
        if not _DIMENSION.fullmatch(dim):
            raise _damaged(
                path, 2, f"dimension {dim[:40]!r} is not a plain decimal number"
            )
        if len(dim) > 19:  # too large for 64 bits; int() has a limit too
            raise _damaged(path, 2, f"dimension {dim[:40]} is too large")
    shape = tuple(map(int, dims))
    # NumPy refuses even an empty array if the product of its other dimensions is large.
    if math.prod(d for d in shape if d) * DTYPES[kind].itemsize > sys.maxsize:
        raise _damaged(path, 2, f"shape {shape} is too large")
    return kind, shape


def _native(kind: str, path: Path) -> np.dtype:
    """Return the dtype of this name, in the processor's byte order."""
    if kind != bfloat16.NAME:
        return DTYPES[kind].newbyteorder("=")
    try:
        return bfloat16.bfloat16()
    except ImportError as error:
        raise _damaged(path, 2, str(error)) from None


def _read_digits(
    file: BinaryIO, path: Path, kind: str, shape: tuple[int, ...]
) -> bytes:
    """Return the third line with its newline; never read much more than expected."""
    expected = 2 * math.prod(shape) * DTYPES[kind].itemsize
    rest = os.fstat(file.fileno()).st_size - file.tell()
    line = file.read(max(0, min(rest, expected + 2)))
    end = line.find(b"\n")
    count = end if end >= 0 else len(line)
    if line.endswith(b"\r", 0, count):
        raise ChangedFileError(path, CARRIAGE_RETURN, 3)
    if count != expected:
        form = f"{kind} of shape {shape}"
        got = "more" if count > expected else f"{count}"
        odd = ", an odd number" if count % 2 else ""
        raise _damaged(
            path, 3, f"{expected} hex digits expected for {form}, got {got}{odd}"
        )
    if end >= 0 and end + 1 != rest:
        raise _damaged(path, 4, "the file has more than three lines")
    return line


def _show(data: bytes) -> str:
    return ascii(data[:20].decode("latin-1"))


def _damaged(path: Path, line: int, reason: str) -> WeightsError:
    return WeightsError(f"{path}: line {line}: {reason}")
