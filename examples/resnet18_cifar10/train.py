"""Train a residual network on CIFAR-10, with every gradient written by hand.

    python examples/resnet18_cifar10/train.py --epochs 200

To be read from `training_step` on, which is all of learning: forward, loss, backward,
update.  `train` puts a run together: data, recipe, model.  The loop over epochs and
batches that calls the step is `odyssey.training.loop.Trainer`, the same for every
example; it evaluates, logs and saves.  The options stand at the end.
"""

if __name__ == "__main__":
    import os
    import sys

    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # not with python -P
    import startup

    startup.prepare()

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
from architecture import ResNetConfig, fold, initialize
from data_loader import make_eval_loader, make_train_loader
from data_options import (
    data_options,
    dataset_options,
    load_data,
    loader_options,
    subset_options,
)
from layer_clocks import layer_clocks
from log_options import log_options, make_observers
from model import backward, forward
from model_options import chosen_config, model_options, recipe_options
from run_options import run_options
from update_options import update_options
from weights import save_weights

from odyssey.cli.command import Command
from odyssey.cli.option import DATA, RUN, debug_option, option
from odyssey.data.dataset import Dataset
from odyssey.data.streams import NOISE_STREAM
from odyssey.ops.loss import cross_entropy, cross_entropy_backward
from odyssey.optim import clip_grad_norm_inplace, sgd_momentum_update_inplace
from odyssey.training.average import update_average_inplace
from odyssey.training.config_option import config_option
from odyssey.training.evaluation import BATCH_SIZE, count_correct
from odyssey.training.finite import check_step
from odyssey.training.keepsakes import Keepsakes
from odyssey.training.loop import Model, StepResult, Trainer
from odyssey.training.lr_options import lr_options
from odyssey.training.option_types import WholeNumber
from odyssey.training.output import goes_on_unheard
from odyssey.training.program import (
    environment,
    exit_statuses,
    threads_option,
)
from odyssey.training.recipe import Recipe, data_digest
from odyssey.training.resume import begin
from odyssey.training.run_folder import RunFolder
from odyssey.training.signals import StopFlag
from odyssey.training.state import TrainingState


def training_step(
    state: TrainingState,
    x: np.ndarray,
    labels: np.ndarray,
    lr: float,
    *,
    config: ResNetConfig,
    recipe: Recipe,
) -> StepResult:
    """Learn from one batch: forward, loss, backward, update.

    Parameters
    ----------
    state : parameters, momentum buffers and averages are updated in place, running
        statistics replaced
    x : (N, 3, 32, 32) float32, normalised images
    labels : (N,) integers; with mixing (N, K), shares of the classes
    lr : the learning rate
    """
    params = state.params
    rng = noise_generator(recipe.seed, state.step)  # drop path and dropout draw from it
    logits, running, cache = forward(params, state.running, x, config, True, rng)
    smoothing = recipe.label_smoothing
    loss = cross_entropy(logits, labels, smoothing)  # mean; logits are (N, K)

    grad_logits = cross_entropy_backward(1.0, logits, labels, smoothing)  # (N, K)
    grads = backward(grad_logits, cache, params, config)  # named as the parameters
    grad_norm = check_step(loss, grads)  # stops here, before the update, if not finite
    if recipe.clip_grad_norm is not None:
        clip_grad_norm_inplace(grads, recipe.clip_grad_norm)

    for name, param in params.items():
        sgd_momentum_update_inplace(
            param,
            grads[name],
            state.velocities[name],
            lr,
            recipe.momentum,
            weight_decay=recipe.weight_decay_of(param),
            nesterov=recipe.nesterov,
        )
    state.running = running
    if state.averages:
        update_averages(state, recipe)
    return StepResult(loss, count_correct(logits, labels), grad_norm, grads)


