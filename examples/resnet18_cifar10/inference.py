"""Classify images with the weights that train.py saved.

    python examples/resnet18_cifar10/inference.py --weights-dir resnet18_weights
    python examples/resnet18_cifar10/inference.py --images cat.png ship.jpg

Without ``--images`` the test set is classified: accuracy, a table by class, and the
confusion matrix.
"""

if __name__ == "__main__":
    import os
    import sys

    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # not with python -P
    import startup

    startup.prepare()

import json
import os
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import click
import numpy as np
from architecture import fold
from data_loader import load_dataset, make_eval_loader
from data_options import dataset_options
from model import forward
from saved_model import open_model
from weights import LoadedWeights, estimate_running_statistics

from odyssey.cli.command import Command
from odyssey.cli.option import DATA, LOGGING, RUN, debug_option, option
from odyssey.data.augment import normalize_batch
from odyssey.data.dataset import CIFAR10_CLASSES, DataError
from odyssey.ops.loss import softmax
from odyssey.training.errors import InputError, warn
from odyssey.training.evaluation import BATCH_SIZE, Evaluation, evaluate
from odyssey.training.option_types import WholeNumber
from odyssey.training.program import exit_statuses, threads_option

#: Training images that running statistics are estimated from, and in batches of how
#: many: as many as in training, because the variance of a batch depends on its size.
RECALIBRATION_IMAGES, RECALIBRATION_BATCH = 2048, 128
SIDE = 32  # pixels


def make_predict(model: LoadedWeights, tta: bool) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from images (N, 3, 32, 32) to logits (N, K).

    With ``tta`` (test-time augmentation) the logits are the mean of those of the image
    and of its mirror image.
    """
    folded = fold(model.params, model.state, model.config)

    def logits(x: np.ndarray) -> np.ndarray:
        return forward(folded, {}, x, model.config, training=False)[0]

    if not tta:
        return logits
    return lambda x: (logits(x) + logits(x[:, :, :, ::-1])) * 0.5


def recalibrated(model: LoadedWeights, images: np.ndarray) -> LoadedWeights:
    """Return the model with running statistics estimated from training images."""
    images = images[:RECALIBRATION_IMAGES]
    labels = np.zeros(len(images), np.int64)  # a loader wants some; nobody looks
    loader = make_eval_loader(images, labels, RECALIBRATION_BATCH)
    batches = (x for x, _ in loader.epoch(0))
    state = estimate_running_statistics(model.params, model.config, batches)
    return model._replace(state=state, has_statistics=True)


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Return an image file as (1, 3, 32, 32) uint8: upright, RGB, on white, resized.

    Raises
    ------
    DataError
        If the file is missing, damaged or no image.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise InputError(
            "--images needs Pillow: pip install pillow (the extra odyssey[images])"
        ) from None
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            if image.mode[0] in "IF":  # greys that `convert` would cut off at 255
                image = Image.fromarray(eight_bits(np.asarray(image)))
            image = image.convert("RGBA")
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image).convert("RGB")
            image = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    # Pillow's plugins let many kinds of error through where a file is damaged.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read as an image: {reason}") from error
    return np.asarray(image).transpose(2, 0, 1)[None]


def eight_bits(greys: np.ndarray) -> np.ndarray:
    """Return greys of 16 or 32 bits as uint8.

    White is 65535 and, for floating-point greys, 1; where some exceed that, the next
    white that is usual.
    """
    greys = np.nan_to_num(greys)
    whites = (1, 255, 65535) if greys.dtype.kind == "f" else (65535, 2**31 - 1)
    white = next((w for w in whites if greys.max() <= w), whites[-1])
    return np.rint(greys * (255.0 / white)).clip(0, 255).astype(np.uint8)


def classify_files(
    paths: Sequence[str], predict: Callable, classes: Sequence[str], dtype: np.dtype
) -> list[dict]:
    """Return the three most probable classes of each image file."""
    predictions = []
    for path in paths:
        image = read_image(path)
        x = np.empty(image.shape, dtype)
        normalize_batch(image, x)
        p = softmax(predict(x))[0]  # (K,)
        top = [
            {"class": classes[k], "label": int(k), "probability": number(p[k])}
            for k in np.argsort(-p, kind="stable")[:3]
        ]
        predictions.append({"file": str(path), "top": top})
    return predictions


def number(value: float) -> float | None:
    """Return ``value`` for JSON, which has no NaN and no infinity: None."""
    return float(value) if np.isfinite(value) else None


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
    """Print accuracy, the table by class and the confusion matrix."""
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
    click.echo("\nconfusion: a row for each true class, a column for each answer")
    click.echo(
        " " * width + "".join(f"{name.removeprefix('class ')[:5]:>6}" for name in names)
    )
    for name, row in zip(names, values["confusion"], strict=True):
        click.echo(f"{name:{width}}" + "".join(f"{count:6}" for count in row))


def print_predictions(predictions: list[dict]) -> None:
    """Print the best classes of each image file, a line each."""
    for prediction in predictions:
        best = (f"{t['class']} {percent(t['probability'])}" for t in prediction["top"])
        click.echo(f"{prediction['file']}: {', '.join(best)}")


def class_names(model: LoadedWeights, weights_dir: str) -> list[str]:
    """Return the names of the classes learnt: those saved, CIFAR-10's, or none."""
    K = model.config.num_classes
    usual = list(CIFAR10_CLASSES) if K == len(CIFAR10_CLASSES) else []
    names = model.metadata.get("classes", usual)
    if not isinstance(names, list) or any(
        not isinstance(name, str) or not name.isprintable() for name in names
    ):
        raise InputError(f"{weights_dir}: bad classes in the manifest")
    return names if len(names) <= K else []


