"""Draw a sheet of augmented images, to look at.

    python examples/resnet18_cifar10/show_augmentation.py --randaugment 2 9 --cutout 8
    python examples/resnet18_cifar10/show_augmentation.py --operations

Each row shows an image, first unchanged, then in each epoch from ``--epoch`` on.  With
``--operations`` the columns are the operations of RandAugment.  With ``--mixup-alpha``
or ``--cutmix-alpha`` the images of a column are mixed with each other.  The same
options give the same sheet.
"""

import io
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import click
import numpy as np

from odyssey.cli.command import Command
from odyssey.cli.data_options import (
    data_options,
    dataset_options,
    load_or_advise,
    loader_options,
    refuse_randaugment_of_greys,
)
from odyssey.cli.next_steps import given_options, say_next, training
from odyssey.cli.option import DATA, debug_option, option
from odyssey.cli.option_types import WholeNumber
from odyssey.cli.program import exit_statuses
from odyssey.data.dataset import CIFAR10_MEAN, CIFAR10_STD
from odyssey.data.folder import IMAGE_SIZE
from odyssey.data.loader import BatchLoader
from odyssey.data.randaugment import OPERATIONS, apply_operation
from odyssey.errors import InputError
from odyssey.training.pictures import contact_sheet, denormalize
from odyssey.weights.files import atomic_write_bytes

#: Options of the sheet alone, by name; the others are those of training.
OF_THE_SHEET = ("output", "rows", "columns", "epoch", "scale", "padding", "operations")


def augmented_columns(
    images: np.ndarray,
    labels: np.ndarray,
    columns: int,
    first: int,
    *,
    mean: Sequence[float] = CIFAR10_MEAN,
    std: Sequence[float] = CIFAR10_STD,
    **options: Any,
) -> list[np.ndarray]:
    """Return the images in each of ``columns`` epochs, (N, C, H, W) uint8.

    They are the batches of a `BatchLoader`, with its normalisation undone.
    """
    options |= {"mean": mean, "std": std}
    loader = BatchLoader(images, labels, len(images), shuffle=False, **options)
    epochs = (next(loader.epoch(first + column))[0] for column in range(columns))
    return [denormalize(x, mean, std) for x in epochs]


def operation_columns(images: np.ndarray, magnitude: int) -> list[np.ndarray]:
    """Return the images after each operation of RandAugment, with alternating signs."""
    columns = []
    for operation in OPERATIONS[1:]:
        changed = apply_operation(images, operation, magnitude)
        changed[1::2] = apply_operation(
            images[1::2], operation, magnitude, negative=True
        )
        columns.append(changed)
    return columns


def png(pixels: np.ndarray, scale: int) -> bytes:
    """Return an enlarged image (height, width, 3) uint8 as the bytes of a PNG file."""
    try:
        from PIL import Image
    except ImportError:
        raise InputError(
            "a PNG needs Pillow: pip install pillow (the extra odyssey-by-hand[images])"
        ) from None
    enlarged = pixels.repeat(scale, axis=0).repeat(scale, axis=1)
    file = io.BytesIO()
    Image.fromarray(enlarged).save(file, "PNG")
    return file.getvalue()


@click.command("augmentation", cls=Command)
@option(
    "--output",
    type=click.Path(dir_okay=False),
    default="augmentation.png",
    help="PNG file to write.",
)
@dataset_options  # --dataset, --data-dir
@option(
    "--images",
    "rows",
    type=WholeNumber(1, 100),
    default=10,
    help="Number of images, a row each.",
)
@option(
    "--columns",
    type=WholeNumber(1, 100),
    default=12,
    help="Number of epochs to show, a column each.",
)
@option(
    "--epoch",
    type=WholeNumber(0, 10**9),
    default=0,
    help="First epoch to show, counted from 0.",
)
@option(
    "--seed",
    type=WholeNumber(-(2**63), 2**64 - 1),
    default=0,
    help="Seed of the random numbers.",
)
@option(
    "--scale",
    type=WholeNumber(1, 16),
    default=3,
    help="Factor by which the images are enlarged.",
)
@option(
    "--padding",
    group=DATA,
    type=WholeNumber(0, 1000),
    default=4,
    help="Number of pixels by which a crop may be shifted in each direction.",
)
@data_options  # as train.py has them
@option(
    "--operations",
    is_flag=True,
    help="Show each operation of RandAugment at the magnitude given, and no other "
    "augmentation.",
)
@debug_option
def main(debug: bool, **options: Any) -> None:
    """Draw a sheet of augmented training images.

    \b
    Examples:
      python -m odyssey augmentation --randaugment 2 9 --cutout 8
      python -m odyssey augmentation --dataset synthetic --operations
      python -m odyssey augmentation --dataset folder --data-dir photos
    """  # noqa: D301  (click wants the backspace itself)
    with exit_statuses(debug):
        draw(SimpleNamespace(**options))
        say_next(training(*given_options(*OF_THE_SHEET)))


def draw(options: SimpleNamespace) -> None:
    """Draw the sheet that the options describe, and write it."""
    data = load_or_advise(
        options.dataset,
        options.data_dir,
        image_size=options.image_size or IMAGE_SIZE,
        parts=("train",),
        limit_train=options.rows,
        limit_test=1,
    )
    if options.operations or options.randaugment[0]:
        hint = "--operations" if options.operations else "--randaugment"
        refuse_randaugment_of_greys(data, hint)
    images = data.train_images[: options.rows]
    labels = data.train_labels[: options.rows]
    if options.operations:
        columns = operation_columns(images, magnitude=options.randaugment[1])
    else:
        columns = augmented_columns(
            images,
            labels,
            options.columns,
            options.epoch,
            padding=options.padding,
            num_classes=data.num_classes,
            mean=data.mean,
            std=data.std,
            **loader_options(options),
        )
    sheet = contact_sheet([images, *columns])
    atomic_write_bytes(options.output, png(sheet, options.scale))
    width, height = (size * options.scale for size in sheet.shape[1::-1])
    click.echo(f"{options.output}: {width} x {height} pixels")
