"""``odyssey export``: write a trained network as an ONNX model."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

import odyssey
from odyssey.cli.classify import numbered
from odyssey.cli.command import Command
from odyssey.cli.example import Example
from odyssey.cli.find_example import example_of, load_example
from odyssey.cli.next_steps import say_next
from odyssey.cli.normalization_options import corrected, normalization_options
from odyssey.cli.option import DATA, MODEL, debug_option, option
from odyssey.cli.option_types import WholeNumber
from odyssey.cli.program import exit_statuses
from odyssey.errors import InputError
from odyssey.output import say
from odyssey.training.origin import Origin, origin_of
from odyssey.training.recipe_file import recipe_beside
from odyssey.training.saved_model import open_model
from odyssey.weights.files import atomic_write_bytes
from odyssey.weights.model import LoadedWeights

SUFFIX = ".onnx"


def metadata_of(
    example: Example, model: LoadedWeights, origin: Origin, weights_dir: str
) -> dict[str, str]:
    """Return what the file says of the model; JSON, except for names and the recipe."""
    network, config = example.network, model.config
    values: dict[str, Any] = {
        "model": network.name_of(config),
        "options": json.dumps(config._asdict()),
        "odyssey_version": odyssey.__version__,
        "mean": json.dumps(origin.mean),
        "std": json.dumps(origin.std),
        "image_shape": json.dumps(origin.image_shape),
        "image_fit": origin.fit,
        "dataset": origin.dataset,
        "recipe": recipe_beside(weights_dir),
    }
    if origin.classes:
        names = numbered(origin.classes, config.num_classes)
        values["classes"] = json.dumps(names, ensure_ascii=False)
    for name in ("step", "epoch"):
        if isinstance(model.metadata.get(name), int):
            values[name] = str(model.metadata[name])
    return {name: value for name, value in values.items() if isinstance(value, str)}


def export(example: Example, weights_dir: str, path: Path, **options: Any) -> None:
    """Write the ONNX model of trained weights, and print what it takes and gives.

    Parameters
    ----------
    example : of which the weights are
    weights_dir : see `open_model`
    path : of the file
    options : those of the command, by name

    Raises
    ------
    InputError
        If the weights cannot be used, or the network does not describe its layers.
    OSError
        If the file cannot be written; an old one stays as it was.
    """
    from odyssey.formats import onnx

    chosen, network = SimpleNamespace(**options), example.network
    model = open_model(network, weights_dir, chosen.allow_nonfinite)
    if not model.has_statistics:
        raise InputError(
            f"{weights_dir}: no running statistics of batch norm, without which a "
            "model cannot classify"
        )
    origin = corrected(
        origin_of(model.metadata, model.config.num_classes, weights_dir),
        chosen.image_size,
        chosen.mean,
        chosen.std,
    )
    try:
        graph = network.graph(model.config, origin.image_shape)
    except ValueError as error:
        raise InputError(f"{weights_dir}: {error}") from None
    tensors = onnx.evaluated_tensors(
        network,
        model.params,
        model.state,
        model.config,
        fold=not chosen.keep_batch_norm,
    )
    data = onnx.onnx_model(
        graph,
        tensors,
        name=network.name_of(model.config),
        metadata=metadata_of(example, model, origin, weights_dir),
        pictures=onnx.Normalisation(origin.mean, origin.std)
        if chosen.uint8_input
        else None,
        batch_size=chosen.batch_size,
    )
    atomic_write_bytes(path, data)
    say(
        f"{path}: {model.model}, {len(data) / 2**20:.1f} MiB, ONNX opset "
        f"{onnx.OPSET}, IR {onnx.IR_VERSION}"
    )
    say_how(path, model, origin, chosen.batch_size, uint8_input=chosen.uint8_input)


def say_how(
    path: Path,
    model: LoadedWeights,
    origin: Origin,
    batch_size: int | None,
    *,
    uint8_input: bool,
) -> None:
    """Print input and output of a model, and a command that runs it."""
    C, H, W = origin.image_shape
    colours = {1: "grey", 3: "RGB"}.get(C, f"{C} channels")
    N, numbers = (
        batch_size or "N",
        [
            f"{name} {' '.join(f'{value:.4f}' for value in values)}"
            for name, values in (("mean", origin.mean), ("std", origin.std))
        ],
    )
    if uint8_input:
        shape, kind = (H, W, C), "uint8"
        say(f"input   images  uint8 ({N}, {H}, {W}, {C}), {colours}, 0 to 255")
    else:
        shape, kind = (C, H, W), "float32"
        say(
            f"input   images  float32 ({N}, {C}, {H}, {W}), {colours}, "
            f"(image / 255 - mean) / std\n                {'; '.join(numbers)}"
        )
    names = f": {', '.join(origin.classes)}" if 0 < len(origin.classes) <= 10 else ""
    say(f"output  logits  float32 ({N}, {model.config.num_classes}){names}")
    place = json.dumps(str(path), ensure_ascii=False)  # a shell keeps these quotes
    run = (
        "import numpy, onnxruntime; "
        f"model = onnxruntime.InferenceSession({place}); "
        f'images = numpy.zeros({(batch_size or 1, *shape)}, "{kind}"); '
        'print(model.run(["logits"], {"images": images}))'
    )
    say_next(("pip", "install", "onnxruntime"), ("python", "-c", run))


@click.command(
    "export", cls=Command, short_help="Write a trained network as an ONNX model."
)
@option(
    "--weights-dir",
    type=click.Path(),
    required=True,
    help="Folder of the trained weights, of a run or of a checkpoint, or a file of "
    "weights: .pth, .safetensors, .npz.",
)
@option(
    "--to",
    metavar="FILE.onnx",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; one that is there is replaced.",
)
@option(
    "--uint8-input",
    is_flag=True,
    help="Take images as they lie in memory once a JPEG or PNG is decoded, uint8 "
    "(N, H, W, C), and normalise them in the model.",
)
@option(
    "--batch-size",
    type=WholeNumber(min=1),
    show_default="any number",
    help="Take so many images at once, no more and no fewer, for runtimes that know "
    "no free sizes.",
)
@option(
    "--image-size",
    group=DATA,
    type=WholeNumber(min=1),
    metavar="SIDE",
    show_default="that of the training images, if it is known, else 32",
    help="Height and width of the images in pixels.",
)
@normalization_options  # --mean, --std
@option(
    "--keep-batch-norm",
    is_flag=True,
    help="Keep each batch norm as an operator of its own, not folded into the "
    "convolution before it.",
)
@option(
    "--example",
    "folder",
    group=MODEL,
    type=click.Path(file_okay=False, path_type=Path),
    show_default="found by the model's name",
    help="Folder of the example that trained the weights, if it is your own.",
)
@option(
    "--allow-nonfinite",
    is_flag=True,
    help="Use weights even if they contain NaN or infinity.",
)
@debug_option
def main(
    to: Path, folder: Path | None, weights_dir: str, debug: bool, **options: Any
) -> None:
    """Write a trained network as an ONNX model, which other programs can run.

    The model is for evaluation, and takes any number of images at once. Its input is
    "images", float32 (N, C, H, W), normalised; its output "logits", (N, classes). It
    carries the names of the classes, mean and deviation of the pixels, and the recipe.

    \b
    Examples:
      python -m odyssey export --weights-dir resnet18_weights --to resnet18.onnx
      python -m odyssey export --weights-dir a.pth --to a.onnx --image-size 224

    Needs the package onnx (the extra odyssey-by-hand[onnx]).
    """  # noqa: D301  (click wants the backspace itself)
    if to.suffix.lower() != SUFFIX:
        raise click.BadParameter(f"must end in {SUFFIX}.", param_hint="--to")
    with exit_statuses(debug):
        example = load_example(folder) if folder else example_of(weights_dir)
        export(example, weights_dir, to, **options)
