"""The program that trains an example's network, from the beginning or a checkpoint.

`train` puts a run together: data, recipe, model and observers.  A step is
`odyssey.training.step.training_step`.  The loop over epochs and batches is
`odyssey.training.loop.Trainer`, which also evaluates, logs and saves.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

from odyssey.cli.command import Command
from odyssey.cli.config_option import config_option
from odyssey.cli.data_options import (
    data_options,
    dataset_options,
    load_data,
    loader_options,
    subset_options,
)
from odyssey.cli.example import Example
from odyssey.cli.init_option import init_option
from odyssey.cli.log_options import log_options, make_observers
from odyssey.cli.lr_options import lr_options
from odyssey.cli.model_options import (
    check_image_shape,
    chosen_config,
    model_options,
    recipe_options,
)
from odyssey.cli.next_steps import ODYSSEY, program, say_next, shown_program
from odyssey.cli.option import DATA, debug_option, option
from odyssey.cli.option_types import WholeNumber
from odyssey.cli.precision_option import precision_option
from odyssey.cli.program import exit_statuses, threads_option
from odyssey.cli.rank_options import data_parallel, rank_options
from odyssey.cli.run_options import run_options
from odyssey.cli.run_start import (
    begin_together,
    begun_together,
    open_folder,
    say_ranks,
)
from odyssey.cli.update_options import update_options
from odyssey.data.dataset import Dataset
from odyssey.data.loader import BatchLoader
from odyssey.data.sets import make_eval_loader, make_train_loader, usual_data_dir
from odyssey.distributed.data_parallel import SOLO, DataParallel
from odyssey.distributed.join import join
from odyssey.distributed.ranks import ALONE, Ranks
from odyssey.info import environment
from odyssey.network import Config, Network
from odyssey.output import goes_on_unheard
from odyssey.precision import FLOAT32
from odyssey.training.evaluation import BATCH_SIZE
from odyssey.training.keepsakes import Keepsakes
from odyssey.training.loop import Trainer
from odyssey.training.model import Model, StepResult
from odyssey.training.observers import Observer
from odyssey.training.origin import origin_metadata
from odyssey.training.recipe import Recipe, data_digest
from odyssey.training.run_folder import RunFolder
from odyssey.training.signals import StopFlag
from odyssey.training.state import TrainingState
from odyssey.training.step import predictor, training_step
from odyssey.weights.model import save_weights

HELP = """\
Train {title} on CIFAR-10 or another data set.

Epochs are counted from 1 in all output.  Without --lr-scheduler the learning rate
is multiplied by --lr-decay-factor every --lr-decay-epochs.  --config reads options
from a file.  Ctrl-C saves the weights and a checkpoint, from which --resume continues
with the same result as a run that was never stopped.

\b
Examples:
  {program} --dataset synthetic --epochs 3
  {program} --epochs 30 --lr-scheduler cosine
  {program} --dataset folder --data-dir photos
  {program} --resume
"""


def build_config(example: Example, options: SimpleNamespace, data: Dataset) -> Config:
    """Return the model's config, with an output for each class of the data or more."""
    classes = data.num_classes
    config = chosen_config(example, options, classes)
    if config.num_classes < classes:
        raise click.BadParameter(
            f"{config.num_classes} is less than the {classes} classes of "
            f"{options.dataset}.",
            param_hint="--num-classes",
        )
    return config


def build_recipe(
    network: Network, options: SimpleNamespace, data: Dataset, config: Config
) -> Recipe:
    """Return the recipe of the options, the training images and the model."""
    chosen = vars(options).keys() & Recipe.__dataclass_fields__.keys()
    return Recipe(
        model_options=recipe_options(network, config, data.num_classes),
        data_sha256=data_digest(data.train_images, data.train_labels),
        **{name: getattr(options, name) for name in chosen},
    )


def check_recompute(network: Network, recompute: bool) -> None:
    """Raise unless the network has blocks to run again, if it shall."""
    if recompute and not network.by_blocks:
        raise click.BadParameter(
            f"{network.family} has no blocks that could be run again.",
            param_hint="--recompute",
        )


def train(
    example: Example, options: SimpleNamespace, stop: StopFlag, ranks: Ranks = ALONE
) -> None:
    """Train with these options, from the beginning or from a checkpoint."""
    network = example.network
    check_recompute(network, options.recompute)
    data, held_out = load_data(options, stop)
    config = build_config(example, options, data)
    if options.image_size:  # the user's choice
        check_image_shape(network, config, data)
    recipe = build_recipe(network, options, data, config)
    with open_folder(ranks, options.weights_dir) as folder:
        tensors = network.initialize(config, recipe.seed)
        recipe = begun_together(
            ranks, network, config, recipe, tensors, options, folder
        )
        observers = make_observers(options, recipe, data) if ranks.first else []
        state = TrainingState.fresh(*tensors, recipe.ema_decay > 0)
        checkpoint = begin_together(
            ranks,
            folder,
            state,
            recipe,
            resume=options.resume,
            overwrite=options.overwrite,
            allow_nonfinite=options.allow_nonfinite,
        )
        step = partial(
            training_step,
            network=network,
            config=config,
            recipe=recipe,
            recompute=options.recompute,
        )
        loader = make_train_loader(
            data.train_images,
            data.train_labels,
            recipe.batch_size,
            num_classes=config.num_classes,
            **loader_options(recipe),
            **normalization_of(data),
        ).part_of(ranks.rank, ranks.size)
        trainer = make_trainer(
            network,
            config,
            recipe,
            options,
            data=data,
            held_out=held_out,
            state=state,
            folder=folder,
            checkpoint=checkpoint,
            step=step,
            loader=loader,
            stop=stop,
            parallel=data_parallel(ranks, loader, options),
            observers=observers,
        )
        click.echo(
            header(network, recipe, config, state, len(data.train_labels), held_out)
        )
        say_ranks(ranks)
        trainer.run()
        click.echo(f"weights are in {folder.path}")
        place = "--weights-dir", str(folder.path)
        chosen = ["--dataset", options.dataset] if options.dataset != "cifar10" else []
        if options.data_dir != usual_data_dir(options.dataset):
            chosen += ["--data-dir", str(options.data_dir)]
        say_next(
            (*program(example.folder / "inference.py"), *place, *chosen),
            (*ODYSSEY, "report", str(folder.path)),
        )


