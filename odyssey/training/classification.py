"""Classify image files with a trained network."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from odyssey.data.augment import normalize_batch
from odyssey.data.dataset import CIFAR10_MEAN, CIFAR10_STD, STRETCH, DataError
from odyssey.data.image_files import read_image
from odyssey.data.image_listing import files_of
from odyssey.ops.loss import softmax


def classify_files(
    paths: Iterable[str | os.PathLike],
    predict: Callable,
    classes: Sequence[str],
    dtype: np.dtype,
    *,
    image_shape: tuple[int, int, int] = (3, 32, 32),
    fit: str = STRETCH,
    mean: Sequence[float] = CIFAR10_MEAN,
    std: Sequence[float] = CIFAR10_STD,
) -> Iterator[dict[str, Any]]:
    """Yield the three most probable classes of each image file, or its error.

    Parameters
    ----------
    paths : files, or folders of them
    predict : normalised images (1, C, H, W) of ``dtype`` to logits (1, K)
    classes : K names
    dtype : float32 or float64
    image_shape, fit : what images are resized to, and how, see `read_image`
    mean, std : of each channel, for the normalisation

    Yields
    ------
    result : {"file", "top"}, where "top" lists {"class", "label", "probability"}, or
        {"file", "error"}
    """
    for path in paths:
        try:
            files = files_of(path)
        except DataError as error:
            yield {"file": os.fspath(path), "error": str(error)}
            continue
        for file in files:
            try:
                image = read_image(file, image_shape, fit)
            except DataError as error:
                yield {"file": file, "error": str(error)}
                continue
            x = np.empty(image.shape, dtype)
            normalize_batch(image, x, mean, std)
            p = softmax(predict(x))[0]  # (K,)
            top = [
                {"class": classes[k], "label": int(k), "probability": number(p[k])}
                for k in np.argsort(-p, kind="stable")[:3]
            ]
            yield {"file": file, "top": top}


def number(value: float) -> float | None:
    """Return ``value``, or None for NaN and infinity, which JSON does not have."""
    return float(value) if np.isfinite(value) else None
