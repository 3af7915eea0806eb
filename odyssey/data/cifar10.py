"""CIFAR-10 from any of the forms in which it is published or kept.

    cifar-10-batches-py/    data_batch_1 ... data_batch_5, test_batch, batches.meta:
                            pickles of {data: (N, 3072) uint8, labels: list of N}
    cifar-10-batches-bin/   data_batch_1.bin ... test_batch.bin, batches.meta.txt:
                            records of 1 label byte and 3072 pixel bytes
    train_images.idx ...    four IDX files, see `odyssey.data.idx`

Structure is checked, not MD5 sums (that is the download's part), so that a folder of
a few records works.  Krizhevsky, *Learning Multiple Layers of Features from Tiny
Images*, 2009; https://www.cs.toronto.edu/~kriz/cifar.html
"""

import os
import stat
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from odyssey.data import idx
from odyssey.data.dataset import (
    CIFAR10_CLASSES,
    DataError,
    Dataset,
    check_labels,
    interleave_planes,
    read_file,
)
from odyssey.data.layouts import not_a_folder, other_layout, subfolders
from odyssey.data.pickled_arrays import as_labels, as_pixels
from odyssey.data.unpickle import UnpickleError, read_batch

MAX_BATCH_BYTES = 64 * 2**20  # the published batches have 31 MB
MAX_NAMES_BYTES = 2**16
RECORD_BYTES = 1 + 3072

Part = tuple[np.ndarray, np.ndarray]  # pixels (N, 3072) uint8, labels (N,) int64


class Format(NamedTuple):
    """One way to keep CIFAR-10: the folder, its files, and how to read them."""

    folder: str  # "." where the files lie in the data folder itself
    train: tuple[tuple[str, ...], ...]  # the arguments of each call of read_part
    test: tuple[str, ...]
    read_part: Callable[..., Part]  # takes the full paths of one entry of train
    names_file: str = ""  # may be missing
    parse_names: Callable[[bytes], list] | None = None

    @property
    def files(self) -> list[str]:
        """The files that have to be there."""
        return [name for names in (*self.train, self.test) for name in names]


def load_cifar10(data_dir: str | os.PathLike) -> Dataset:
    """Read CIFAR-10 from a folder, in whichever form it lies there.

    Parameters
    ----------
    data_dir : folder that holds ``cifar-10-batches-py/``, ``cifar-10-batches-bin/`` or
        the four IDX files, or is itself one of these.  The first complete one counts.

    Returns
    -------
    dataset : images (N, 3, 32, 32) uint8 with channels-last memory, labels (N,) int64.
        The class names are the folder's own if it has valid ones.

    Raises
    ------
    DataError
        If files are missing (all are named at once) or one is damaged.
    """
    form, folder = _find(Path(data_dir))
    train = [form.read_part(*(folder / f for f in files)) for files in form.train]
    test = form.read_part(*(folder / f for f in form.test))
    return Dataset(
        train_images=interleave_planes([pixels for pixels, _ in train]),
        train_labels=np.concatenate([labels for _, labels in train]),
        test_images=interleave_planes([test[0]]),
        test_labels=test[1],
        class_names=_read_class_names(form, folder),
    )


def holds_cifar10(data_dir: str | os.PathLike) -> bool:
    """Tell whether all files of one form are in the folder; they are not read."""
    try:
        _find(Path(data_dir))
    except DataError:
        return False
    return True


def _find(root: Path) -> tuple[Format, Path]:
    """Return the first form of which all files are there, and their folder."""
    _check_folder(root)
    incomplete = ""
    for form, folder, missing in _places(root):
        if not missing:
            return form, folder
        if not incomplete and len(missing) < len(form.files):
            incomplete = f"{folder}: missing {', '.join(missing)}"
    raise DataError(incomplete or f"{root}: {_what_else(root)}")


def _places(root: Path) -> Iterator[tuple[Format, Path, list[str]]]:
    """Yield each form, where it may lie, and the files that are missing there."""
    places = [(form, root / form.folder) for form in FORMATS]
    places += [(form, root) for form in FORMATS]
    for form, folder in places:
        # os.path.exists is false, not an error, for a folder that may not be entered.
        yield form, folder, [f for f in form.files if not os.path.exists(folder / f)]


