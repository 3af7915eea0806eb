"""The type of a data set: images in memory as uint8, labels, class names."""

import contextlib
import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from odyssey.data.file_kinds import HEAD_BYTES, kind_of

#: Mean and standard deviation of each channel (red, green, blue) over all pixels of
#: the 50,000 training images, on the scale 0 to 1.  The deviation is over all pixels;
#: the often quoted (0.2023, 0.1994, 0.2010) is the mean of each image's deviation.
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)

#: The names of CIFAR-10's classes, in the order of their labels.
CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


#: How an image file of other proportions is brought to a shape, see `read_image`.
FITS = STRETCH, CROP = "stretch", "crop"


class DataError(ValueError):
    """A data file or folder is missing or damaged; the message names it and why."""


class Dataset(NamedTuple):
    """Labelled images of one shape, in memory."""

    train_images: np.ndarray  # (N, C, H, W) uint8, channels-last memory
    train_labels: np.ndarray  # (N,) integers, 0 to K - 1
    test_images: np.ndarray  # (M, C, H, W) uint8, channels-last memory
    test_labels: np.ndarray  # (M,) integers, 0 to K - 1
    class_names: tuple[str, ...]  # K of them; the label is the index
    mean: tuple[float, ...] = CIFAR10_MEAN  # of each channel, on the scale 0 to 1
    std: tuple[float, ...] = CIFAR10_STD  # likewise
    val_images: np.ndarray | None = None  # for validation, if the set has such images
    val_labels: np.ndarray | None = None  # likewise
    fit: str = STRETCH  # how other images are brought to the shape, one of `FITS`

    def __repr__(self) -> str:
        images = f"{len(self.train_images):,} training, {len(self.test_images):,} test"
        return f"Dataset({images} images, {self.num_classes} classes)"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of an image, (C, H, W)."""
        _, C, H, W = self.train_images.shape
        return C, H, W

    @property
    def num_classes(self) -> int:
        """Number of classes, K."""
        return len(self.class_names)


def read_file(path: str | os.PathLike, max_bytes: int) -> bytes:
    """Return the content of a regular file of at most ``max_bytes`` bytes.

    Raises
    ------
    DataError
        If the file is missing, not a regular file, too large, unreadable, or of another
        known kind, such as a web page.
    """
    with open_file(path, max_bytes) as (file, size):
        return file.read(size)


@contextlib.contextmanager
def open_file(
    path: str | os.PathLike, max_bytes: int
) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file for reading and yield it with its size, see `read_file`.

    Do not read more bytes than its size: Python allocates memory for as many bytes as
    are asked for.
    """
    if not os.path.isfile(path):  # a pipe would block, a folder has no bytes
        reason = "not a regular file" if os.path.exists(path) else "no such file"
        raise DataError(f"{path}: {reason}")
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > max_bytes:
                raise DataError(
                    f"{path}: larger than {max_bytes} bytes, not a file of this set"
                )
            if kind := kind_of(file.read(HEAD_BYTES)):
                raise DataError(f"{path}: {kind}")
            file.seek(0)
            yield file, size
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def check_labels(
    path: str | os.PathLike, labels: np.ndarray, count: int, kind: str = "label"
) -> np.ndarray:
    """Return ``labels`` as int64; a `DataError` if one is not 0 to ``count - 1``."""
    wrong = np.flatnonzero((labels < 0) | (labels >= count))
    if wrong.size:
        first = wrong[0]
        label = str(labels[first])[:30]  # from a pickle it may have hundreds of digits
        raise DataError(
            f"{path}: {kind} {label} of record {first} is not 0 to {count - 1}"
        )
    return labels.astype(np.int64)


def interleave_planes(parts: list[np.ndarray]) -> np.ndarray:
    """Join images stored as colour planes into one array of channels-last memory.

    Parameters
    ----------
    parts : arrays of (n, 3072) uint8: 1024 red values, 1024 green, 1024 blue

    Returns
    -------
    images : (N, 3, 32, 32) uint8, a view of (N, 32, 32, 3)
    """
    images = np.empty((sum(map(len, parts)), 32, 32, 3), np.uint8)
    start = 0
    for part in parts:
        stop = start + len(part)
        images[start:stop] = part.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        start = stop
    return images.transpose(0, 3, 1, 2)
