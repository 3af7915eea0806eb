"""The program that classifies images with a trained network.

Without ``--images`` the test set is classified: accuracy, a table by class, and the
confusion matrix.
"""

import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
from click.core import ParameterSource

from odyssey.cli.classify_output import print_evaluation, print_files
from odyssey.cli.command import Command
from odyssey.cli.data_options import (
    dataset_options,
    how_to_download,
    load_or_advise,
)
from odyssey.cli.example import Example
from odyssey.cli.image_meter import ImageMeter
from odyssey.cli.next_steps import shown_program
from odyssey.cli.normalization_options import corrected, normalization_options
from odyssey.cli.option import DATA, LOGGING, debug_option, option
from odyssey.cli.option_types import WholeNumber
from odyssey.cli.precision_option import precision_option
from odyssey.cli.program import exit_statuses, threads_option
from odyssey.data.dataset import Dataset
from odyssey.data.sets import DATASETS, FOLDER, PUBLISHED, make_eval_loader
from odyssey.errors import InputError, warn
from odyssey.network import Network
from odyssey.output import is_terminal, progress_bar
from odyssey.precision import in_precision
from odyssey.training.classification import classify_files
from odyssey.training.evaluation import BATCH_SIZE, evaluate
from odyssey.training.origin import Origin, origin_of
from odyssey.training.saved_model import open_model
from odyssey.training.step import inference
from odyssey.weights.model import LoadedWeights, estimate_running_statistics

HELP = """\
Classify the test set, or image files, with trained weights.

\b
Examples:
  {program}
  {program} --images photo.jpg holiday
  {program} --images photos/test --json
"""

#: Training images that running statistics are estimated from, and their batch size. It
#: is that of training, because the variance of a batch depends on its size.
RECALIBRATION_IMAGES, RECALIBRATION_BATCH = 2048, 128


