"""IDX files: a header of big-endian 32-bit numbers, then one byte for each value.

    labels   2049, count, then count bytes
    images   2052, count, channels, rows, columns, then count * 3 * 32 * 32 bytes,
             each image as its red plane, then green, then blue

2049 is the number of MNIST's label files (http://yann.lecun.com/exdb/mnist/).  2052 is
made by the same rule, for colour images: byte 0x08 means unsigned bytes, and the last
byte is the number of dimensions that follow.

Images of your own, ``train_images`` (N, 32, 32, 3) uint8 with ``train_labels`` (N,) of
0 to 9, and the same for ``test``, become IDX files like this::

    for part, images, labels in (
        ("train", train_images, train_labels),
        ("test", test_images, test_labels),
    ):
        with open(f"{part}_images.idx", "wb") as file:
            file.write(np.array([2052, len(images), 3, 32, 32], ">u4").tobytes())
            file.write(images.transpose(0, 3, 1, 2).tobytes())
        with open(f"{part}_labels.idx", "wb") as file:
            file.write(np.array([2049, len(labels)], ">u4").tobytes())
            file.write(labels.astype(np.uint8).tobytes())

`load_cifar10` reads such files; the classes get the names of CIFAR-10's.
"""

import os
import struct
from typing import BinaryIO

import numpy as np

from odyssey.data.dataset import (
    CIFAR10_CLASSES,
    DataError,
    check_labels,
    open_file,
)

LABELS_MAGIC = 2049
IMAGES_MAGIC = 2052
IMAGE_SHAPE = (3, 32, 32)
MAX_BYTES = 1 << 30  # seven times CIFAR-10's training images


def read_labels(path: str | os.PathLike) -> np.ndarray:
    """Return the labels of an IDX file, (N,) int64, checked to be 0 to 9."""
    with open_file(path, MAX_BYTES) as (file, size):
        (count,) = _header(path, file, LABELS_MAGIC, 1)
        labels = _body(path, file, size, count)
    return check_labels(path, labels, len(CIFAR10_CLASSES))


def read_images(path: str | os.PathLike) -> np.ndarray:
    """Return the images of an IDX file, (N, 3072) uint8 in plane order."""
    with open_file(path, MAX_BYTES) as (file, size):
        count, *shape = _header(path, file, IMAGES_MAGIC, 4)
        if tuple(shape) != IMAGE_SHAPE:
            raise DataError(f"{path}: images of {tuple(shape)}, expected {IMAGE_SHAPE}")
        return _body(path, file, size, count * 3072).reshape(count, 3072)


def _header(
    path: str | os.PathLike, file: BinaryIO, magic: int, ndim: int
) -> tuple[int, ...]:
    """Read the header; return the ``ndim`` numbers after the magic number."""
    raw = file.read(4 * (1 + ndim))
    if len(raw) < 4 * (1 + ndim):
        raise DataError(f"{path}: {len(raw)} bytes are too few for the header")
    found, *dims = struct.unpack(f">{1 + ndim}I", raw)
    if found != magic:
        raise DataError(f"{path}: magic number {found}, expected {magic}")
    if dims[0] == 0:
        raise DataError(f"{path}: holds no record")
    return tuple(dims)


def _body(
    path: str | os.PathLike, file: BinaryIO, size: int, promised: int
) -> np.ndarray:
    """Read the bytes after the header; raise unless there are ``promised`` of them."""
    there = size - file.tell()
    raw = file.read(promised) if there == promised else b""
    if len(raw) != promised:
        raise DataError(
            f"{path}: {there} bytes follow the header, which promises {promised}"
        )
    return np.frombuffer(raw, np.uint8)
