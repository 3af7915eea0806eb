"""What a file of tensors holds, whatever its format.

Each format has a module here with two functions, ``read_*(path)``, which returns a
`TensorFile`, and ``write_*(path, tensors, metadata)``.
"""

from typing import Any, NamedTuple

import numpy as np

from odyssey.weights.files import WeightsError
from odyssey.weights.tensor_set import summary

#: The key of metadata with what an Odyssey manifest says of the model: its name, its
#: options, the classes, mean and deviation; in any format, so that it survives.
ODYSSEY = "odyssey"


class FormatError(WeightsError):
    """A file is damaged, is of another format, or holds what is refused."""


class TensorFile(NamedTuple):
    """The content of a file, as its format has it: no name or dtype is changed."""

    kind: str  # the format in words: "PyTorch (zip)"
    tensors: dict[str, np.ndarray]  # C-contiguous, native byte order
    metadata: dict[str, Any]  # what else it holds, as far as JSON has it
    notes: tuple[str, ...] = ()  # what was left out, or changed: one line each

    def __repr__(self) -> str:
        return f"TensorFile({self.kind}, {summary(self.tensors)})"