def predictor(
    state: TrainingState, *, config: ResNetConfig
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from images to logits (N, K), by the running statistics."""
    folded = fold(*state.learned(), config)
    return lambda x: forward(folded, {}, x, config, training=False)[0]


def noise_generator(seed: int, step: int) -> np.random.Generator:
    """Return the random numbers of a step, for stochastic depth and dropout.

    A pure function of the position, as all of a run is: see `TrainingState`.
    """
    key, counter = (seed, NOISE_STREAM), (0, step, 0, 0)
    key, counter = np.array(key, np.uint64), np.array(counter, np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def update_averages(state: TrainingState, recipe: Recipe) -> None:
    """Move the averages of weights and running statistics towards them.

    Up to the first update after the warmup they are copies, as in torchvision's
    references/classification/train.py.
    """
    early = (state.epoch, state.batch) <= (recipe.lr_warmup_epochs, 0)
    decay = 0.0 if early else recipe.ema_decay
    values = {**state.params, **state.running}
    update_average_inplace(state.averages, values, decay)


def build_config(options: SimpleNamespace, data: Dataset) -> ResNetConfig:
    """Return the model's options; it has an output for each class, or more."""
    classes = len(data.class_names)
    config = chosen_config(options, classes)
    if config.num_classes < classes:
        raise click.BadParameter(
            f"{config.num_classes} is less than the {classes} classes of "
            f"{options.dataset}.",
            param_hint="--num-classes",
        )
    return config


def build_recipe(
    options: SimpleNamespace, data: Dataset, config: ResNetConfig
) -> Recipe:
    """Return the recipe that the options, the training images and the model make."""
    chosen = vars(options).keys() & Recipe.__dataclass_fields__.keys()
    return Recipe(
        model_options=recipe_options(config, len(data.class_names)),
        data_sha256=data_digest(data.train_images, data.train_labels),
        **{name: getattr(options, name) for name in chosen},
    )


def train(options: SimpleNamespace, stop: StopFlag) -> None:
    """Train as the options say, from the beginning or from a checkpoint."""
    data, held_out = load_data(options)
    config = build_config(options, data)
    recipe = build_recipe(options, data, config)
    origin = {"dataset": recipe.dataset, "classes": list(data.class_names)}
    with RunFolder(options.weights_dir) as folder:
        observers = make_observers(options, recipe, data.class_names)
        averaged = recipe.ema_decay > 0
        state = TrainingState.fresh(*initialize(config, recipe.seed), averaged)
        checkpoint = begin(
            folder,
            state,
            recipe,
            resume=options.resume,
            overwrite=options.overwrite,
            allow_nonfinite=options.allow_nonfinite,
        )
        step = partial(training_step, config=config, recipe=recipe)
        keepsakes = Keepsakes(
            folder.path, step, layer_clocks(training_step), held_out, data.class_names
        )
        trainer = Trainer(
            recipe,
            Model(
                train_step=step,
                predictor=partial(predictor, config=config),
                save=partial(save_state, config=config, folder=folder, origin=origin),
                origin=origin,
            ),
            state,
            folder,
            make_train_loader(
                data.train_images,
                data.train_labels,
                recipe.batch_size,
                num_classes=config.num_classes,
                **loader_options(recipe),
            ),
            {
                name: make_eval_loader(*part, BATCH_SIZE)
                for name, part in held_out.items()
            },
            stop,
            checkpoint,
            max_steps=options.max_steps,
            keep=options.keep,
            log_interval=options.log_interval,
            bar=False if options.no_progress else None,
            observers=[keepsakes, *observers],
        )
        parameters = sum(param.size for param in state.params.values())
        sizes = {"train": len(data.train_labels)}
        sizes |= {name: len(labels) for name, (_, labels) in held_out.items()}
        click.echo(
            f"{environment()}; {recipe.model} of width {config.width}, {parameters:,} "
            f"parameters; {recipe.dataset} images: "
            + ", ".join(f"{name} {size:,}" for name, size in sizes.items())
        )
        trainer.run()
        click.echo(f"weights are in {folder.path}")


def save_state(
    state: TrainingState, *, config: ResNetConfig, folder: RunFolder, origin: dict
) -> None:
    """Save the weights as hex files, with word of where they come from."""
    origin = {**origin, "step": state.step, "epoch": state.epoch}
    save_weights(*state.learned(), config, folder.path, origin)


@click.command(cls=Command)
@config_option(Path(__file__).parent / "configs", ResNetConfig._fields)
@option(
    "--epochs",
    group=RUN,
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
    group=RUN,
    type=WholeNumber(0, 2**63 - 1),
    default=0,
    help="Seed of all random numbers; the same seed gives the same run.",
)
@model_options  # --model, --width ...
@dataset_options  # --dataset, --data-dir
@subset_options  # --limit-train, --limit-test, --val-split
@data_options  # --augment, --flip, --mixup-alpha ...
@run_options  # --weights-dir, --resume, --keep ...
@log_options  # --log-interval, --tensorboard ...
@threads_option
@debug_option
def main(debug: bool, **options) -> None:
    """Train ResNet-18, or another residual network, on CIFAR-10.

    Epochs are counted from 1 in all output.  Without --lr-scheduler the learning rate
    is multiplied by --lr-decay-factor every --lr-decay-epochs.  --config reads options
    from a file.  Ctrl-C saves the weights and a checkpoint, from which --resume goes on
    to the same result as a run that was never stopped.
    """
    if options["resume"] and options["overwrite"]:
        raise click.UsageError("--resume and --overwrite exclude each other.")
    with goes_on_unheard(), exit_statuses(debug), StopFlag() as stop:
        train(SimpleNamespace(**options), stop)


if __name__ == "__main__":
    startup.run(main)
