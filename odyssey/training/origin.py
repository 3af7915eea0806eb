"""What is stored about a model's training data: enough to classify other images.

It is part of the weights' manifest and of checkpoints.  Values equal to CIFAR-10's are
left out, so that old manifests, which have none, keep their meaning.
"""

import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from odyssey.data.dataset import CIFAR10_MEAN, CIFAR10_STD, CROP, FITS, STRETCH, Dataset
from odyssey.data.sets import PUBLISHED
from odyssey.errors import InputError

IMAGE_SHAPE = (3, 32, 32)  # CIFAR's
#: That part of a manifest of another tool's weights: they need not be for CIFAR-10's
#: classes, and torchvision and timm cut the middle out of a photo.
UNKNOWN_IMAGES: dict[str, Any] = {"classes": [], "image_fit": CROP}
MAX_SIDE = 65_536  # pixels; a manifest with more is refused


class Origin(NamedTuple):
    """The data that a model was trained on."""

    dataset: str | None  # None: unknown
    classes: list[str]  # names of the first outputs; empty if unknown
    mean: tuple[float, ...]  # of each channel, for the normalisation
    std: tuple[float, ...]  # likewise
    image_shape: tuple[int, int, int]  # (C, H, W)
    fit: str  # how image files are brought to that shape, one of `FITS`


def origin_metadata(dataset: str, data: Dataset) -> dict[str, Any]:
    """Return the part of a manifest that describes a model's training data, as JSON."""
    metadata: dict[str, Any] = {"dataset": dataset, "classes": list(data.class_names)}
    if (tuple(data.mean), tuple(data.std)) != (CIFAR10_MEAN, CIFAR10_STD):
        metadata |= {"mean": list(data.mean), "std": list(data.std)}
    if data.image_shape != IMAGE_SHAPE:
        metadata["image_shape"] = list(data.image_shape)
    if data.fit != STRETCH:
        metadata["image_fit"] = data.fit
    return metadata


def origin_of(
    metadata: Mapping[str, Any], num_classes: int, weights_dir: str | os.PathLike
) -> Origin:
    """Return what a manifest says about the model's training data.

    Missing class names, means or deviations are those of the data set that it names, or
    of CIFAR-10.

    Parameters
    ----------
    metadata : the manifest's, empty if there is none
    num_classes : outputs of the model
    weights_dir : for messages

    Raises
    ------
    InputError
        If a value in the manifest is invalid; names the entry.
    """

    def require(condition: bool, name: str) -> None:
        if not condition:
            raise InputError(f"{weights_dir}: bad {name} in the manifest")

    dataset = metadata.get("dataset")
    published = PUBLISHED.get(dataset if isinstance(dataset, str) else "")
    published = published or PUBLISHED["cifar10"]
    known = list(published.class_names) if num_classes == published.num_classes else []
    classes = metadata.get("classes", known)
    require(
        isinstance(classes, list)
        and all(isinstance(name, str) and name.isprintable() for name in classes),
        "classes",
    )
    shape = metadata.get("image_shape", list(IMAGE_SHAPE))
    require(
        isinstance(shape, list)
        and len(shape) == 3
        and all(type(size) is int and 0 < size <= MAX_SIDE for size in shape),
        "image_shape",
    )
    fit = metadata.get("image_fit", STRETCH)
    require(isinstance(fit, str) and fit in FITS, "image_fit")
    mean = metadata.get("mean", list(published.mean))
    std = metadata.get("std", list(published.std))
    for name, values in (("mean", mean), ("std", std)):
        require(
            isinstance(values, list)
            and len(values) == shape[0]
            and all(type(v) in (int, float) and math.isfinite(v) for v in values),
            name,
        )
    require(all(value > 0 for value in std), "std")
    return Origin(
        dataset,
        classes if len(classes) <= num_classes else [],
        tuple(mean),
        tuple(std),
        tuple(shape),
        fit,
    )
