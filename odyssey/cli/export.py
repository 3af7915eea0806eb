"""``odyssey export``: write a trained network as an ONNX model."""

import json
from pathlib import Path
from typing import Any

import click

import odyssey
from odyssey.cli.classify import numbered
from odyssey.cli.command import Command
from odyssey.cli.example import Example
from odyssey.cli.find_example import example_of, load_example
from odyssey.cli.option import MODEL, debug_option, option
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


def export(
    example: Example,
    weights_dir: str,
    path: Path,
    *,
    keep_batch_norm: bool = False,
    uint8_input: bool = False,
    batch_size: int | None = None,
    allow_nonfinite: bool = False,
) -> None:
    """Write the ONNX model of trained weights, and print what it takes and gives.

    Raises
    ------
    InputError
        If the weights cannot be used, or the network does not describe its layers.
    OSError
        If the file cannot be written; an old one stays as it was.
    """
    from odyssey.formats import onnx

    network = example.network
    model = open_model(network, weights_dir, allow_nonfinite)
    if not model.has_statistics:
        raise InputError(
            f"{weights_dir}: no running statistics of batch norm, without which a "
            "model cannot classify"
        )
    config, origin = (
        model.config,
        origin_of(model.metadata, model.config.num_classes, weights_dir),
    )
    try:
        graph = network.graph(config, origin.image_shape)
    except ValueError as error:
        raise InputError(f"{weights_dir}: {error}") from None
    pictures = onnx.Normalisation(origin.mean, origin.std) if uint8_input else None
    data = onnx.onnx_model(
        graph,
        onnx.evaluated_tensors(
            network, model.params, model.state, config, fold=not keep_batch_norm
        ),
        name=network.name_of(config),
        metadata=metadata_of(example, model, origin, weights_dir),
        pictures=pictures,
        batch_size=batch_size,
    )
    atomic_write_bytes(path, data)
    N, (C, H, W) = batch_size or "N", origin.image_shape
    colours = {1: "grey", 3: "RGB"}.get(C, f"{C} channels")
    numbers = "; ".join(
        f"{name} {' '.join(f'{value:.4f}' for value in values)}"
        for name, values in (("mean", origin.mean), ("std", origin.std))
    )
    say(
        f"{path}: {model.model}, {len(data) / 2**20:.1f} MiB, ONNX opset "
        f"{onnx.OPSET}, IR {onnx.IR_VERSION}"
    )
    if uint8_input:
        say(f"input   images  uint8 ({N}, {H}, {W}, {C}), {colours}, 0 to 255")
    else:
        say(
            f"input   images  float32 ({N}, {C}, {H}, {W}), {colours}, "
            f"(image / 255 - mean) / std\n                {numbers}"
        )
    names = f": {', '.join(origin.classes)}" if 0 < len(origin.classes) <= 10 else ""
    say(f"output  logits  float32 ({N}, {config.num_classes}){names}")
    call = (
        f"onnxruntime.InferenceSession({str(path)!r}).run(None, {{'images': images}})"
    )
    say(f"next: {call}; docs/onnx.md has browsers and phones")


@click.command(
    "export", cls=Command, short_help="Write a trained network as an ONNX model."
)
@option(
    "--weights-dir",
    type=click.Path(),
    required=True,
    help="Folder of the trained weights, of a run or of a checkpoint.",
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
    weights_dir: str,
    to: Path,
    uint8_input: bool,
    keep_batch_norm: bool,
    batch_size: int | None,
    folder: Path | None,
    allow_nonfinite: bool,
    debug: bool,
) -> None:
    """Write a trained network as an ONNX model, which other programs can run.

    The model is for evaluation, and takes any number of images at once. Its input is
    "images", float32 (N, C, H, W), normalised; its output "logits", (N, classes). It
    carries the names of the classes, mean and deviation of the pixels, and the recipe.

    \b
    Examples:
      odyssey export --weights-dir resnet18_weights --to resnet18.onnx
      odyssey export --weights-dir resnet18_weights --to phone.onnx --uint8-input

    Needs the package onnx (the extra odyssey-by-hand[onnx]).
    """  # noqa: D301  (click wants the backspace itself)
    if to.suffix.lower() != SUFFIX:
        raise click.BadParameter(f"must end in {SUFFIX}.", param_hint="--to")
    with exit_statuses(debug):
        example = load_example(folder) if folder else example_of(weights_dir)
        export(
            example,
            weights_dir,
            to,
            keep_batch_norm=keep_batch_norm,
            uint8_input=uint8_input,
            batch_size=batch_size,
            allow_nonfinite=allow_nonfinite,
        )
