"""Make the arrays of a checkpoint from their records and the bytes of its storages.

A tensor is a window on a storage: an offset, a shape and strides.  Several tensors may
share a storage, a small one may be a slice of a large one, and an expanded one repeats
numbers by strides of zero.  The arrays made here are in C order and share no memory.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np

from odyssey.bfloat16 import is_bfloat16
from odyssey.errors import one_line
from odyssey.formats.elements import NO_ML_DTYPES, as_bfloat16, why_no_shape
from odyssey.formats.pytorch_pickle import Storage, TensorRecord
from odyssey.formats.tensor_file import FormatError
from odyssey.formats.zip_reader import Allowance


def make_arrays(
    records: Mapping[str, TensorRecord],
    load: Callable[[Storage], np.ndarray],
    order: str,
    allowance: Allowance,
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Return the arrays by name, and notes on what was changed.

    Parameters
    ----------
    records
        The tensors by name.
    load
        Returns the bytes of a storage as a new uint8 array; called once for each.
    order
        The byte order of the file, "<" or ">".
    allowance
        What copies of shared numbers may take, beyond the file's bytes.

    Raises
    ------
    FormatError
        If a tensor lies outside of its storage, or is too large; names it.
    """
    uses = Counter(record.storage.key for record in records.values())
    loaded: dict[str, np.ndarray] = {}
    tensors, widened = {}, False
    for name, record in records.items():
        key = record.storage.key
        try:
            _check_window(record)
            raw = loaded.pop(key) if key in loaded else load(record.storage)
            uses[key] -= 1
            if uses[key]:
                loaded[key] = raw
            tensors[name] = _array(record, raw, order, not uses[key], allowance)
        except FormatError as error:
            raise FormatError(f"{shown(name)}: {error}") from None
        if record.dtype == "bfloat16" and not is_bfloat16(tensors[name].dtype):
            widened = True
    return tensors, (NO_ML_DTYPES,) if widened else ()


def shown(name: str) -> str:
    """Return the name of a tensor as a message shows it."""
    return one_line(name, 80)


def _check_window(record: TensorRecord) -> None:
    """Raise if a tensor does not lie inside its storage; nothing is allocated yet."""
    if reason := why_no_shape(record.shape, _stored_dtype(record, "<").itemsize):
        raise FormatError(reason)
    if 0 in record.shape:
        return
    steps = zip(record.shape, record.strides, strict=True)
    last = record.offset + sum((size - 1) * stride for size, stride in steps)
    count = _first_and_count(record)[1]
    if last >= count:
        raise FormatError(
            f"lies outside of its storage {record.storage.key[:80]!r}: element {last} "
            f"of {count}"
        )


def _first_and_count(record: TensorRecord) -> tuple[int, int]:
    """Return the first element of the storage that is the tensor's, and how many."""
    if record.storage.view is not None:
        return record.storage.view
    # An untyped storage is counted in bytes, its tensors in elements.
    storage = record.storage
    return 0, storage.length * storage.item_size // _stored_dtype(record, "<").itemsize


def _array(
    record: TensorRecord, raw: np.ndarray, order: str, last: bool, allowance: Allowance
) -> np.ndarray:
    """Return a tensor as an array that shares memory with no other.

    The last tensor of a storage takes the memory of the storage, if it is all of it.
    """
    stored = _stored_dtype(record, order)
    native = stored.newbyteorder("=")
    count = math.prod(record.shape)
    if not count:
        return _finished(record, np.empty(record.shape, native))
    first = _first_and_count(record)[0] + record.offset
    size = count * stored.itemsize
    if last and size == len(raw) and _is_c_ordered(record):
        flat = raw.view(stored)
        if stored != native:
            flat = flat.byteswap(inplace=True).view(native)
        return _finished(record, flat.reshape(record.shape))
    allowance.spend(size, "it")
    # The stride of a dimension of size 1 is arbitrary, and could be huge.
    strides = tuple(
        stride * stored.itemsize if extent > 1 else 0
        for extent, stride in zip(record.shape, record.strides, strict=True)
    )
    window: np.ndarray = np.ndarray(
        record.shape, stored, raw.data, first * stored.itemsize, strides
    )
    return _finished(record, window.astype(native, order="C"))


def _stored_dtype(record: TensorRecord, order: str) -> np.dtype:
    """Return the dtype in which the file's bytes are read."""
    letters = {"bfloat16": "u2", "b1": "u1"}.get(record.dtype, record.dtype)
    return np.dtype(order + letters)


def _is_c_ordered(record: TensorRecord) -> bool:
    step = 1
    for size, stride in zip(record.shape[::-1], record.strides[::-1], strict=True):
        if size > 1 and stride != step:
            return False
        step *= size
    return True


def _finished(record: TensorRecord, array: np.ndarray) -> np.ndarray:
    """Turn signs, and give the array the dtype of the tensor; it may be changed."""
    if record.dtype == "b1":
        if (array > 1).any():
            raise FormatError("its bool holds a byte that is not 0 or 1")
        return array.view(np.bool_)
    if record.negative:
        if record.dtype == "bfloat16" or array.dtype.kind == "f":
            bits = array.view(f"u{array.itemsize}")  # exact, also for NaN
            sign = bits.dtype.type(1 << (8 * array.itemsize - 1))
            np.bitwise_xor(bits, sign, out=bits)
        else:
            np.negative(array, out=array)
    return as_bfloat16(array) if record.dtype == "bfloat16" else array
