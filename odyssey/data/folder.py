"""The user's own images, in a folder for each class, as a data set.

Every file is decoded once, into one array for each part.  Mean and deviation of each
channel are those of the training images.
"""

import os
import time
import warnings
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from odyssey.data.class_folders import ClassFolders, Labelled, find_class_folders
from odyssey.data.dataset import CIFAR10_MEAN, CIFAR10_STD, CROP, DataError, Dataset
from odyssey.data.image_files import decode
from odyssey.data.image_listing import some
from odyssey.data.observer import Observer
from odyssey.errors import remedy

IMAGE_SIZE = 32  # pixels a side
PARTS = ("train", "val", "test")
CHUNK = 64  # files that a thread decodes in one go
SHARE_OF_MEMORY = 0.8  # of what is free, for the images


def load_folder(
    data_dir: str | os.PathLike,
    image_size: int = IMAGE_SIZE,
    *,
    fit: str = CROP,
    classes: Sequence[str] | None = None,
    parts: Collection[str] = PARTS,
    threads: int = 1,
    observer: Observer | None = None,
) -> Dataset:
    """Read images that lie in a folder for each class.

    Parameters
    ----------
    data_dir : the folder, see `odyssey.data.class_folders`
    image_size : pixels a side that every image gets
    fit : how, see `odyssey.data.image_files.read_image`
    classes : names of the classes, in order; by default those of the folders
    parts : those of "train", "val" and "test" that are read; others are empty
    threads : number of threads that decode; the result does not depend on it
    observer : is told what is found, and the progress in files

    Returns
    -------
    dataset : images (N, 3, S, S) uint8 with channels-last memory, labels (N,) int64.
        Without "train" in ``parts`` mean and deviation are those of CIFAR-10.

    Raises
    ------
    DataError
        If there are no such images, if files cannot be read (all are named at once),
        or if the images do not fit into memory.
    """
    observer = observer or Observer()
    found = find_class_folders(data_dir, classes)
    files = {part: getattr(found, part) for part in PARTS if part in parts}
    count = sum(map(len, files.values()))
    _check_memory(data_dir, count, image_size)
    started = time.perf_counter()
    observer.begin(0, count)
    try:
        images = _decode_all(files, image_size, fit, threads, observer)
    finally:
        observer.end()
    seconds = time.perf_counter() - started
    labels = {
        part: np.array([image.label for image in files.get(part, [])], np.int64)
        for part in PARTS
    }
    mean: tuple[float, ...] = CIFAR10_MEAN
    std: tuple[float, ...] = CIFAR10_STD
    if "train" in parts:
        mean, std = channel_statistics(images["train"])
    for line in _description(data_dir, found, files, count / seconds):
        observer.say(line)
    if "train" in parts:
        numbers = (
            " ".join(f"{value:.4f}" for value in values) for values in (mean, std)
        )
        observer.say(
            "red, green, blue of training: mean {}, deviation {}".format(*numbers)
        )
    has_validation = len(labels["val"]) > 0
    return Dataset(
        images["train"],
        labels["train"],
        images["test"],
        labels["test"],
        found.classes,
        mean,
        std,
        val_images=images["val"] if has_validation else None,
        val_labels=labels["val"] if has_validation else None,
        fit=fit,
    )


def channel_statistics(
    images: np.ndarray,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel, on the scale 0 to 1.

    They are computed from whole numbers, so that no rounding adds up, and rounded to
    four digits.  The deviation of a channel that does not vary is 1/255.

    Parameters
    ----------
    images : (N, C, H, W) uint8, at least one
    """
    C = images.shape[1]
    counts = np.zeros((C, 256), np.int64)
    for start in range(0, len(images), 256):
        chunk = images[start : start + 256]
        for channel in range(C):
            counts[channel] += np.bincount(chunk[:, channel].ravel(), minlength=256)
    values = np.arange(256, dtype=np.int64)
    mean, std = [], []
    for row in counts:
        n, first, second = (int((row * values**power).sum()) for power in (0, 1, 2))
        mean.append(round(first / n / 255, 4))
        spread = (n * second - first**2) ** 0.5 / n / 255
        std.append(round(spread, 4) if spread > 1e-4 else round(1 / 255, 4))
    return tuple(mean), tuple(std)


def _decode_all(
    files: dict[str, list[Labelled]],
    size: int,
    fit: str,
    threads: int,
    observer: Observer,
) -> dict[str, np.ndarray]:
    """Return the images of each part, (N, 3, S, S) uint8 with channels-last memory."""
    arrays = {
        part: np.empty((len(files.get(part, [])), size, size, 3), np.uint8)
        for part in PARTS
    }
    shape = 3, size, size

    def decode_some(images: np.ndarray, chunk: list[Labelled]) -> list[str]:
        wrong = []
        for place, image in enumerate(chunk):
            try:
                images[place] = decode(image.path, shape, fit)
            except DataError as error:
                wrong.append(str(error))
        return wrong

    chunks = [
        (arrays[part][start : start + CHUNK], labelled[start : start + CHUNK])
        for part, labelled in files.items()
        for start in range(0, len(labelled), CHUNK)
    ]
    wrong: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about what it reads all the same
        with ThreadPoolExecutor(threads) as pool:
            futures: list[Future] = [pool.submit(decode_some, *work) for work in chunks]
            try:
                for future, (_, chunk) in zip(futures, chunks, strict=True):
                    wrong += future.result()
                    observer.advance(len(chunk))
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
    if len(wrong) == 1:
        raise DataError(wrong[0])
    if wrong:
        wrong.sort()
        for line in wrong:
            observer.fail(line)
        names = [line.partition(": ")[0] for line in wrong]
        raise DataError(f"{len(wrong):,} images cannot be read: {some(names, 5)}")
    return {part: images.transpose(0, 3, 1, 2) for part, images in arrays.items()}


def _description(
    data_dir: str | os.PathLike,
    found: ClassFolders,
    files: dict[str, list[Any]],
    rate: float,
) -> list[str]:
    """Return lines about the images that were found."""
    words = {"train": "training", "val": "validation", "test": "test"}
    sizes = ", ".join(
        f"{len(images):,} {words[part]}" for part, images in files.items() if images
    )
    named = some([f"{label} {name}" for label, name in enumerate(found.classes)])
    return [
        f"{os.fspath(data_dir)}: {sizes} images of {len(found.classes)} classes "
        f"({named}); read at {rate:,.0f} images/s",
        *found.notes,
    ]


def _check_memory(data_dir: str | os.PathLike, count: int, size: int) -> None:
    """Raise if so many images would not fit into the memory that is free."""
    needed, free = count * size * size * 3, free_memory()
    if free is not None and needed > SHARE_OF_MEMORY * free:
        raise DataError(
            f"{data_dir}: {count:,} images of {size} x {size} pixels need "
            f"{needed / 2**30:.1f} GiB, of {free / 2**30:.1f} GiB of free memory"
            + remedy("smaller images")
        )


def free_memory() -> int | None:
    """Return the bytes of memory that programs can still get, None if not known."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError, IndexError):
        return None
