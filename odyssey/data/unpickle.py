"""Read the pickled batches of CIFAR without executing them.

A pickle is a program for a small stack machine.  Two of its instructions, GLOBAL and
REDUCE, can import and call any function, so ``pickle.load`` on a tampered file runs
code of whoever wrote it.  The batches need only a small part of the machine, which is
implemented here.  ``pickletools`` splits the file into instructions.  The loop below
knows those that build dicts, lists, tuples, strings and numbers.  Where a batch calls
NumPy, the loop only records which of a few known names is called with which arguments.
No name is looked up and nothing is called; `odyssey.data.pickled_arrays` builds the
arrays afterwards from these records, which it checks.

Pickles that Python 2 wrote in 2009 can be read, and those that Python 3 writes in
protocols 2 to 5 with NumPy 1 or 2, if the arrays are in the file itself.  The
instructions are documented in CPython's ``Lib/pickletools.py``.
"""

import pickletools
from typing import Any

#: The 50,000 records of CIFAR-100, written by Python 3, take about 600,000.
MAX_INSTRUCTIONS = 1_000_000

RECONSTRUCT = "_reconstruct"  # an array, in protocols 2 to 4
FROMBUFFER = "_frombuffer"  # an array, in protocol 5
SCALAR = "scalar"  # one number, such as NumPy's int64
DTYPE = ("numpy", "dtype")
_ENCODE = ("_codecs", "encode")  # how protocol 2 writes bytes from Python 3
_ALLOWED = {("numpy", "ndarray"), DTYPE, _ENCODE}
for _core in ("numpy.core", "numpy._core"):  # NumPy 1, NumPy 2
    _ALLOWED |= {(f"{_core}.multiarray", name) for name in (RECONSTRUCT, SCALAR)}
    _ALLOWED.add((f"{_core}.numeric", FROMBUFFER))

#: Errors of damaged instructions; the last one only with ``python -bb``.
_DAMAGE = (ValueError, TypeError, LookupError, OverflowError, BytesWarning)


class UnpickleError(ValueError):
    """The pickle is damaged, or does something that no batch needs."""


class _Name:
    """A record that the pickle names ``module.name``; nothing is imported."""

    def __init__(self, module: Any, name: Any):
        if type(module) is not str or type(name) is not str:
            raise UnpickleError("the name of a global is not a string")
        if (module, name) not in _ALLOWED:
            raise UnpickleError(f"asks for {module[:80]}.{name[:80]}, which is refused")
        self.key = (module, name)


class Call:
    """A record that the pickle calls ``name(*args)``, and of the state it sets."""

    def __init__(self, name: _Name, args: tuple):
        self.key, self.args = name.key, args
        self.state: Any = None


def read_batch(raw: bytes) -> dict[str, Any]:
    """Return the dict that the pickle ``raw`` holds, with its keys as ``str``.

    Strings of Python 2 become bytes; arrays become records, which
    `odyssey.data.pickled_arrays` reads.  Bytes after the end of the pickle are ignored,
    as by pickle itself.

    Raises
    ------
    UnpickleError
        If ``raw`` is damaged, does not hold a dict, or does something that no batch
        needs.
    """
    try:
        batch = _interpret(raw)
    except UnpickleError:
        raise
    except _DAMAGE as error:
        # The message contains no value: its repr could be very long.
        raise UnpickleError(f"damaged pickle ({type(error).__name__})") from error
    if not isinstance(batch, dict):
        raise UnpickleError(f"holds a {type(batch).__name__}, expected a dict")
    return {
        key.decode("latin-1") if isinstance(key, bytes) else key: value
        for key, value in batch.items()
    }


def _interpret(raw: bytes) -> Any:
    """Run the stack machine; refuse instructions that no batch needs."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}  # a dict: the file may choose the keys
    encoded = 0  # bytes made by encoding, the only way to make something large

    def pop_to_mark() -> list[Any]:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    arg: Any  # its type depends on the instruction
    for count, (opcode, arg, _) in enumerate(pickletools.genops(raw)):
        if count >= MAX_INSTRUCTIONS:
            raise UnpickleError(f"more than {MAX_INSTRUCTIONS} instructions")
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            # Plain values
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(opcode.name == "NEWTRUE")
            case "BININT" | "BININT1" | "BININT2" | "LONG1":
                stack.append(arg)
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BINBYTES" | "SHORT_BINBYTES":
                stack.append(arg)
            case "BYTEARRAY8":
                stack.append(arg)
            case "BINSTRING" | "SHORT_BINSTRING":  # Python 2's str
                stack.append(arg.encode("latin-1"))
            # Containers
            case "MARK":
                marks.append(len(stack))
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE":
                stack.append(tuple(pop_to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                items = [stack.pop() for _ in range(int(opcode.name[-1]))]
                stack.append(tuple(reversed(items)))
            case "APPEND":
                _extend(stack, [stack.pop()])
            case "APPENDS":
                _extend(stack, pop_to_mark())
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _update(stack, [key, value])
            case "SETITEMS":
                _update(stack, pop_to_mark())
            # Values used more than once
            case "BINPUT" | "LONG_BINPUT":
                memo[arg] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[arg])
            # Names and calls: recorded, not executed
            case "GLOBAL":
                stack.append(_Name(*arg.split(" ", 1)))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                stack.append(_Name(module, name))
            case "REDUCE":
                args, name = stack.pop(), stack.pop()
                result = _note_call(name, args)
                if isinstance(result, bytes):
                    encoded += len(result)
                if encoded > len(raw):  # one string, encoded repeatedly
                    raise UnpickleError("makes more bytes than it holds")
                stack.append(result)
            case "BUILD":
                state = stack.pop()
                if not isinstance(stack[-1], Call):
                    raise UnpickleError("sets the state of something not an array")
                stack[-1].state = state
            case "NEXT_BUFFER":
                raise UnpickleError("keeps its arrays in buffers outside of the file")
            case _:
                hint = "; protocols 2 to 5 are read" if opcode.proto < 2 else ""
                raise UnpickleError(f"instruction {opcode.name} is refused{hint}")
    raise UnpickleError("ends without a result")


def _extend(stack: list[Any], items: list[Any]) -> None:
    """Append ``items`` to the list on top of the stack."""
    if not isinstance(stack[-1], list):
        raise UnpickleError("appends to something not a list")
    stack[-1].extend(items)


def _update(stack: list[Any], items: list[Any]) -> None:
    """Set alternating keys and values in the dict on top of the stack."""
    keys, values = items[::2], items[1::2]
    if not isinstance(stack[-1], dict) or len(keys) != len(values):
        raise UnpickleError("sets items of something not a dict")
    if not all(isinstance(key, (str, bytes)) for key in keys):
        # Hashing nested tuples could take forever.
        raise UnpickleError("has a key that is not a string")
    stack[-1].update(zip(keys, values, strict=True))


def _note_call(name: Any, args: Any) -> Any:
    """Return the record of a call, or the bytes that protocol 2 writes as a call."""
    if not isinstance(name, _Name) or not isinstance(args, tuple):
        raise UnpickleError("calls something not a name")
    if name.key != _ENCODE:
        return Call(name, args)
    text, codec = args
    codec = codec.decode("latin-1") if isinstance(codec, bytes) else codec
    if codec != "latin1" or not isinstance(text, str):
        raise UnpickleError("encodes something not bytes")
    return text.encode("latin-1")
