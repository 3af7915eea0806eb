"""Read and write the checkpoints of PyTorch, without PyTorch and without running them.

``torch.save`` writes a pickle, which is a program, and the bytes of the tensors.  Both
of its formats are read, the one of zip files and the one before PyTorch 1.6.  What the
pickle asks for must be on a short list of names, which stand for tensors, parameters
and plain containers: see `odyssey.formats.pytorch_pickle`.
"""

import os

from odyssey.formats.pytorch_choice import choose
from odyssey.formats.pytorch_files import is_legacy, is_pytorch_zip, open_content
from odyssey.formats.pytorch_tensors import make_arrays
from odyssey.formats.pytorch_writer import write_pytorch
from odyssey.formats.tensor_file import FormatError, TensorFile
from odyssey.formats.zip_reader import Allowance
from odyssey.weights.files import file_size

__all__ = ["is_pytorch", "read_pytorch", "write_pytorch"]

#: What copies may take: numbers that tensors share, and bfloat16 widened to float32.
_EXTRA_BYTES, _EXTRA_FILES = 1 << 24, 3


def is_pytorch(head: bytes) -> bool:
    """Return whether the first bytes of a file, 512 or more, are those of PyTorch's."""
    return is_legacy(head) or is_pytorch_zip(head)


def read_pytorch(path: str | os.PathLike) -> TensorFile:
    """Return the tensors of a checkpoint, by their dotted paths in its state dict.

    The state dict may lie within other dicts, beside the state of an optimizer: the
    notes say what is taken and what is left out.  Numbers and text beside it are the
    metadata.

    Parameters
    ----------
    path
        A file that ``torch.save`` wrote, of either format.

    Returns
    -------
    TensorFile
        Its tensors are in C order and share no memory.  bfloat16 is that of ml_dtypes,
        or float32 where this is not installed.

    Raises
    ------
    FormatError
        If the file is damaged, asks for a name that is refused, or holds tensors that
        are sparse, quantised, complex or float8; names the file and the tensor.
    """
    size = file_size(path)
    allowance = Allowance(_EXTRA_BYTES + _EXTRA_FILES * size)
    with open(path, "rb") as file:
        try:
            content = open_content(file, size, allowance)
            records, metadata, notes = choose(content.root)
            tensors, changes = make_arrays(
                records, content.load, content.order, allowance
            )
        except FormatError as error:
            raise FormatError(f"{os.fspath(path)}: {error}") from error
        return TensorFile(
            content.kind, tensors, metadata, notes + changes + content.notes()
        )
