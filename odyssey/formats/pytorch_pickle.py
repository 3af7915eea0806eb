"""What a pickle of PyTorch may name, and the records that it becomes.

A checkpoint is a pickle of dicts, lists and numbers.  Its tensors are calls of a few
functions, and the bytes of a tensor lie outside of the pickle, in a storage that it
refers to.  Nothing here is imported or called: see `odyssey.pickle_machine`.
"""

from typing import Any, NamedTuple

from odyssey.formats.plain import BESIDE
from odyssey.pickle_machine import (
    MAX_INSTRUCTIONS,
    Call,
    Name,
    PickleMachine,
    UnpickleError,
)

#: dtypes of storages, in NumPy's letters; "" for those which are refused.
STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "b1",
    "ComplexFloatStorage": "",
    "ComplexDoubleStorage": "",
    "QInt8Storage": "",
    "QUInt8Storage": "",
    "QInt32Storage": "",
    "QUInt4x2Storage": "",
    "QUInt2x4Storage": "",
}
#: Bytes of an element where the dtype is refused: such a storage may be passed over.
REFUSED_SIZES = {
    "ComplexFloatStorage": 8,
    "ComplexDoubleStorage": 16,
    "QInt8Storage": 1,
    "QUInt8Storage": 1,
    "QInt32Storage": 4,
    "QUInt4x2Storage": 1,
    "QUInt2x4Storage": 1,
}
UNTYPED = "UntypedStorage"  # counted in bytes

#: dtypes by PyTorch's names, likewise.
DTYPES = {
    "float32": "f4",
    "float64": "f8",
    "float16": "f2",
    "bfloat16": "bfloat16",
    **{f"int{8 * size}": f"i{size}" for size in (1, 2, 4, 8)},
    **{f"uint{8 * size}": f"u{size}" for size in (1, 2, 4, 8)},
    "bool": "b1",
    **dict.fromkeys(("complex32", "complex64", "complex128"), ""),
    **dict.fromkeys(("float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu"), ""),
    **dict.fromkeys(("float8_e4m3fnuz", "float8_e5m2fnuz", "float4_e2m1fn_x2"), ""),
    **dict.fromkeys(("qint8", "quint8", "qint32", "quint4x2", "quint2x4"), ""),
}

TENSOR = ("torch._utils", "_rebuild_tensor")
TENSOR_2 = ("torch._utils", "_rebuild_tensor_v2")
TENSOR_3 = ("torch._utils", "_rebuild_tensor_v3")
PARAMETER = ("torch._utils", "_rebuild_parameter")
PARAMETER_WITH_STATE = ("torch._utils", "_rebuild_parameter_with_state")
PARAMETER_CLASS = ("torch.nn.parameter", "Parameter")
FROM_TYPE = ("torch._tensor", "_rebuild_from_type_v2")
#: Tensors that are refused where they are weights, and else passed over.
REFUSED_TENSORS = {
    ("torch._utils", "_rebuild_sparse_tensor"): "a sparse tensor",
    ("torch._utils", "_rebuild_qtensor"): "a quantised tensor",
    ("torch._utils", "_rebuild_nested_tensor"): "a nested tensor",
    ("torch._utils", "_rebuild_meta_tensor_no_storage"): "a tensor without its numbers",
}
TENSORS = frozenset(
    {TENSOR, TENSOR_2, TENSOR_3, PARAMETER, PARAMETER_WITH_STATE}
    | {PARAMETER_CLASS, FROM_TYPE, *REFUSED_TENSORS}
)

_ORDERED_DICT = ("collections", "OrderedDict")
_COUNTER = ("collections", "Counter")  # milestones of a learning rate
_DEFAULT_DICT = ("collections", "defaultdict")
_SETS = {("__builtin__", "set"), ("builtins", "set")}
_SIZE = ("torch", "Size")
_LAYOUT = ("torch.serialization", "_get_layout")  # of a sparse tensor


