"""The program that classifies images with a trained network.

Without ``--images`` the test set is classified: accuracy, a table by class, and the
confusion matrix.
"""

import json
import shlex
from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import click
import numpy as np

from odyssey.cli.command import Command
from odyssey.cli.data_options import (
    dataset_options,
    how_to_download,
    load_or_advise,
)
from odyssey.cli.example import Example
from odyssey.cli.option import DATA, LOGGING, RUN, debug_option, option
from odyssey.cli.option_types import WholeNumber
from odyssey.cli.program import exit_statuses, threads_option
from odyssey.data.dataset import Dataset
from odyssey.data.image_files import classify_files, number
from odyssey.data.sets import DATASETS, PUBLISHED, make_eval_loader
from odyssey.errors import EXIT_USAGE, InputError, one_line, warn
from odyssey.network import Network
from odyssey.training.evaluation import BATCH_SIZE, Evaluation, evaluate
from odyssey.training.origin import Origin, origin_of
from odyssey.training.saved_model import open_model
from odyssey.training.step import inference
from odyssey.weights.model import LoadedWeights, estimate_running_statistics

#: Training images that running statistics are estimated from, and in batches of how
#: many: as many as in training, because the variance of a batch depends on its size.
RECALIBRATION_IMAGES, RECALIBRATION_BATCH = 2048, 128

#: Classes up to which a confusion matrix is printed; of more it would fill screens.
MOST_PRINTED = 20
MISTAKES_PRINTED = 10  # kinds of mistakes that are named in its place


