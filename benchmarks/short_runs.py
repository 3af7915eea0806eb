"""Train each kind of network for a few steps on CIFAR-10: its loss must fall.

    python benchmarks/short_runs.py --data-dir datasets/cifar10
    python benchmarks/short_runs.py --models resnet20,resnet110 --steps 100 --lr 0.1

The kinds are the networks of the family, with post- and with pre-activation (v2), and
two networks without batch norm.  To make few steps enough, there are only 64 training
images, augmented differently each time, in batches of 32.  Gradients are clipped,
because ResNet-50's loss would otherwise rise before it falls.  Everything else is as in
train.py, and its options are accepted.  Exits with 1 if a loss does not fall.
"""

import itertools
import statistics
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from networks import MODELS  # isort: skip (puts the examples onto the path)
from resnet18_cifar10 import train
from resnet18_cifar10.architecture import ResNetConfig
from resnet18_cifar10.example import EXAMPLE, NETWORK

from odyssey.cli.data_options import load_data, loader_options
from odyssey.cli.program import exit_statuses
from odyssey.cli.train import build_config, build_recipe
from odyssey.data.dataset import Dataset
from odyssey.data.sets import make_train_loader
from odyssey.training.state import TrainingState
from odyssey.training.step import training_step

MEAN_OF = 5  # steps at the beginning, and at the end
STEPS, STEPS_NARROW = 20, 60  # CIFAR networks are ten times as fast and learn slower
SHORT = "--limit-train 64 --batch-size 32 --clip-grad-norm 5".split()
WITHOUT_NORM = ("resnet20", "resnet18")


def kinds(models: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield name and options of train.py for each kind of each model."""
    for model in models:
        yield model, ["--model", model]
        yield f"{model} v2", ["--model", model, "--pre-activation"]
        if model in WITHOUT_NORM:
            yield f"{model} no norm", ["--model", model, "--no-normalize"]


def usual_steps(model: str) -> int:
    """Return how many steps show that a network learns, within seconds on two cores."""
    return STEPS if MODELS[model].width == ResNetConfig().width else STEPS_NARROW


def training_options(words: Iterable[str]) -> SimpleNamespace:
    """Return the options of train.py, with defaults for those that are not given."""
    return SimpleNamespace(**train.main.make_context("train.py", list(words)).params)


def short_run(
    options: SimpleNamespace, data: Dataset, steps: int
) -> tuple[int, list[float]]:
    """Return the number of parameters of a network, and its losses step by step."""
    config = build_config(EXAMPLE, options, data)
    recipe = build_recipe(NETWORK, options, data, config)
    state = TrainingState.fresh(*NETWORK.initialize(config, recipe.seed))
    loader = make_train_loader(
        data.train_images,
        data.train_labels,
        recipe.batch_size,
        num_classes=config.num_classes,
        **loader_options(recipe),
    )
    losses = []
    epochs = map(loader.epoch, itertools.count())
    for x, labels in itertools.islice(itertools.chain.from_iterable(epochs), steps):
        lr = recipe.lr_at(state.step, loader.num_batches)
        result = training_step(
            state, x, labels, lr, network=NETWORK, config=config, recipe=recipe
        )
        state.count_step(result.loss, result.correct, len(labels))
        losses.append(result.loss)
    return sum(param.size for param in state.params.values()), losses


def chosen_models(ctx: click.Context, param: click.Parameter, value: str) -> list[str]:
    """Return the models of a list that is separated by commas."""
    names = value.split(",")
    if unknown := [name for name in names if name not in MODELS]:
        raise click.BadParameter(f"no {', '.join(unknown)} in {', '.join(MODELS)}.")
    return names


@click.command(
    context_settings={"show_default": True, "ignore_unknown_options": True},
    epilog=f"All other options are those of train.py, {' '.join(SHORT)} unless given.",
)
@click.option("--models", default=",".join(MODELS), callback=chosen_models)
@click.option(
    "--steps",
    type=click.IntRange(min=2 * MEAN_OF),
    show_default=f"{STEPS}, CIFAR networks {STEPS_NARROW}",
)
@click.argument("more", nargs=-1, type=click.UNPROCESSED, metavar="")
def main(models: list[str], steps: int | None, more: tuple[str]) -> None:
    """Train each kind of network for a few steps, and print its losses."""
    more = [*SHORT, *more]
    with exit_statuses():
        data, _ = load_data(training_options(more))
        click.echo(
            f"mean loss of the first {MEAN_OF} steps and of the last {MEAN_OF}\n\n"
            f"{'kind':18}{'parameters':>12}{'steps':>6}{'first':>8}{'last':>8}"
            f"{'fell by':>9}"
        )
        risen = []
        for name, words in kinds(models):
            options = training_options([*words, *more])
            count = steps or usual_steps(options.model)
            parameters, losses = short_run(options, data, count)
            first = statistics.fmean(losses[:MEAN_OF])
            last = statistics.fmean(losses[-MEAN_OF:])
            click.echo(
                f"{name:18}{parameters:12,}{count:6}{first:8.3f}{last:8.3f}"
                f"{first - last:9.3f}"
            )
            if not last < first:
                risen.append(name)
    if risen:
        click.echo(f"the loss did not fall: {', '.join(risen)}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