class Storage(NamedTuple):
    """The bytes of one or more tensors: where they are, and how many."""

    kind: str  # "FloatStorage"
    key: str  # its name in the file
    length: int  # in elements, or bytes of an untyped one
    view: tuple[int, int] | None = None  # first element and number of a part of it

    @property
    def item_size(self) -> int:
        """Return the bytes of an element."""
        letters = STORAGES.get(self.kind, "u1")
        return _item_size(letters) if letters else REFUSED_SIZES[self.kind]


class Fields(dict):
    """A dict with the state that the pickle sets of it, such as ``_metadata``."""

    state: Any = None


class CheckpointMachine(PickleMachine):
    """Know what checkpoints name: storages, tensors, parameters, plain containers."""

    allowed = frozenset(
        TENSORS
        | _SETS
        | BESIDE
        | {_ORDERED_DICT, _DEFAULT_DICT, _COUNTER, _SIZE, _LAYOUT}
        | {("_codecs", "encode")}
        | {("torch", name) for name in (*STORAGES, *DTYPES, UNTYPED, "Tensor")}
        | {("torch", "per_tensor_affine"), ("torch", "per_channel_affine")}
        | {("torch.storage", UNTYPED)}
    )
    keys = (str, bytes, int, bool, type(None))

    def __init__(self) -> None:
        self.storages: dict[str, Storage] = {}
        self._pairs = 0  # so many were made dicts of; one list may serve repeatedly

    def call(self, name: Name, args: tuple) -> Any:
        """Return a dict or tuple for those of PyTorch and Python, else a record."""
        if name.key in (_ORDERED_DICT, _COUNTER):
            return self._fields(*args)
        if name.key == _DEFAULT_DICT:
            return self._fields(*args[1:])
        if name.key in _SETS or name.key == _SIZE:
            (items,) = args or ((),)
            if not isinstance(items, list | tuple):
                raise UnpickleError(f"{name.key[1]} of something not a list")
            return items  # not copied: a pickle can ask for that a million times
        return Call(name, args)

    def _fields(self, items: Any = ()) -> dict:
        """Return a dict: an empty one, that which is given, or one of given pairs."""
        if isinstance(items, dict):
            return items
        if not isinstance(items, list | tuple):
            raise UnpickleError("makes a dict of something not a list")
        self._pairs += len(items)
        if self._pairs > MAX_INSTRUCTIONS:
            raise UnpickleError(f"more than {MAX_INSTRUCTIONS} pairs")
        fields = Fields()  # Python 2 writes pairs
        pairs = [(key, value) for key, value in items]
        self.update(fields, [key for key, _ in pairs], [value for _, value in pairs])
        return fields

    def set_state(self, value: Any, state: Any) -> None:
        """Note the state of a dict, too."""
        if isinstance(value, Fields):
            value.state = state
        else:
            super().set_state(value, state)

    def text(self, string: str) -> Any:
        """Return a string of Python 2 as ``str``: names are ASCII, or UTF-8."""
        try:
            return string.encode("latin-1").decode()
        except UnicodeDecodeError:
            return string

    def referenced(self, identity: Any) -> Any:
        """Return the storage that is referred to; the same key is the same storage."""
        if not isinstance(identity, tuple) or identity[:1] != ("storage",):
            raise UnpickleError("refers to something not a storage")
        _, kind, key, _, count, *rest = identity
        if (
            not isinstance(kind, Name)
            or kind.key[1] not in (*STORAGES, UNTYPED)
            or not isinstance(key, str)
            or not is_count(count)
        ):
            raise UnpickleError("refers to a storage in an unknown way")
        storage = Storage(kind.key[1], key, count)
        if self.storages.setdefault(storage.key, storage) != storage:
            raise UnpickleError(f"has storage {key[:80]!r} in two types or sizes")
        if rest and rest[0] is not None:  # a part of it, before PyTorch 0.4
            _, first, size = rest[0]
            if not is_count(first) or not is_count(size) or first + size > count:
                raise UnpickleError(f"has a part outside storage {storage.key[:80]!r}")
            return storage._replace(view=(first, size))
        return storage


