"""Find and read the files of CIFAR-10 and CIFAR-100.

Both are published as pickles and as binary records of 3072 pixel bytes, with the class
names in a separate file.  `odyssey.data.cifar10` and `odyssey.data.cifar100` describe
each.  The structure of files is checked, but not their MD5 sums, which the download
checks; so a folder with only a few records works too.
"""

import os
import stat
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from odyssey.data.dataset import (
    DataError,
    Dataset,
    check_labels,
    interleave_planes,
    read_file,
)
from odyssey.data.layouts import not_a_folder, other_layout, subfolders
from odyssey.data.pickled_arrays import as_labels, as_pixels
from odyssey.data.unpickle import UnpickleError, read_batch

MAX_NAMES_BYTES = 2**16
PIXEL_BYTES = 3072  # of a record: 1024 red values, 1024 green, 1024 blue

Part = tuple[np.ndarray, np.ndarray]  # pixels (N, 3072) uint8, labels (N,) int64


def parse_lines(raw: bytes) -> list:
    """Return the lines of a file of names that are not blank."""
    return [line.strip() for line in raw.splitlines() if line.strip()]


class Format(NamedTuple):
    """One format of a data set: the folder, its files, and how to read them."""

    folder: str  # "." if the files are in the data folder itself
    train: tuple[tuple[str, ...], ...]  # the files of each call of read_part
    test: tuple[str, ...]
    read_part: Callable[..., Part]  # takes the full paths of one entry of train
    names_file: str = ""  # may be missing
    parse_names: Callable[[bytes], list] = parse_lines

    @property
    def files(self) -> list[str]:
        """The files that must be there."""
        return [name for names in (*self.train, self.test) for name in names]


class CifarSet(NamedTuple):
    """One of the two data sets: its classes, pixel statistics and formats."""

    title: str
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    formats: tuple[Format, ...]
    max_bytes: int  # of one file with images

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def load(self, data_dir: str | os.PathLike) -> Dataset:
        """Read the data set from a folder, in any of its formats.

        See `odyssey.data.cifar10.load_cifar10`.
        """
        form, folder = self._find(Path(data_dir))
        train = [form.read_part(*(folder / f for f in files)) for files in form.train]
        test = form.read_part(*(folder / f for f in form.test))
        return Dataset(
            train_images=interleave_planes([pixels for pixels, _ in train]),
            train_labels=np.concatenate([labels for _, labels in train]),
            test_images=interleave_planes([test[0]]),
            test_labels=test[1],
            class_names=self._read_class_names(form, folder),
            mean=self.mean,
            std=self.std,
        )

    def is_in(self, data_dir: str | os.PathLike) -> bool:
        """Tell whether all files of one format are in a folder; they are not read."""
        try:
            self._find(Path(data_dir))
        except DataError:
            return False
        return True

    def _find(self, root: Path) -> tuple[Format, Path]:
        """Return the first format whose files are all there, and their folder."""
        _check_folder(root)
        incomplete = ""
        for form, folder, missing in self._places(root):
            if not missing:
                return form, folder
            if not incomplete and len(missing) < len(form.files):
                incomplete = f"{folder}: missing {', '.join(missing)}"
        raise DataError(incomplete or f"{root}: {self._what_else(root)}")

    def _places(self, root: Path) -> Iterator[tuple[Format, Path, list[str]]]:
        """Yield each format, a folder where it may be, and the files missing there."""
        for form in self.formats:
            # os.path.exists is false, and raises nothing, in an unreadable folder.
            folder = root / form.folder
            missing = [f for f in form.files if not os.path.exists(folder / f)]
            yield form, folder, missing
        for form in self.formats:  # the folder itself may be that of a format
            # Folders of images are often called train and test, as files of CIFAR-100.
            files = [root / f for f in form.files]
            missing = [f.name for f in files if not f.exists() or f.is_dir()]
            yield form, root, missing

    def _what_else(self, root: Path) -> str:
        """Return what a folder without the set holds, or what it should hold."""
        for folder in subfolders(root):
            if any(not missing for *_, missing in self._places(folder)):
                return f"no {self.title} here, but in {folder}"
        expected = [
            ", ".join(form.files) if form.folder == "." else f"{form.folder}/"
            for form in self.formats
        ]
        return other_layout(root, self.title) or (
            f"no {self.title} here; expected {', '.join(expected[:-1])} or "
            f"{expected[-1]}"
        )

    def _read_class_names(self, form: Format, folder: Path) -> tuple[str, ...]:
        """Return the folder's own class names, or the standard ones.

        Names are only shown, so damaged ones are a warning and not an error.
        """
        path = folder / form.names_file
        if not form.names_file or not os.path.exists(path):
            return self.class_names
        try:
            found = form.parse_names(read_file(path, MAX_NAMES_BYTES))
        except (DataError, UnpickleError) as error:
            found, reason = [], str(error)
        else:
            reason = f"not {self.num_classes} different names"
        names = [n.decode("latin-1") if isinstance(n, bytes) else n for n in found]
        fit = {n for n in names if isinstance(n, str) and n and n.isprintable()}
        if len(names) == len(fit) == self.num_classes:
            return tuple(names)
        warnings.warn(f"{path}: {reason}; using the standard class names", stacklevel=4)
        return self.class_names


def _check_folder(root: Path) -> None:
    """Raise ``DataError`` unless the data folder is a folder."""
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


def read_pickle(
    path: Path, *, max_bytes: int, num_classes: int, labels: str = "labels"
) -> Part:
    """Read one pickled batch, a dict of {data: (N, 3072) uint8, labels: list of N}.

    Parameters
    ----------
    path : Path
    max_bytes : int
        Largest size of the file.
    num_classes : int
        Labels are 0 to ``num_classes - 1``.
    labels : str
        The key of the labels.
    """
    try:
        batch = read_batch(read_file(path, max_bytes))
        pixels = as_pixels(batch.get("data"))
        found = as_labels(batch.get(labels))
    except UnpickleError as error:
        raise DataError(f"{path}: {error}") from error
    if len(found) != len(pixels):
        raise DataError(f"{path}: {len(pixels)} images, but {len(found)} labels")
    return pixels, check_labels(path, found, num_classes)


def read_records(
    path: Path, *, max_bytes: int, label_bytes: tuple[tuple[str, int], ...]
) -> Part:
    """Read binary records: label bytes, then 3072 pixel bytes.

    Parameters
    ----------
    path : Path
    max_bytes : int
        Largest size of the file.
    label_bytes : tuple of (str, int)
        Name of each byte before the pixels, and how many values it may have.  The
        last byte is the label that is returned.
    """
    raw = read_file(path, max_bytes)
    record_bytes = len(label_bytes) + PIXEL_BYTES
    if not raw or len(raw) % record_bytes:
        raise DataError(
            f"{path}: {len(raw)} bytes are not one or more records of {record_bytes}"
        )
    records = np.frombuffer(raw, np.uint8).reshape(-1, record_bytes)
    for place, (kind, count) in enumerate(label_bytes):
        labels = check_labels(path, records[:, place], count, kind)
    return records[:, len(label_bytes) :], labels


def pickled_names(key: str) -> Callable[[bytes], list]:
    """Return the function from a pickle's bytes to the names under one of its keys."""
    return partial(_parse_pickled_names, key)


def _parse_pickled_names(key: str, raw: bytes) -> list:
    names = read_batch(raw).get(key)
    return names if isinstance(names, list) else []
