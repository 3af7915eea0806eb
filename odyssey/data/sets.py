"""Data sets by name, the split for validation, and loaders."""

import os
from typing import Any

import numpy as np

from odyssey.data.cifar10 import CIFAR10
from odyssey.data.cifar100 import CIFAR100
from odyssey.data.dataset import Dataset
from odyssey.data.loader import BatchLoader, permutation
from odyssey.data.streams import SPLIT_STREAM

#: The data sets that are read from a folder.
PUBLISHED = {"cifar10": CIFAR10, "cifar100": CIFAR100}
FOLDER = "folder"  # the user's own images
DATASETS = (*PUBLISHED, "synthetic", FOLDER)


def usual_data_dir(dataset: str) -> str:
    """Return the default folder of a data set."""
    return f"datasets/{'cifar10' if dataset == 'synthetic' else dataset}"


def load_dataset(
    dataset: str,
    data_dir: str | os.PathLike,
    *,
    limit_train: int | None = None,
    limit_test: int | None = None,
    **folder_options: Any,
) -> Dataset:
    """Read or draw a data set.

    Parameters
    ----------
    dataset : "cifar10" or "cifar100", read from ``data_dir``, "folder", the images in a
        folder for each class there, or "synthetic", drawn
    data_dir : see `load_cifar10`, `load_cifar100` and `load_folder`; not used for
        "synthetic"
    limit_train, limit_test : so many of the first images are needed, 1 or more, or all:
        the synthetic set is drawn no further; files are read as a whole
    folder_options : those of `load_folder`, without effect on the other sets

    Raises
    ------
    DataError
        If the files are missing or damaged.
    """
    if dataset == "synthetic":
        from odyssey.data.synthetic import NUM_TEST, NUM_TRAIN, make_synthetic

        return make_synthetic(
            min(NUM_TRAIN, limit_train or NUM_TRAIN),
            min(NUM_TEST, limit_test or NUM_TEST),
        )
    if dataset == FOLDER:
        from odyssey.data.folder import load_folder

        return load_folder(data_dir, **folder_options)
    if dataset not in PUBLISHED:
        raise ValueError(
            f"load_dataset: dataset must be one of {DATASETS}, got {dataset!r}"
        )
    return PUBLISHED[dataset].load(data_dir)


def split_validation(
    images: np.ndarray, labels: np.ndarray, n: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Split ``n`` random images for validation off the training set.

    The choice is a pure function of (number of images, n, seed), and the choice for a
    smaller n is part of that for a larger one.  Both parts keep their order.  Limit the
    number of training images after the split, so that the limit does not change the
    images for validation.

    Parameters
    ----------
    images : (N, C, H, W) uint8
    labels : (N,) integers
    n : 0 to N - 1, so that something is left to train on
    seed : any integer of 64 bits

    Returns
    -------
    train_images, train_labels, val_images, val_labels : the images channels-last
    """
    N = len(images)
    if not 0 <= n < N:
        raise ValueError(
            f"split_validation: n must be 0 to {N - 1}, one less than there are "
            f"training images, got {n}"
        )
    if n == 0:
        return images, labels, images[:0], labels[:0]
    chosen = np.zeros(N, bool)
    chosen[permutation(N, seed=seed, stream=SPLIT_STREAM)[:n]] = True
    return (*_take(images, labels, ~chosen), *_take(images, labels, chosen))


def make_train_loader(
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int,
    *,
    seed: int,
    augment: bool = True,
    **options: Any,
) -> BatchLoader:
    """Return a loader that shuffles each epoch and, by default, crops and flips.

    Other ``options`` are those of `BatchLoader`.
    """
    return BatchLoader(
        images, labels, batch_size, seed=seed, augment=augment, **options
    )


def make_eval_loader(
    images: np.ndarray, labels: np.ndarray, batch_size: int, **options: Any
) -> BatchLoader:
    """Return a loader that keeps the order and only normalises.

    The ``options`` are ``mean`` and ``std``, see `BatchLoader`.
    """
    return BatchLoader(images, labels, batch_size, shuffle=False, **options)


def _take(
    images: np.ndarray, labels: np.ndarray, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return copies of the chosen images and labels; the images channels-last."""
    return images.transpose(0, 2, 3, 1)[chosen].transpose(0, 3, 1, 2), labels[chosen]
