"""The options of the data set and of augmentation, and the data that they choose."""

import functools
import os
import shlex
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import click
import numba
import numpy as np

from odyssey.cli.choice import Choice
from odyssey.cli.image_meter import ImageMeter
from odyssey.cli.option import DATA, option, with_options
from odyssey.cli.option_types import FiniteFloat, WholeNumber
from odyssey.data.augment import FLIPS, PAD_MODES
from odyssey.data.dataset import DataError, Dataset
from odyssey.data.folder import IMAGE_SIZE
from odyssey.data.randaugment import MAX_MAGNITUDE
from odyssey.data.sets import (
    DATASETS,
    FOLDER,
    PUBLISHED,
    load_dataset,
    split_validation,
    usual_data_dir,
)
from odyssey.errors import Interrupted
from odyssey.training.recipe import Recipe
from odyssey.training.signals import StopFlag, StopRequested

Labelled = tuple[np.ndarray, np.ndarray]  # images (N, C, H, W) uint8, labels (N,)

#: The default of ``--data-dir``, as the help shows it.
DATA_DIR_DEFAULTS = " or ".join(map(usual_data_dir, PUBLISHED))

MAX_IMAGE_SIZE = 4096  # pixels a side

_option = functools.partial(option, group=DATA)

_AUGMENTATION = [
    _option(
        "--augment/--no-augment",
        default=True,
        help="Crop and flip training images at random; --cutout and --randaugment need "
        "it.",
    ),
    _option(
        "--pad-mode",
        type=Choice(PAD_MODES),
        default=Recipe.pad_mode,
        help="What a crop shows beyond the border: black, or the image mirrored.",
    ),
    _option(
        "--flip",
        type=Choice(FLIPS, {"horizontal": ("random",), "off": ("none",)}),
        default=Recipe.flip,
        help="Mirror images left to right: with probability 1/2, or alternating, in "
        "every second epoch.",
    ),
    _option(
        "--cutout",
        type=WholeNumber(0, 1000),
        default=Recipe.cutout,
        metavar="SIDE",
        help="Blank out a random square of this many pixels a side; 0 for none.",
    ),
    _option(
        "--randaugment",
        type=(WholeNumber(0, 100), WholeNumber(0, MAX_MAGNITUDE)),
        default=Recipe.randaugment,
        metavar="NUM_OPS MAGNITUDE",
        help="Apply this many random operations of RandAugment to each image, at a "
        f"magnitude from 0 to {MAX_MAGNITUDE}; 0 operations for none.",
    ),
    _option(
        "--mixup-alpha",
        type=FiniteFloat(0),
        default=Recipe.mixup_alpha,
        help="Mixup: blend each image and label with another of the batch, in shares "
        "drawn from Beta(alpha, alpha); 0 for none.",
    ),
    _option(
        "--cutmix-alpha",
        type=FiniteFloat(0),
        default=Recipe.cutmix_alpha,
        help="CutMix: paste a box of another image of the batch, its area drawn from "
        "Beta(alpha, alpha); 0 for none. With --mixup-alpha too, each batch takes one "
        "of the two at random.",
    ),
]


DATASET_OPTIONS = [
    _option(
        "--dataset",
        type=Choice(DATASETS),
        default="cifar10",
        help="CIFAR-10, CIFAR-100, synthetic images that are drawn without any "
        "download, or your own images in a folder for each class: "
        "train/CLASS/*.png and test/CLASS/*.png, or CLASS/*.png.",
    ),
    _option(
        "--data-dir",
        type=click.Path(),  # a file is refused by `load_dataset`, which says what it is
        metavar="DIR",
        show_default=DATA_DIR_DEFAULTS,
        help="Folder that holds the data set.",
    ),
    _option(
        "--image-size",
        type=WholeNumber(1, MAX_IMAGE_SIZE),
        metavar="SIDE",
        show_default=f"{IMAGE_SIZE}, or that of the weights",
        help="Pixels a side of the images of --dataset folder: each is resized until "
        "it just covers such a square, and its middle is kept. In inference.py also of "
        "--images.",
    ),
]

limit_train_option = _option(
    "--limit-train",
    type=WholeNumber(1),
    help="Train on the first N training images only.",
)
_SUBSET = [
    limit_train_option,
    _option(
        "--limit-test",
        type=WholeNumber(1),
        help="Evaluate on the first N test images only.",
    ),
    _option(
        "--val-split",
        type=WholeNumber(min=0),
        default=0,
        help="Number of training images to hold out for validation; they are taken "
        "before --limit-train.",
    ),
]
subset_options = with_options(_SUBSET)


def dataset_options(command: Callable) -> Callable:
    """Add ``--dataset``, ``--data-dir`` and ``--image-size`` to a command.

    Without ``--data-dir`` the command gets the usual folder of the data set.
    """

    @functools.wraps(command)
    def placed(*args: Any, **options: Any) -> Any:
        if options["data_dir"] is None:
            options["data_dir"] = usual_data_dir(options["dataset"])
        sized = options["dataset"] == FOLDER or options.get("images")
        if options["image_size"] is not None and not sized:
            raise click.UsageError(
                f"--image-size is for --dataset {FOLDER}; the images of "
                f"{options['dataset']} have a size."
            )
        return command(*args, **options)

    return with_options(DATASET_OPTIONS)(placed)