class TensorRecord(NamedTuple):
    """A tensor as the pickle describes it: a window on a storage."""

    storage: Storage
    offset: int  # in elements
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements
    dtype: str  # NumPy's letters, or bfloat16
    negative: bool  # the storage has the numbers with their signs turned


def is_count(value: Any) -> bool:
    """Return whether a value of the pickle can be a size or a place in memory."""
    return type(value) is int and 0 <= value < 2**63


def is_tensor(value: Any) -> bool:
    """Return whether a value of the pickle is a tensor, of any kind."""
    return isinstance(value, Call) and value.key in TENSORS


def tensor_record(value: Call) -> TensorRecord:
    """Return how a tensor or parameter lies in its storage.

    Raises
    ------
    UnpickleError
        If it is not described as PyTorch does it, or is of a kind that is refused.
    """
    for _ in range(8):  # a parameter holds a tensor, and that is all
        if value.key in REFUSED_TENSORS:
            raise UnpickleError(f"{REFUSED_TENSORS[value.key]}, which is refused")
        if value.key in (TENSOR, TENSOR_2, TENSOR_3):
            try:
                return _window(value)
            except UnpickleError:
                raise
            except ValueError:
                break
        inside = _inside(value)
        if not is_tensor(inside):
            break
        value = inside
    raise UnpickleError("not described as PyTorch describes a tensor")


def _inside(value: Call) -> Any:
    """Return the tensor of a parameter, or of a tensor with attributes."""
    args = value.args
    if value.key == FROM_TYPE:  # (function, type, its arguments, attributes)
        if len(args) == 4 and isinstance(args[0], Name) and isinstance(args[2], tuple):
            return Call(args[0], args[2])
        return None
    if value.key == PARAMETER_CLASS and not args:  # PyTorch 0.1 sets it as state
        state = value.state
        return state[0] if isinstance(state, tuple) and len(state) == 5 else None
    return args[0] if args else None


def _window(value: Call) -> TensorRecord:
    """Return the record of a tensor; raise ``ValueError`` for a wrong description."""
    storage, offset, shape, strides, *rest = value.args
    dtype: str | None = None
    if value.key == TENSOR_3:
        _, _, kind, *rest = rest
        if not isinstance(kind, Name) or kind.key[1] not in DTYPES:
            raise ValueError("no dtype")
        dtype, shown = DTYPES[kind.key[1]], kind.key[1]
        if isinstance(storage, Storage) and storage.view:  # of older files
            raise ValueError("a part of a storage, counted in bytes")
    else:
        rest = rest[2:]  # requires_grad, hooks
    if not isinstance(storage, Storage):
        raise ValueError("no storage")
    if dtype is None:
        dtype, shown = STORAGES.get(storage.kind), storage.kind
    if dtype == "":
        raise UnpickleError(f"{shown} is refused")
    good = isinstance(shape, tuple) and isinstance(strides, tuple)
    if not dtype or not good or len(shape) != len(strides) or not is_count(offset):
        raise ValueError("no dtype, shape, strides or offset")
    if not all(is_count(number) for number in (*shape, *strides)):
        raise UnpickleError("a size or stride that is negative, huge or no integer")
    marks = rest[0] if rest else None
    if len(rest) > 1 or not isinstance(marks or {}, dict):
        raise ValueError("unknown arguments")
    unknown = set(marks or {}) - {"neg", "conj"}
    if unknown:
        raise UnpickleError(f"mark {str(min(map(str, unknown)))[:40]!r} is not known")
    # conj changes complex numbers only, and these are refused.
    return TensorRecord(
        storage, offset, shape, strides, dtype, bool((marks or {}).get("neg"))
    )


def _item_size(letters: str) -> int:
    return 2 if letters == "bfloat16" else int(letters[1:])
