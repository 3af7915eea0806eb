"""IDX files: a header of big-endian 32-bit numbers, then one byte a value.

    labels   2049, count, then count bytes
    images   2052, count, channels, rows, columns, then count * 3 * 32 * 32 bytes,
             each image as its red plane, then green, then blue

2049 is the number of MNIST's label files (http://yann.lecun.com/exdb/mnist/), 2052 this
lineage's own for colour images: byte 0x08 says unsigned bytes, the last byte says how
many dimensions follow.
"""

import os
import struct

import numpy as np

from odyssey.data.dataset import DataError, check_labels, read_file

LABELS_MAGIC = 2049
IMAGES_MAGIC = 2052
IMAGE_SHAPE = (3, 32, 32)
MAX_BYTES = 1 << 30  # seven times CIFAR-10's training images


def read_labels(path: str | os.PathLike) -> np.ndarray:
    """Return the labels of an IDX file, (N,) int64, checked to be 0 to 9."""
    raw = read_file(path, MAX_BYTES)
    (count,) = _header(path, raw, LABELS_MAGIC, 1)
    return check_labels(path, _body(path, raw, 8, count))


def read_images(path: str | os.PathLike) -> np.ndarray:
    """Return the images of an IDX file, (N, 3072) uint8 in plane order."""
    raw = read_file(path, MAX_BYTES)
    count, *shape = _header(path, raw, IMAGES_MAGIC, 4)
    if tuple(shape) != IMAGE_SHAPE:
        raise DataError(f"{path}: images of {tuple(shape)}, expected {IMAGE_SHAPE}")
    return _body(path, raw, 20, count * 3072).reshape(count, 3072)


def _header(
    path: str | os.PathLike, raw: bytes, magic: int, ndim: int
) -> tuple[int, ...]:
    """Return the ``ndim`` numbers that follow the magic one."""
    if len(raw) < 4 * (1 + ndim):
        raise DataError(f"{path}: {len(raw)} bytes are too few for the header")
    found, *dims = struct.unpack_from(f">{1 + ndim}I", raw)
    if found != magic:
        raise DataError(f"{path}: magic number {found}, expected {magic}")
    if dims[0] == 0:
        raise DataError(f"{path}: holds no record")
    return tuple(dims)


def _body(path: str | os.PathLike, raw: bytes, start: int, size: int) -> np.ndarray:
    """Return what follows the header, if it is as long as the header says."""
    if len(raw) - start != size:
        raise DataError(
            f"{path}: {len(raw) - start} bytes follow the header, which promises {size}"
        )
    return np.frombuffer(raw, np.uint8, offset=start)
