"""Read a pickle without executing it: a small stack machine that knows few names.

A pickle is a program for a small stack machine.  Two of its instructions, GLOBAL and
REDUCE, can import and call any function, so ``pickle.load`` on a tampered file runs
code of whoever wrote it.  ``pickletools`` splits a pickle into instructions.  The loop
below knows those that build dicts, lists, tuples, strings and numbers.  Where a pickle
calls something, the loop only records which of a few allowed names is called with which
arguments: no name is looked up and nothing is called.  Who knows what the names stand
for makes arrays of these records afterwards, and checks them first.

A subclass says which names are allowed.  Protocols 2 to 5 are read.  The instructions
are documented in CPython's ``Lib/pickletools.py``.
"""

import pickletools
from typing import Any, ClassVar

#: The 50,000 records of CIFAR-100, written by Python 3, take about 600,000; a tensor in
#: a checkpoint takes about 35.
MAX_INSTRUCTIONS = 1_000_000

_ENCODE = ("_codecs", "encode")  # how protocol 2 writes bytes from Python 3

#: Errors of damaged instructions; the last one only with ``python -bb``.
_DAMAGE = (ValueError, TypeError, LookupError, OverflowError, BytesWarning)


class UnpickleError(ValueError):
    """The pickle is damaged, or does something that is not needed."""


class Name:
    """A record that the pickle names ``module.name``; nothing is imported."""

    __slots__ = ("key",)

    def __init__(self, key: tuple[str, str]):
        self.key = key


class Call:
    """A record that the pickle calls ``name(*args)``, and of the state it sets."""

    __slots__ = ("args", "key", "state")

    def __init__(self, name: Name, args: tuple):
        self.key, self.args = name.key, args
        self.state: Any = None