def make_predict(
    network: Network, model: LoadedWeights, tta: bool
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from images (N, C, H, W) to logits (N, K).

    With ``tta`` (test-time augmentation) the logits are the mean of those of the image
    and of its mirror image.
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
    labels = np.zeros(len(images), np.int64)  # a loader wants some; nobody looks
    loader = make_eval_loader(
        images, labels, RECALIBRATION_BATCH, mean=origin.mean, std=origin.std
    )
    batches = (x for x, _ in loader.epoch(0))
    state = estimate_running_statistics(network, model.params, model.config, batches)
    return model._replace(state=state, has_statistics=True)


def percent(value: float | None) -> str:
    """Return a fraction for people to read; `number` has made None of NaN."""
    return "nan" if value is None else f"{value:.2%}"


def report(result: Evaluation, classes: Sequence[str]) -> dict:
    """Return an evaluation as plain JSON values."""
    rows = zip(classes, np.diag(result.confusion), result.confusion, strict=True)
    per_class = [
        {
            "class": name,
            "correct": int(correct),
            "total": int(row.sum()),
            "accuracy": float(correct / row.sum()) if row.any() else None,
        }
        for name, correct, row in rows
    ]
    return {
        "accuracy": result.accuracy,
        "correct": result.correct,
        "total": result.total,
        "loss": number(result.loss),
        "per_class": per_class,
        "confusion": result.confusion.tolist(),
    }


def print_report(values: dict) -> None:
    """Print accuracy, the table by class and the confusion matrix, or its gist."""
    loss = "not finite" if values["loss"] is None else f"{values['loss']:.4f}"
    click.echo(
        f"accuracy {values['accuracy']:.2%} ({values['correct']} of "
        f"{values['total']}), loss {loss}\n"
    )
    names = [row["class"] for row in values["per_class"]]
    width = max(map(len, names))
    click.echo(f"{'class':{width}}  correct   total  accuracy")
    for row in values["per_class"]:
        share = "-" if row["accuracy"] is None else f"{row['accuracy']:.2%}"
        click.echo(
            f"{row['class']:{width}}  {row['correct']:7}  {row['total']:6}  {share:>8}"
        )
    if len(names) > MOST_PRINTED:
        print_mistakes(names, np.array(values["confusion"]))
        return
    click.echo("\nconfusion: a row for each true class, a column for each answer")
    click.echo(
        " " * width + "".join(f"{name.removeprefix('class ')[:5]:>6}" for name in names)
    )
    for name, row in zip(names, values["confusion"], strict=True):
        click.echo(f"{name:{width}}" + "".join(f"{count:6}" for count in row))


def print_mistakes(names: Sequence[str], confusion: np.ndarray) -> None:
    """Print which classes were most often taken for which others."""
    wrong = confusion * ~np.eye(len(names), dtype=bool)
    width = max(map(len, names))
    click.echo(
        f"\nmost frequent mistakes\n{'class':{width}}  {'answer':{width}}  images"
    )
    for cell in np.argsort(-wrong, axis=None, kind="stable")[:MISTAKES_PRINTED]:
        true, answer = divmod(int(cell), len(names))
        if count := wrong[true, answer]:
            click.echo(f"{names[true]:{width}}  {names[answer]:{width}}  {count:6}")


def report_files(results: Iterable[dict], as_json: bool) -> None:
    """Print what `classify_files` yields, and end with status 2 if any is an error."""
    predictions: list[dict] = []
    errors: list[dict] = []
    for result in results:
        (errors if "error" in result else predictions).append(result)
        if "top" in result and not as_json:
            best = (f"{t['class']} {percent(t['probability'])}" for t in result["top"])
            click.echo(f"{result['file']}: {', '.join(best)}")
    if as_json:
        click.echo(json.dumps({"predictions": predictions, "errors": errors}))
    for result in errors:
        click.echo(f"Error: {one_line(result['error'])}", err=True)
    if errors:
        raise click.exceptions.Exit(EXIT_USAGE)


def numbered(names: Sequence[str], K: int) -> list[str]:
    """Return the names, and numbers for the outputs beyond them."""
    return [*names, *(f"class {k}" for k in range(len(names), K))]


def meant_dataset(trained_on: str | None, dataset: str) -> str:
    """Return which data set to name in place of ``dataset``, "" if that one is fine."""
    if trained_on not in DATASETS or trained_on == dataset:
        return ""
    known = PUBLISHED.get(trained_on)
    title = known.title if known else "the synthetic set"
    return f"These weights learnt from {title}: --dataset {trained_on}"


def classify(example: Example, options: SimpleNamespace) -> None:
    """Load model and data, and classify what the options say."""
    network = example.network
    model = open_model(network, options.weights_dir, options.allow_nonfinite)
    K = model.config.num_classes
    origin = origin_of(model.metadata, K, options.weights_dir)
    data: Dataset | None = None
    if options.recalibrate or not options.images:
        trained_on = origin.dataset
        meant = meant_dataset(trained_on, options.dataset)
        advice = meant
        if not meant and options.dataset in PUBLISHED:
            advice = how_to_download(options.dataset, options.data_dir)
        data = load_or_advise(options.dataset, options.data_dir, advice)
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
            mean=origin.mean,
            std=origin.std,
        )
        report_files(results, options.as_json)
        return
    assert data is not None  # read above
    test = data.test_images[: options.limit], data.test_labels[: options.limit]
    loader = make_eval_loader(
        *test, options.batch_size, mean=origin.mean, std=origin.std
    )
    result = evaluate(predict, loader.epoch(0))
    values = report(result, numbered(data.class_names, K))
    if options.as_json:
        click.echo(json.dumps(values))
    else:
        print_report(values)


def classify_program(example: Example) -> click.Command:
    """Return the command that classifies with an example's trained network."""

    @click.command(cls=Command)
    @option(
        "--weights-dir",
        group=RUN,
        type=click.Path(),
        default=example.weights_dir,
        help="Folder of the trained weights, of a run or of a checkpoint.",
    )
    @dataset_options  # --dataset, --data-dir
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
        group=RUN,
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
        help="Classify these image files, or all in a folder, instead of the test set.",
    )
    @option(
        "--recalibrate",
        group=RUN,
        is_flag=True,
        help="Estimate batch norm's running statistics again from training images.",
    )
    @option(
        "--allow-nonfinite",
        group=RUN,
        is_flag=True,
        help="Use weights even if they contain NaN or infinity.",
    )
    @threads_option
    @debug_option
    @click.argument("more_images", nargs=-1, metavar="")
    def main(debug: bool, **options: Any) -> None:
        """Classify the test set, or image files, with trained weights."""
        if options["more_images"] and not options["images"]:
            files = shlex.join(options["more_images"])
            raise click.UsageError(
                f"Got unexpected extra argument; to classify images: --images {files}"
            )
        with exit_statuses(debug):
            classify(example, SimpleNamespace(**options))

    return main
