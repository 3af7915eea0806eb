"""CIFAR-10, in any of the formats in which it is published or kept.

    cifar-10-batches-py/    data_batch_1 ... data_batch_5, test_batch, batches.meta:
                            pickles of {data: (N, 3072) uint8, labels: list of N}
    cifar-10-batches-bin/   data_batch_1.bin ... test_batch.bin, batches.meta.txt:
                            records of 1 label byte and 3072 pixel bytes
    train_images.idx ...    four IDX files, see `odyssey.data.idx`

Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009;
https://www.cs.toronto.edu/~kriz/cifar.html
"""

import os
from functools import partial
from pathlib import Path

from odyssey.data import idx
from odyssey.data.cifar import (
    CifarSet,
    Format,
    Part,
    parse_lines,
    pickled_names,
    read_pickle,
    read_records,
)
from odyssey.data.dataset import (
    CIFAR10_CLASSES,
    CIFAR10_MEAN,
    CIFAR10_STD,
    DataError,
    Dataset,
)

MAX_BATCH_BYTES = 64 * 2**20  # the published batches have 31 MB


def load_cifar10(data_dir: str | os.PathLike) -> Dataset:
    """Read CIFAR-10 from a folder, in any of its formats.

    Parameters
    ----------
    data_dir : folder that holds ``cifar-10-batches-py/``, ``cifar-10-batches-bin/`` or
        the four IDX files, or is itself one of these.  The first complete one is read.

    Returns
    -------
    dataset : images (N, 3, 32, 32) uint8 with channels-last memory, labels (N,) int64.
        The class names are the folder's own if it has valid ones.

    Raises
    ------
    DataError
        If files are missing (all are named at once) or one is damaged.
    """
    return CIFAR10.load(data_dir)


def holds_cifar10(data_dir: str | os.PathLike) -> bool:
    """Tell whether all files of one format are in the folder; they are not read."""
    return CIFAR10.is_in(data_dir)


def _read_idx(images_path: Path, labels_path: Path) -> Part:
    """Read a pair of IDX files."""
    pixels, labels = idx.read_images(images_path), idx.read_labels(labels_path)
    if len(pixels) != len(labels):
        raise DataError(
            f"{labels_path}: {len(labels)} labels, but {images_path.name} has "
            f"{len(pixels)} images"
        )
    return pixels, labels


_BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))

CIFAR10 = CifarSet(
    title="CIFAR-10",
    class_names=CIFAR10_CLASSES,
    mean=CIFAR10_MEAN,
    std=CIFAR10_STD,
    max_bytes=MAX_BATCH_BYTES,
    formats=(
        Format(
            folder="cifar-10-batches-py",
            train=tuple((name,) for name in _BATCHES),
            test=("test_batch",),
            read_part=partial(read_pickle, max_bytes=MAX_BATCH_BYTES, num_classes=10),
            names_file="batches.meta",
            parse_names=pickled_names("label_names"),
        ),
        Format(
            folder="cifar-10-batches-bin",
            train=tuple((f"{name}.bin",) for name in _BATCHES),
            test=("test_batch.bin",),
            read_part=partial(
                read_records, max_bytes=MAX_BATCH_BYTES, label_bytes=(("label", 10),)
            ),
            names_file="batches.meta.txt",
            parse_names=parse_lines,
        ),
        Format(
            folder=".",
            train=(("train_images.idx", "train_labels.idx"),),
            test=("test_images.idx", "test_labels.idx"),
            read_part=_read_idx,
        ),
    ),
)