class PickleMachine:
    """Run pickles; a subclass says what their names, calls and references become."""

    #: What may be named, as (module, name).
    allowed: ClassVar[frozenset[tuple[str, str]]]
    #: Types of the keys of dicts.  Hashing nested tuples could take forever.
    keys: ClassVar[tuple[type, ...]] = (str, bytes)

    def call(self, name: Name, args: tuple) -> Any:
        """Return what the pickle gets for ``name(*args)``: a record of the call."""
        return Call(name, args)

    def referenced(self, identity: Any) -> Any:
        """Return what stands outside of the pickle under a persistent identity."""
        raise UnpickleError("refers to something outside of the file")

    def set_state(self, value: Any, state: Any) -> None:
        """Note the state that the pickle sets of a value made by a call."""
        if not isinstance(value, Call):
            raise UnpickleError("sets the state of something not an array")
        value.state = state

    def text(self, string: str) -> Any:
        """Return a string of Python 2, whose bytes come decoded as Latin-1."""
        return string.encode("latin-1")

    def run(self, source: Any, size: int) -> Any:
        """Return what the pickle builds; read nothing after its end.

        Parameters
        ----------
        source
            The pickle as bytes, or a file at its beginning.
        size
            The number of bytes that it may take at most.

        Raises
        ------
        UnpickleError
            If it is damaged, or does something that is not needed.
        """
        try:
            return self._interpret(source, size)
        except UnpickleError:
            raise
        except _DAMAGE as error:
            # The message contains no value: its repr could be very long.
            raise UnpickleError(f"damaged pickle ({type(error).__name__})") from error

    def _interpret(self, source: Any, size: int) -> Any:
        """Run the stack machine; refuse instructions that are not needed."""
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
        for count, (opcode, arg, _) in enumerate(pickletools.genops(source)):
            if count >= MAX_INSTRUCTIONS:
                raise UnpickleError(f"more than {MAX_INSTRUCTIONS} instructions")
            match opcode.name:
                # Values used more than once
                case "BINPUT" | "LONG_BINPUT":
                    memo[arg] = stack[-1]
                case "MEMOIZE":
                    memo[len(memo)] = stack[-1]
                case "BINGET" | "LONG_BINGET":
                    stack.append(memo[arg])
                # Plain values
                case "NONE":
                    stack.append(None)
                case "NEWTRUE" | "NEWFALSE":
                    stack.append(opcode.name == "NEWTRUE")
                case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT":
                    stack.append(arg)
                case "BINUNICODE" | "SHORT_BINUNICODE" | "BINBYTES" | "SHORT_BINBYTES":
                    stack.append(arg)
                case "BYTEARRAY8":
                    stack.append(arg)
                case "BINSTRING" | "SHORT_BINSTRING":
                    stack.append(self.text(arg))
                # Containers
                case "MARK":
                    marks.append(len(stack))
                case "EMPTY_DICT":
                    stack.append({})
                case "EMPTY_LIST" | "EMPTY_SET":  # nothing is hashed: a list will do
                    stack.append([])
                case "EMPTY_TUPLE":
                    stack.append(())
                case "TUPLE" | "FROZENSET":
                    stack.append(tuple(pop_to_mark()))
                case "TUPLE1" | "TUPLE2" | "TUPLE3":
                    items = [stack.pop() for _ in range(int(opcode.name[-1]))]
                    stack.append(tuple(reversed(items)))
                case "APPEND":
                    _extend(stack, [stack.pop()])
                case "APPENDS" | "ADDITEMS":
                    _extend(stack, pop_to_mark())
                case "SETITEM":
                    value, key = stack.pop(), stack.pop()
                    self.update(stack[-1], [key], [value])
                case "SETITEMS":
                    items = pop_to_mark()
                    self.update(stack[-1], items[::2], items[1::2])
                # Names and calls: recorded, not executed
                case "GLOBAL":
                    stack.append(self._name(*arg.split(" ", 1)))
                case "STACK_GLOBAL":
                    name, module = stack.pop(), stack.pop()
                    stack.append(self._name(module, name))
                case "REDUCE" | "NEWOBJ":
                    args, name = stack.pop(), stack.pop()
                    result = self._note_call(name, args)
                    if isinstance(result, bytes):
                        encoded += len(result)
                    if encoded > size:  # one string, encoded repeatedly
                        raise UnpickleError("makes more bytes than it holds")
                    stack.append(result)
                case "BUILD":
                    state = stack.pop()
                    self.set_state(stack[-1], state)
                case "BINPERSID":
                    stack.append(self.referenced(stack.pop()))
                # The rest
                case "PROTO" | "FRAME":
                    pass
                case "STOP":
                    return stack.pop()
                case "NEXT_BUFFER":
                    raise UnpickleError(
                        "keeps its arrays in buffers outside of the file"
                    )
                case _:
                    hint = "; protocols 2 to 5 are read" if opcode.proto < 2 else ""
                    raise UnpickleError(f"instruction {opcode.name} is refused{hint}")
        raise UnpickleError("ends without a result")

    def update(self, target: Any, keys: list[Any], values: list[Any]) -> None:
        """Set items of a dict, whose keys are checked."""
        if not isinstance(target, dict) or len(keys) != len(values):
            raise UnpickleError("sets items of something not a dict")
        for key in keys:
            if not isinstance(key, self.keys):
                wanted = ", ".join(kind.__name__ for kind in self.keys)
                raise UnpickleError(f"has a key that is none of {wanted}")
            # Multiples of 2**61 - 1 share one hash: a dict of them would take forever.
            if isinstance(key, int) and abs(key) >= 2**60:
                raise UnpickleError("has a key that is too large a number")
        before = len(target)
        target.update(zip(keys, values, strict=True))
        if len(target) != before + len(keys):  # no pickle writes one twice
            raise UnpickleError("has a key twice in one dict")

    def _name(self, module: Any, name: Any) -> Name:
        if type(module) is not str or type(name) is not str:
            raise UnpickleError("the name of a global is not a string")
        if (module, name) not in self.allowed:
            raise UnpickleError(f"asks for {module[:80]}.{name[:80]}, which is refused")
        return Name((module, name))

    def _note_call(self, name: Any, args: Any) -> Any:
        """Return the record of a call, or the bytes that protocol 2 writes as one."""
        if not isinstance(name, Name) or not isinstance(args, tuple):
            raise UnpickleError("calls something not a name")
        if name.key != _ENCODE:
            return self.call(name, args)
        text, codec = args
        codec = codec.decode("latin-1") if isinstance(codec, bytes) else codec
        if codec != "latin1" or not isinstance(text, str):
            raise UnpickleError("encodes something not bytes")
        return text.encode("latin-1")


def _extend(stack: list[Any], items: list[Any]) -> None:
    """Append ``items`` to the list on top of the stack."""
    if not isinstance(stack[-1], list):
        raise UnpickleError("appends to something not a list")
    stack[-1].extend(items)