def data_options(command: Callable) -> Callable:
    """Add the options of augmentation to a command; refuse those that conflict."""

    @functools.wraps(command)
    def checked(*args: Any, **options: Any) -> Any:
        if not options["augment"] and (options["cutout"] or options["randaugment"][0]):
            raise click.UsageError(
                "--no-augment excludes --cutout and --randaugment; "
                "--mixup-alpha and --cutmix-alpha work without --augment."
            )
        return command(*args, **options)

    return with_options(_AUGMENTATION)(checked)


def loader_options(recipe: Recipe | SimpleNamespace) -> dict[str, Any]:
    """Return the arguments of `BatchLoader` that a recipe or options give."""
    num_ops, magnitude = recipe.randaugment
    return {
        "seed": recipe.seed,
        "augment": recipe.augment,
        "pad_mode": recipe.pad_mode,
        "flip": recipe.flip,
        "cutout": recipe.cutout,
        "randaugment_ops": num_ops,
        "randaugment_magnitude": magnitude,
        "mixup_alpha": recipe.mixup_alpha,
        "cutmix_alpha": recipe.cutmix_alpha,
    }


def how_to_download(dataset: str, data_dir: str | os.PathLike) -> str:
    """Return the sentence with the command that downloads a data set to a folder."""
    command = ["python", "-m", "odyssey", "download"]
    if dataset != "cifar10":
        command += ["--dataset", dataset]
    if os.path.isdir(data_dir) or not os.path.exists(data_dir):
        command += ["--data-dir", os.fspath(data_dir)]
    return f"To download {PUBLISHED[dataset].title}: {shlex.join(command)}"


def load_or_advise(
    dataset: str,
    data_dir: str | os.PathLike,
    advice: str | None = None,
    **how: Any,
) -> Dataset:
    """Return a data set; if that fails, the error ends with ``advice``.

    By default the advice names the synthetic set and the download; a folder of images
    has none.  ``how`` are the options of `load_dataset`.
    """
    if dataset == FOLDER:
        how = {"threads": numba.get_num_threads()} | how
    try:
        return load_dataset(dataset, data_dir, **how)
    except DataError as error:
        if not advice and (advice == "" or dataset == FOLDER):
            raise
        if advice is None:
            download = how_to_download(dataset, data_dir)
            advice = f"To do without: --dataset synthetic. {download}"
        raise DataError(f"{error}. {advice}") from error


def refuse_randaugment_of_greys(data: Dataset, param_hint: str) -> None:
    """Raise if the images are not RGB, which RandAugment needs."""
    if data.image_shape[0] != 3:
        raise click.BadParameter(
            "RandAugment needs images with channels red, green and blue; these have "
            f"{data.image_shape[0]}.",
            param_hint=param_hint,
        )


def folder_options_of(
    options: SimpleNamespace, stop: StopFlag | None
) -> dict[str, Any]:
    """Return the options of `load_folder` for a program that trains."""
    if options.dataset != FOLDER:
        return {}
    options.image_size = options.image_size or IMAGE_SIZE  # for the recipe
    meter = ImageMeter(
        False if options.no_progress else None,
        check=stop.check if stop else lambda: None,
    )
    return {"image_size": options.image_size, "observer": meter}


def load_data(
    options: SimpleNamespace, stop: StopFlag | None = None
) -> tuple[Dataset, dict[str, Labelled]]:
    """Return the data set, cut to size, and the images held out: "val" and "test".

    Raises
    ------
    Interrupted
        If a signal has come while image files were read.
    """
    try:
        data = load_or_advise(
            options.dataset,
            options.data_dir,
            # Images for validation are chosen from all, whatever the limit.
            limit_train=None if options.val_split else options.limit_train,
            limit_test=options.limit_test,
            **folder_options_of(options, stop),
        )
    except StopRequested:
        assert stop is not None and stop.signum is not None  # it raised this
        raise Interrupted(stop.signum, "nothing is trained yet") from None
    if options.randaugment[0]:
        refuse_randaugment_of_greys(data, "--randaugment")
    images, labels = data.train_images, data.train_labels
    held_out: dict[str, Labelled] = {}
    if options.val_split and data.val_images is not None:
        raise click.BadParameter(
            f"{options.data_dir} has images for validation of its own.",
            param_hint="--val-split",
        )
    if data.val_images is not None and data.val_labels is not None:
        held_out["val"] = data.val_images, data.val_labels
    if options.val_split:
        if options.val_split >= len(images):
            raise click.BadParameter(
                f"{options.val_split} leaves none of {len(images)} images to train on.",
                param_hint="--val-split",
            )
        images, labels, *val = split_validation(
            images, labels, options.val_split, options.seed
        )
        held_out["val"] = val[0], val[1]
    test = slice(options.limit_test)
    held_out["test"] = data.test_images[test], data.test_labels[test]
    train = slice(options.limit_train)
    return data._replace(
        train_images=images[train], train_labels=labels[train]
    ), held_out
