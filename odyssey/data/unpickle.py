"""Read the pickled batches of CIFAR without executing them.

The stack machine is `odyssey.pickle_machine`'s.  A batch names few things of NumPy, and
the calls of these are recorded; `odyssey.data.pickled_arrays` makes arrays of the
records, which it checks.

Pickles that Python 2 wrote in 2009 can be read, and those that Python 3 writes in
protocols 2 to 5 with NumPy 1 or 2, if the arrays are in the file itself.
"""

from typing import Any

from odyssey.pickle_machine import (
    MAX_INSTRUCTIONS,
    Call,
    PickleMachine,
    UnpickleError,
)

__all__ = ["MAX_INSTRUCTIONS", "Call", "UnpickleError", "read_batch"]

RECONSTRUCT = "_reconstruct"  # an array, in protocols 2 to 4
FROMBUFFER = "_frombuffer"  # an array, in protocol 5
SCALAR = "scalar"  # one number, such as NumPy's int64
DTYPE = ("numpy", "dtype")


class _BatchMachine(PickleMachine):
    """Know what a batch names: arrays, numbers and dtypes of NumPy 1 and 2."""

    allowed = frozenset(
        {("numpy", "ndarray"), DTYPE, ("_codecs", "encode")}.union(
            (f"{core}.{module}", name)
            for core in ("numpy.core", "numpy._core")
            for module, name in (
                ("multiarray", RECONSTRUCT),
                ("multiarray", SCALAR),
                ("numeric", FROMBUFFER),
            )
        )
    )


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
    batch = _BatchMachine().run(raw, len(raw))
    if not isinstance(batch, dict):
        raise UnpickleError(f"holds a {type(batch).__name__}, expected a dict")
    return {
        key.decode("latin-1") if isinstance(key, bytes) else key: value
        for key, value in batch.items()
    }
