"""Find the state dict in what a checkpoint holds, and say what else is there.

People save a state dict alone, or within a dict under one of a few names, beside the
state of an optimizer, the epoch and other things.

A pickle can hold one container in another any number of times, so that a small file is
a huge tree: the work, the depth and the names are counted.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from odyssey.formats.elements import is_unicode
from odyssey.formats.plain import ARRAYS, plain_items
from odyssey.formats.pytorch_pickle import (
    Fields,
    Storage,
    TensorRecord,
    is_tensor,
    tensor_record,
)
from odyssey.formats.pytorch_tensors import shown
from odyssey.formats.tensor_file import FormatError
from odyssey.pickle_machine import MAX_INSTRUCTIONS, Call, UnpickleError

#: Where a state dict usually stands; the first of these that is there is taken.
USUAL = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "module",
    "weights",
    "params",
    "state_dict_ema",
    "model_ema",
    "ema",
    "params_ema",
)
#: The attribute of a state dict that carries what Odyssey writes beside the tensors.
ATTRIBUTE = "odyssey_metadata"
MAX_DEPTH = 64
MAX_NAME = 500  # characters of the name of a tensor
MAX_NAMES = 1 << 24  # characters of all names together
MAX_TENSORS = 50_000  # a pickle may name one of them again and again


class Chosen(NamedTuple):
    """The tensors of a checkpoint that are weights."""

    records: dict[str, TensorRecord]
    metadata: dict[str, Any]
    notes: tuple[str, ...]


def choose(root: Any) -> Chosen:
    """Return the tensors by their dotted paths, what JSON has of the rest, and notes.

    Raises
    ------
    FormatError
        If there is no tensor, two have the same name, or one is refused.
    """
    tree = _Tree()
    path: list[str] = []
    metadata: dict[str, Any] = {}
    notes: list[str] = []
    part = root
    while (key := _inner(part, tree)) is not None:
        beside = {other: value for other, value in part.items() if other != key}
        path.append(str(key))
        metadata |= _metadata(beside)
        notes += _left_out(beside, tree) + _arrays_left_out(beside)
        part = part[key]
    if path:
        notes.insert(0, f"the tensors of {shown('.'.join(path))} are taken")
    if isinstance(part, Fields) and isinstance(part.state, dict):
        stored = part.state.get(ATTRIBUTE)
        if isinstance(stored, dict):
            metadata |= plain_items(stored)
    if isinstance(part, dict):
        training = {k: value for k, value in part.items() if is_training(k, value)}
        part = {k: value for k, value in part.items() if k not in training}
        notes += _left_out(training, tree)
        metadata |= _metadata(part)
    records: dict[str, TensorRecord] = {}
    for name, value in tree.tensors(part):
        if name in records:
            raise FormatError(f"two tensors are called {shown(name)}")
        if len(records) == MAX_TENSORS:
            raise FormatError(f"more than {MAX_TENSORS} tensors")
        if not is_unicode(name):
            raise FormatError(f"{shown(name)}: half a character in its name")
        try:
            records[name] = tensor_record(value)
        except UnpickleError as error:
            raise FormatError(f"{shown(name)}: {error}") from None
    if isinstance(part, dict):
        notes += _arrays_left_out(part)
    if not records:
        raise FormatError("holds no tensors")
    return Chosen(records, metadata, tuple(notes))


def is_training(key: Any, value: Any) -> bool:
    """Return whether this is the state of an optimizer, or of another helper of it."""
    name = str(key).lower()
    return isinstance(value, dict | list | tuple) and (
        name.startswith(("optim", "sched", "scaler", "rng"))
        or "optimizer" in name
        or "scheduler" in name
        or name == "amp"
    )


def _inner(part: Any, tree: "_Tree") -> Any:
    """Return the key of the dict that holds the weights, None if it is this one."""
    if not isinstance(part, dict):
        return None
    for key in USUAL:
        if isinstance(part.get(key), dict) and tree.count(part[key]):
            return key
    if any(is_tensor(value) for value in part.values()):
        return None
    holders = [
        key
        for key, value in part.items()
        if isinstance(value, dict) and not is_training(key, value) and tree.count(value)
    ]
    return holders[0] if len(holders) == 1 else None


def _metadata(parts: dict[Any, Any]) -> dict[str, Any]:
    """Return what JSON has, without the settings of an optimizer."""
    return plain_items({k: v for k, v in parts.items() if not is_training(k, v)})


def _left_out(parts: dict[Any, Any], tree: "_Tree") -> list[str]:
    """Return a note on the tensors that are not taken."""
    counts = {key: tree.count(value) for key, value in parts.items()}
    found = [f"{shown(str(key))} ({n})" for key, n in counts.items() if n]
    return [f"tensors left out: {_first(found)}"] if found else []


def _arrays_left_out(parts: dict[Any, Any]) -> list[str]:
    """Return a note on arrays of NumPy, which are not taken for tensors."""
    found = [
        shown(str(key))
        for key, value in parts.items()
        if isinstance(value, Call) and value.key in ARRAYS
    ]
    return [f"arrays of NumPy left out: {_first(found)}"] if found else []


def _first(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def all_tensors(root: Any) -> Iterator[tuple[str, Call]]:
    """Yield every tensor with its dotted path, also those that are not weights."""
    return _Tree().tensors(root)


class _Tree:
    """Walk containers within containers, with one limit for all walks."""

    def __init__(self) -> None:
        self._steps, self._names = 2 * MAX_INSTRUCTIONS, MAX_NAMES

    def count(self, value: Any) -> int:
        """Return the number of tensors in a value."""
        return sum(1 for _ in self.tensors(value))

    def tensors(self, value: Any) -> Iterator[tuple[str, Call]]:
        """Yield every tensor of a value with its dotted path, in order."""
        if is_tensor(value):
            yield "tensor", value
            return
        # Iterators instead of recursion: a file may nest deeper than Python's stack.
        inside: list[tuple[str, Iterator[tuple[Any, Any]]]] = [("", _items(value))]
        while inside:
            prefix, items = inside[-1]
            for key, item in items:
                self._steps -= 1
                if self._steps < 0:
                    raise FormatError("holds the same containers again and again")
                if is_tensor(item):
                    yield self._joined(prefix, key), item
                elif item and isinstance(item, dict | list | tuple):
                    if len(inside) == MAX_DEPTH:
                        raise FormatError(f"nested more than {MAX_DEPTH} deep")
                    inside.append((self._joined(prefix, key), _items(item)))
                    break
            else:
                inside.pop()

    def _joined(self, prefix: str, key: Any) -> str:
        name = key.decode("latin-1") if isinstance(key, bytes) else str(key)
        name = f"{prefix}.{name}" if prefix else name
        self._names -= len(name)
        if len(name) > MAX_NAME or self._names < 0:
            raise FormatError(f"names are too long, such as {shown(name)}")
        return name


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        return iter(value.items())
    if isinstance(value, list | tuple) and not isinstance(value, Storage):
        return iter(enumerate(value))
    return iter(())