def numbered(names: Sequence[str], K: int) -> list[str]:
    """Return the names, and numbers for the outputs beyond them."""
    return [*names, *(f"class {k}" for k in range(len(names), K))]


@click.command(cls=Command)
@option(
    "--weights-dir",
    group=RUN,
    type=click.Path(),
    default="resnet18_weights",
    help="Folder of the trained weights.",
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
@option("--json", "as_json", group=LOGGING, is_flag=True, help="Print one JSON object.")
@option(
    "--images",
    group=DATA,
    multiple=True,
    metavar="FILE...",
    help="Classify these image files instead of the test set.",
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
def main(debug: bool, **options) -> None:
    """Classify the test set, or image files, with trained weights."""
    if options["more_images"] and not options["images"]:
        unknown = options["more_images"][0]
        raise click.UsageError(f"Got unexpected extra argument ({unknown})")
    with exit_statuses(debug):
        classify(SimpleNamespace(**options))


def classify(options: SimpleNamespace) -> None:
    """Load model and data, and classify what the options say."""
    model = open_model(options.weights_dir, options.allow_nonfinite)
    K, learnt = model.config.num_classes, class_names(model, options.weights_dir)
    data = None
    if options.recalibrate or not options.images:
        data = load_dataset(options.dataset, options.data_dir)
        trained_on = model.metadata.get("dataset")
        ours, theirs = len(learnt) or K, len(data.class_names)
        if ours != theirs:
            raise InputError(
                f"the model has {ours} classes, {options.dataset} has {theirs}"
            )
        if trained_on not in (None, options.dataset):
            warn(f"the model learnt from {trained_on}, this is {options.dataset}")
    if options.recalibrate:
        model = recalibrated(model, data.train_images)
    predict = make_predict(model, options.tta)
    if options.images:
        files = [*options.images, *options.more_images]
        dtype = model.params["fc_bias"].dtype
        found = classify_files(files, predict, numbered(learnt, K), dtype)
        if options.as_json:
            click.echo(json.dumps({"predictions": found}))
        else:
            print_predictions(found)
        return
    test = data.test_images[: options.limit], data.test_labels[: options.limit]
    loader = make_eval_loader(*test, options.batch_size)
    result = evaluate(predict, loader.epoch(0))
    values = report(result, numbered(data.class_names, K))
    if options.as_json:
        click.echo(json.dumps(values))
    else:
        print_report(values)


if __name__ == "__main__":
    startup.run(main)