def _what_else(root: Path) -> str:
    """Return what lies in a folder without CIFAR-10, or what should lie there."""
    for folder in subfolders(root):
        if any(not missing for *_, missing in _places(folder)):
            return f"no CIFAR-10 here, but in {folder}"
    return other_layout(root) or (
        "no CIFAR-10 here; expected cifar-10-batches-py/, cifar-10-batches-bin/ or "
        f"{', '.join(FORMATS[-1].files)}"
    )


def _check_folder(root: Path) -> None:
    """Raise ``DataError`` unless the data folder is one."""
    try:
        is_folder = stat.S_ISDIR(os.stat(root).st_mode)
    except FileNotFoundError:
        reason = "a link that leads nowhere" if root.is_symlink() else "no such folder"
        raise DataError(f"{root}: {reason}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = getattr(error, "strerror", None) or error
        raise DataError(f"{root}: cannot be opened: {why}") from error
    if not is_folder:
        raise DataError(f"{root}: {not_a_folder(root)}")


def _read_python(path: Path) -> Part:
    """Read one pickled batch."""
    try:
        batch = read_batch(read_file(path, MAX_BATCH_BYTES))
        pixels = as_pixels(batch.get("data"))
        labels = as_labels(batch.get("labels"))
    except UnpickleError as error:
        raise DataError(f"{path}: {error}") from error
    if len(labels) != len(pixels):
        raise DataError(f"{path}: {len(pixels)} images, but {len(labels)} labels")
    return pixels, check_labels(path, labels)


def _read_binary(path: Path) -> Part:
    """Read one batch of binary records."""
    raw = read_file(path, MAX_BATCH_BYTES)
    if not raw or len(raw) % RECORD_BYTES:
        raise DataError(
            f"{path}: {len(raw)} bytes are not one or more records of {RECORD_BYTES}"
        )
    records = np.frombuffer(raw, np.uint8).reshape(-1, RECORD_BYTES)
    return records[:, 1:], check_labels(path, records[:, 0])


def _read_idx(images_path: Path, labels_path: Path) -> Part:
    """Read a pair of IDX files."""
    pixels, labels = idx.read_images(images_path), idx.read_labels(labels_path)
    if len(pixels) != len(labels):
        raise DataError(
            f"{labels_path}: {len(labels)} labels, but {images_path.name} has "
            f"{len(pixels)} images"
        )
    return pixels, labels


def _read_class_names(form: Format, folder: Path) -> tuple[str, ...]:
    """Return the folder's own class names, or else the standard ones.

    Names are only shown: damaged ones are a warning, and no reason to stop.
    """
    path = folder / form.names_file
    if form.parse_names is None or not os.path.exists(path):
        return CIFAR10_CLASSES
    try:
        found = form.parse_names(read_file(path, MAX_NAMES_BYTES))
    except (DataError, UnpickleError) as error:
        found, reason = [], str(error)
    else:
        reason = "not ten different names"
    names = [n.decode("latin-1") if isinstance(n, bytes) else n for n in found]
    fit = {n for n in names if isinstance(n, str) and n and n.isprintable()}
    if len(names) == len(fit) == len(CIFAR10_CLASSES):
        return tuple(names)
    warnings.warn(f"{path}: {reason}; using the standard class names", stacklevel=3)
    return CIFAR10_CLASSES


def _parse_python_names(raw: bytes) -> list:
    """Return what batches.meta holds as names."""
    names = read_batch(raw).get("label_names")
    return names if isinstance(names, list) else []


def _parse_binary_names(raw: bytes) -> list:
    """Return the lines of batches.meta.txt that are not blank."""
    return [line.strip() for line in raw.splitlines() if line.strip()]


_BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))

FORMATS = (
    Format(
        folder="cifar-10-batches-py",
        train=tuple((name,) for name in _BATCHES),
        test=("test_batch",),
        read_part=_read_python,
        names_file="batches.meta",
        parse_names=_parse_python_names,
    ),
    Format(
        folder="cifar-10-batches-bin",
        train=tuple((f"{name}.bin",) for name in _BATCHES),
        test=("test_batch.bin",),
        read_part=_read_binary,
        names_file="batches.meta.txt",
        parse_names=_parse_binary_names,
    ),
    Format(
        folder=".",
        train=(("train_images.idx", "train_labels.idx"),),
        test=("test_images.idx", "test_labels.idx"),
        read_part=_read_idx,
    ),
)
