"""The options that say which images are trained on, and what is done to them."""

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
from data_loader import load_dataset, split_validation

from odyssey.data.augment import FLIPS, PAD_MODES
from odyssey.data.dataset import Dataset
from odyssey.data.randaugment import MAX_MAGNITUDE
from odyssey.training.program import FiniteFloat
from odyssey.training.recipe import Recipe

Labelled = tuple[np.ndarray, np.ndarray]  # images (N, 3, 32, 32) uint8, labels (N,)

OPTIONS = [
    click.option(
        "--augment/--no-augment",
        default=True,
        help="Random crops and flips, and what else is asked for.",
    ),
    click.option(
        "--pad-mode",
        type=click.Choice(PAD_MODES),
        default=Recipe.pad_mode,
        help="What a crop shows beyond the border.",
    ),
    click.option(
        "--flip",
        type=click.Choice(list(FLIPS)),
        default=Recipe.flip,
        help="alternating: every second epoch, from a random one on.",
    ),
    click.option(
        "--cutout",
        type=click.IntRange(0, 1000),
        default=Recipe.cutout,
        metavar="SIDE",
        help="Leave out a square; 0 for none.",
    ),
    click.option(
        "--randaugment",
        type=(click.IntRange(0, 100), click.IntRange(0, MAX_MAGNITUDE)),
        default=Recipe.randaugment,
        metavar="NUM_OPS MAGNITUDE",
        help="0 operations for none.",
    ),
    click.option(
        "--mixup-alpha",
        type=FiniteFloat(0),
        default=Recipe.mixup_alpha,
        help="Mix images of a batch by shares of Beta(alpha, alpha); 0 for none.",
    ),
    click.option(
        "--cutmix-alpha",
        type=FiniteFloat(0),
        default=Recipe.cutmix_alpha,
        help="Paste boxes of such shares; with both, a coin for each batch.",
    ),
]


def data_options(command: Callable) -> Callable:
    """Add the options to a command; what does not go together is refused."""

    @functools.wraps(command)
    def checked(*args: Any, **options: Any) -> Any:
        if not options["augment"] and (options["cutout"] or options["randaugment"][0]):
            raise click.UsageError(
                "--no-augment excludes --cutout and --randaugment; "
                "--mixup-alpha and --cutmix-alpha go without."
            )
        return command(*args, **options)

    for option in reversed(OPTIONS):
        checked = option(checked)
    return checked


def loader_options(recipe: Recipe | SimpleNamespace) -> dict[str, Any]:
    """Return what a recipe, or a command's options, say of a `BatchLoader`.

    They have the names of its parameters.
    """
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


def load_data(options: SimpleNamespace) -> tuple[Dataset, dict[str, Labelled]]:
    """Return the data set cut to size, and the parts that are not trained on."""
    data = load_dataset(options.dataset, options.data_dir)
    images, labels = data.train_images, data.train_labels
    held_out = {}
    if options.val_split:
        if options.val_split >= len(images):
            raise click.BadParameter(
                f"{options.val_split} leaves none of {len(images)} images to train on.",
                param_hint="--val-split",
            )
        images, labels, *held_out["val"] = split_validation(
            images, labels, options.val_split, options.seed
        )
    test = slice(options.limit_test)
    held_out["test"] = data.test_images[test], data.test_labels[test]
    train = slice(options.limit_train)
    return data._replace(
        train_images=images[train], train_labels=labels[train]
    ), held_out
