"""Write a state dict that PyTorch opens, without PyTorch.

The file is that of ``torch.save``: an ``OrderedDict`` of tensors, each with a storage
of its own, which ``torch.load(path, weights_only=True)`` and ``load_state_dict`` take
as it is.  Metadata becomes an attribute of the dict, ``odyssey_metadata``.

There is no ``_metadata``, in which PyTorch counts versions of its modules.  It then
takes the file for one of an old version, in which batch norm did not count batches, and
loads it without ``num_batches_tracked``.
"""

import math
import os
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from odyssey.bfloat16 import is_bfloat16
from odyssey.formats.elements import little_endian
from odyssey.formats.pytorch_choice import ATTRIBUTE
from odyssey.formats.pytorch_pickle import DTYPES, STORAGES, UNTYPED
from odyssey.formats.pytorch_tensors import shown
from odyssey.formats.tensor_file import FormatError
from odyssey.formats.zip_writer import ALIGNMENT, zip_chunks
from odyssey.weights.files import atomic_write_chunks

_STORAGES = {letters: name for name, letters in STORAGES.items() if letters}
_DTYPES = {letters: name for name, letters in DTYPES.items() if letters}
_FOLDER = "archive/"


def write_pytorch(
    path: str | os.PathLike,
    tensors: Mapping[str, np.ndarray],
    metadata: Mapping[str, Any] | None = None,
) -> tuple[str, ...]:
    """Write tensors as a state dict of PyTorch, exactly to the bit.

    The file is flushed to disk, and replaced as a whole or not at all.

    Parameters
    ----------
    path
        The file, usually ``.pth`` or ``.pt``.
    tensors
        Arrays by name, in any memory order: bool, integers, floating or bfloat16.
    metadata
        Text, numbers, and lists and dicts of these; PyTorch finds it as the attribute
        ``odyssey_metadata`` of the state dict.

    Returns
    -------
    notes : none, as the format holds all of it

    Raises
    ------
    FormatError
        If there are no tensors, or one is of a dtype that PyTorch lacks; if the
        metadata holds what JSON lacks.
    """
    try:
        records = _records(tensors, metadata)
    except FormatError as error:
        raise FormatError(f"{os.fspath(path)}: {error}") from None
    atomic_write_chunks(path, zip_chunks(records))
    return ()


def _records(
    tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any] | None
) -> dict[str, bytes | memoryview]:
    """Return the records of the zip file by name."""
    if not tensors:
        raise FormatError("no tensors to write")
    pickle = bytearray(b"\x80\x02" + _ORDERED_DICT + b"(")
    storages: dict[str, bytes | memoryview] = {}
    for name, tensor in tensors.items():
        letters = _letters(name, tensor)
        pickle += _text(name)
        pickle += _tensor(letters, str(len(storages)), tensor.shape)
        storages[f"{_FOLDER}data/{len(storages)}"] = little_endian(tensor)
    pickle += b"u"  # SETITEMS
    if metadata:
        pickle += b"}" + _text(ATTRIBUTE) + _value(dict(metadata), 0) + b"s"
        pickle += b"b"  # BUILD: attributes of the dict
    pickle += b"."
    return {
        f"{_FOLDER}data.pkl": bytes(pickle),
        f"{_FOLDER}.format_version": b"1",
        f"{_FOLDER}.storage_alignment": str(ALIGNMENT).encode(),
        f"{_FOLDER}byteorder": b"little",
        **storages,
        f"{_FOLDER}version": b"3\n",
    }


def _letters(name: str, tensor: np.ndarray) -> str:
    """Return NumPy's letters of the dtype; raise if PyTorch has no such."""
    if is_bfloat16(tensor.dtype):
        return "bfloat16"
    letters = tensor.dtype.str[1:]
    if letters not in _DTYPES or tensor.dtype.kind not in "biuf":
        raise FormatError(
            f"{shown(name)}: {tensor.dtype}, not possible in a PyTorch file: expected "
            "bool, an integer, float16, bfloat16, float32 or float64"
        )
    return letters


# The pickle, in the instructions of protocol 2.  ``pickle`` itself cannot write it: it
# imports what it names.

_MAX_DEPTH = 8


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


_ORDERED_DICT = _global("collections", "OrderedDict") + b")R"


def _tensor(letters: str, key: str, shape: tuple[int, ...]) -> bytes:
    """Return the instructions that make a tensor in C order of a whole storage."""
    count = math.prod(shape)
    strides: list[int] = []
    step = 1
    for size in reversed(shape):
        strides.insert(0, step)
        step *= max(size, 1)
    function, dtype = "_rebuild_tensor_v2", b""
    if letters in _STORAGES:
        kind = _global("torch", _STORAGES[letters])
    else:  # the unsigned integers of more than 8 bits have no storage of their own
        function, dtype = "_rebuild_tensor_v3", _global("torch", _DTYPES[letters])
        kind = _global("torch.storage", UNTYPED)
        count *= int(letters[1:])
    return b"".join(
        (
            _global("torch._utils", function) + b"(",
            b"(" + _text("storage") + kind + _text(key) + _text("cpu"),
            _number(count) + b"tQ",
            _number(0) + _numbers(shape) + _numbers(strides),
            b"\x89" + _ORDERED_DICT + dtype,  # no gradient, no hooks
            b"tR",
        )
    )


def _text(value: str) -> bytes:
    raw = value.encode("utf-8")
    return b"X" + struct.pack("<I", len(raw)) + raw


def _number(value: int) -> bytes:
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def _numbers(values: Any) -> bytes:
    return b"(" + b"".join(map(_number, values)) + b"t"


def _value(value: Any, depth: int) -> bytes:
    """Return the instructions for what JSON has too."""
    if depth > _MAX_DEPTH:
        raise FormatError(f"metadata nested more than {_MAX_DEPTH} deep")
    match value:
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int() if abs(value) < 2**63:
            return _number(value)
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return _text(value)
        case list() | tuple():
            return b"](" + b"".join(_value(item, depth + 1) for item in value) + b"e"
        case dict() if all(isinstance(key, str) for key in value):
            pairs = (
                _text(key) + _value(item, depth + 1) for key, item in value.items()
            )
            return b"}(" + b"".join(pairs) + b"u"
    kind = type(value).__name__
    raise FormatError(f"metadata must be what JSON has, got {kind}")