def normalization_of(data: Dataset) -> dict[str, Any]:
    """Return the options of a loader that normalises the images of a data set."""
    return {"mean": data.mean, "std": data.std}


def make_trainer(
    network: Network,
    config: Config,
    recipe: Recipe,
    options: SimpleNamespace,
    *,
    data: Dataset,
    held_out: dict[str, Any],
    state: TrainingState,
    folder: RunFolder,
    checkpoint: Path | None,
    step: Callable[..., StepResult],
    loader: BatchLoader,
    stop: StopFlag,
    parallel: DataParallel = SOLO,
    observers: Sequence[Observer] = (),
    evaluation_batch: int = BATCH_SIZE,
) -> Trainer:
    """Return the trainer of a run, which saves to its folder.

    ``step`` is its step of training, which takes ``parallel`` by this name; ``loader``
    has its batches, on each rank the rows of that one; what is ``held_out`` of the data
    is evaluated in batches of ``evaluation_batch`` images.
    """
    origin, ranks = origin_metadata(recipe.dataset, data), parallel.ranks

    def save(state: TrainingState) -> None:
        position = {"step": state.step, "epoch": state.epoch}
        tensors = state.learned()
        save_weights(network, *tensors, config, folder.path, origin | position)

    normalization = normalization_of(data)
    evaluated = {
        name: make_eval_loader(images, labels, evaluation_batch, **normalization)
        for name, (images, labels) in held_out.items()
    }
    predict = partial(
        predictor, network=network, config=config, precision=recipe.precision
    )
    keepsakes = Keepsakes(folder.path, step, held_out, data.class_names)
    return Trainer(
        recipe,
        Model(
            train_step=partial(step, parallel=parallel),
            predictor=predict,
            save=save,
            origin=origin,
            step_alone=step,
        ),
        state,
        folder,
        loader,
        evaluated,
        stop,
        checkpoint,
        max_steps=options.max_steps,
        keep=options.keep,
        log_interval=options.log_interval,
        checkpoint_minutes=options.checkpoint_minutes or None,
        bar=None if ranks.first and not options.no_progress else False,
        observers=[keepsakes, *observers] if ranks.first else [],
        parallel=parallel,
    )


def header(
    network: Network,
    recipe: Recipe,
    config: Config,
    state: TrainingState,
    train_images: int,
    held_out: dict[str, Any],
) -> str:
    """Return the first line that a run prints: versions, model, data."""
    parameters = sum(param.size for param in state.params.values())
    stated = network.stated_options(config)
    activations = ""
    if recipe.precision != FLOAT32:
        activations = f", activations in {recipe.precision}"
    sizes = {"train": train_images}
    sizes |= {name: len(labels) for name, (_, labels) in held_out.items()}
    return (
        f"{environment()}; {recipe.model}{stated}, {parameters:,} parameters"
        f"{activations}; "
        f"{recipe.dataset} images: "
        + ", ".join(f"{name} {size:,}" for name, size in sizes.items())
    )


def train_program(example: Example) -> click.Command:
    """Return the command that trains an example's network."""
    shown = shown_program(example, "train.py")

    @click.command(cls=Command, help=HELP.format(title=example.title, program=shown))
    @config_option(example.recipes, example.network.option_names)
    @option(
        "--epochs",
        type=WholeNumber(min=1),
        default=200,
        help="Number of passes over the training images.",
    )
    @option(
        "--batch-size",
        group=DATA,
        type=WholeNumber(min=1),
        default=128,
        help="Number of images in a batch.",
    )
    @lr_options  # --lr, --lr-scheduler and what belongs to it
    @update_options  # --momentum, --weight-decay, --label-smoothing ...
    @option(
        "--seed",
        type=WholeNumber(0, 2**63 - 1),
        default=0,
        help="Seed of all random numbers; the same seed gives the same run.",
    )
    @model_options(example)  # --model, --num-classes, and the example's own
    @init_option  # --init-from
    @precision_option
    @dataset_options  # --dataset, --data-dir
    @subset_options  # --limit-train, --limit-test, --val-split
    @data_options  # --augment, --flip, --mixup-alpha ...
    @run_options(example.weights_dir)  # --weights-dir, --resume, --keep ...
    @rank_options  # --sync-batch-norm ...
    @log_options  # --log-interval, --tensorboard ...
    @threads_option
    @debug_option
    def main(debug: bool, **options: Any) -> None:
        if options["resume"] and options["overwrite"]:
            raise click.UsageError("--resume and --overwrite exclude each other.")
        with goes_on_unheard(), exit_statuses(debug, ranks=True), StopFlag() as stop:
            train(example, SimpleNamespace(**options), stop, join())

    return main