def make_predict(
    network: Network, model: LoadedWeights, tta: bool
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from images (N, C, H, W) to logits (N, K).

    With ``tta`` (test-time augmentation) the logits of the image and of its mirror
    image are averaged.
    """
    logits = inference(network, model.params, model.state, model.config)
    if not tta:
        return logits
    return lambda x: (logits(x) + logits(x[:, :, :, ::-1])) * 0.5


def recalibrated(
    network: Network, model: LoadedWeights, images: np.ndarray, origin: Origin
) -> LoadedWeights:
    """Return the model with running statistics estimated from training images."""
    images = images[:RECALIBRATION_IMAGES]
    labels = np.zeros(len(images), np.int64)  # a loader needs some; they are not used
    loader = make_eval_loader(
        images, labels, RECALIBRATION_BATCH, mean=origin.mean, std=origin.std
    )
    batches = (x for x, _ in loader.epoch(0))
    state = estimate_running_statistics(network, model.params, model.config, batches)
    return model._replace(state=state, has_statistics=True)


def numbered(names: Sequence[str], K: int) -> list[str]:
    """Return K names: those given, then "class k" for each further output k."""
    return [*names, *(f"class {k}" for k in range(len(names), K))]


def meant_dataset(trained_on: str | None, dataset: str) -> str:
    """Return advice to use the data set of training, "" if ``dataset`` is that one."""
    if trained_on not in DATASETS or trained_on == dataset:
        return ""
    titles = {"synthetic": "the synthetic set", FOLDER: "a folder of images"}
    known = PUBLISHED.get(trained_on)
    title = known.title if known else titles[trained_on]
    place = " --data-dir DIR" if trained_on == FOLDER else ""
    return f"These weights were trained on {title}: --dataset {trained_on}{place}"


def folder_options_of(options: SimpleNamespace, origin: Origin) -> dict[str, Any]:
    """Return the options of `load_folder`: images as in training, and needed ones only.

    Raises
    ------
    InputError
        If the model takes no square images of three colours.
    """
    if options.dataset != FOLDER:
        return {}
    C, H, W = origin.image_shape
    if C != 3 or H != W:
        raise InputError(
            f"the model takes images of {C} x {H} x {W}, which --dataset {FOLDER} does "
            "not give; --images does"
        )
    parts = ["train"] if options.recalibrate else []
    return {
        "image_size": options.image_size or H,
        "fit": origin.fit,
        "classes": origin.classes or None,
        "parts": parts if options.images else [*parts, "test"],
        "observer": ImageMeter(err=True),
    }


def shown_on_a_terminal(items: Iterable, total: int | None = None) -> Iterable:
    """Return ``items``, whose progress a bar shows if stderr is a terminal."""
    return (
        progress_bar(iterable=items, total=total) if is_terminal(sys.stderr) else items
    )


def refuse_other_size(
    network: Network, model: LoadedWeights, shape: tuple[int, int, int]
) -> None:
    """Raise `InputError` unless a model takes images of this shape."""
    dtype = next(iter(model.params.values())).dtype
    try:
        x = np.zeros((1, *shape), dtype)
        network.forward(model.params, model.state, x, model.config, False)
    except ValueError as error:
        size = " x ".join(map(str, shape))
        raise InputError(
            f"{model.model} takes no images of {size} ({error})"
        ) from error


def classify(example: Example, options: SimpleNamespace) -> None:
    """Load model and data, and classify the images that the options choose."""
    network = in_precision(example.network, options.precision)
    model = open_model(network, options.weights_dir, options.allow_nonfinite)
    K = model.config.num_classes
    metadata = model.metadata
    if metadata.get("classes") == [] and options.dataset_given in PUBLISHED:
        metadata = {"dataset": options.dataset}  # of another tool's weights
    origin = corrected(
        origin_of(metadata, K, options.weights_dir),
        options.image_size,
        options.mean,
        options.std,
    )
    if options.image_size:
        refuse_other_size(network, model, origin.image_shape)
    data: Dataset | None = None
    if options.recalibrate or not options.images:
        trained_on = origin.dataset
        meant = meant_dataset(trained_on, options.dataset)
        advice = meant
        if not meant and options.dataset in PUBLISHED:
            advice = how_to_download(options.dataset, options.data_dir)
        own = folder_options_of(options, origin)
        data = load_or_advise(
            options.dataset,
            options.data_dir,
            advice,
            limit_train=None if options.recalibrate else 1,  # only the test set counts
            **own,
        )
        ours, theirs = len(origin.classes) or K, data.num_classes
        if ours != theirs:
            raise InputError(
                f"the model has {ours} classes, {options.dataset} has {theirs}"
                + (f". {meant}" if meant else "")
            )
        if trained_on not in (None, options.dataset):
            warn(f"the model learnt from {trained_on}, this is {options.dataset}")
    if options.recalibrate:
        assert data is not None  # read above
        model = recalibrated(network, model, data.train_images, origin)
    predict = make_predict(network, model, options.tta)
    if options.images:
        files = [*options.images, *options.more_images]
        dtype = next(iter(model.params.values())).dtype
        results = classify_files(
            files,
            predict,
            numbered(origin.classes, K),
            dtype,
            image_shape=origin.image_shape,
            fit=origin.fit,
            mean=origin.mean,
            std=origin.std,
        )
        # Without --json a line is printed for each file, which needs no bar.
        shown = shown_on_a_terminal(results) if options.as_json else results
        print_files(shown, options.as_json, origin.classes)
        return
    assert data is not None  # read above
    test = data.test_images[: options.limit], data.test_labels[: options.limit]
    loader = make_eval_loader(
        *test, options.batch_size, mean=origin.mean, std=origin.std
    )
    batches = shown_on_a_terminal(loader.epoch(0), loader.num_batches)
    result = evaluate(predict, batches)
    print_evaluation(result, numbered(data.class_names, K), options.as_json)


def classify_program(example: Example) -> click.Command:
    """Return the command that classifies images with an example's trained network."""
    shown = shown_program(example, "inference.py")

    @click.command(cls=Command, help=HELP.format(program=shown))
    @option(
        "--weights-dir",
        type=click.Path(),
        default=example.weights_dir,
        help="Folder of the trained weights, of a run or of a checkpoint, or a file of "
        "PyTorch, safetensors or NumPy.",
    )
    @precision_option
    @dataset_options  # --dataset, --data-dir, --image-size
    @normalization_options  # --mean, --std
    @option(
        "--batch-size",
        group=DATA,
        type=WholeNumber(min=1),
        default=BATCH_SIZE,
        help="Number of test images in a batch.",
    )
    @option(
        "--limit",
        group=DATA,
        type=WholeNumber(min=1),
        help="Classify the first N test images only.",
    )
    @option(
        "--tta",
        is_flag=True,
        help="Test-time augmentation: average the logits of each image and its mirror "
        "image.",
    )
    @option(
        "--json", "as_json", group=LOGGING, is_flag=True, help="Print one JSON object."
    )
    @option(
        "--images",
        group=DATA,
        multiple=True,
        metavar="FILE...",
        help="Classify these image files, or all in a folder, instead of the test set. "
        "They are resized: as a whole for weights that are for CIFAR's images, else "
        "their middle square.",
    )
    @option(
        "--recalibrate",
        is_flag=True,
        help="Estimate batch norm's running statistics again from training images.",
    )
    @option(
        "--allow-nonfinite",
        is_flag=True,
        help="Use weights even if they contain NaN or infinity.",
    )
    @threads_option
    @debug_option
    @click.argument("more_images", nargs=-1, metavar="")
    def main(debug: bool, **options: Any) -> None:
        if options["more_images"] and not options["images"]:
            files = shlex.join(options["more_images"])
            raise click.UsageError(
                f"Got unexpected extra argument; to classify images: --images {files}"
            )
        source = click.get_current_context().get_parameter_source("dataset")
        given = source is ParameterSource.COMMANDLINE
        options["dataset_given"] = options["dataset"] if given else None
        with exit_statuses(debug):
            classify(example, SimpleNamespace(**options))

    return main
