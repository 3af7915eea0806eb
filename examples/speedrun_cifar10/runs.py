"""The runs of several seeds: each trained in a folder of its own, and their table."""

import contextlib
import csv
import io
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import click
import numpy as np

from odyssey.cli.data_options import load_data
from odyssey.cli.model_options import (
    check_image_shape,
    chosen_config,
    recipe_options,
)
from odyssey.cli.rank_options import data_parallel
from odyssey.cli.run_start import (
    begin_together,
    begun_together,
    open_folder,
    say_ranks,
)
from odyssey.cli.train import (
    check_recompute,
    header,
    make_trainer,
    normalization_of,
)
from odyssey.data.dataset import Dataset
from odyssey.data.sets import make_train_loader
from odyssey.distributed.evaluation import batches_of_rank
from odyssey.distributed.ranks import ALONE, Ranks
from odyssey.errors import REMEDIES, Interrupted
from odyssey.output import say
from odyssey.series.results import mean_and_deviation, read_epochs
from odyssey.training.keepsakes import write_json
from odyssey.training.loop import Trainer
from odyssey.training.recipe import Recipe, data_digest
from odyssey.training.signals import StopFlag, StopRequested
from odyssey.training.state import TrainingState
from odyssey.weights.files import atomic_write_text, make_directory
from speedrun_cifar10 import recipe as speedrun
from speedrun_cifar10.example import EXAMPLE, NETWORK

VIEWS = ("single", "mirrored", "six")
VIEWS_FILE = "views.json"  # accuracies of a finished run, by set and view
EVALUATION_BATCH = 500  # images
TABLE = ("seed", "test, %", "mirrored, %", "six views, %", "training", "per step")

#: What the library's messages advise, where it is not as in the other examples.
ADVICE = {
    "repeat": "The speed run's train.py repeats the run, with --epochs, --batch-size, "
    "--width, --precision and --seed as here.",
    "recipe of the run": "; {path} has that of the run",
}


class Result(NamedTuple):
    """A finished run."""

    seed: int
    accuracies: dict[str, float]  # on the test set, by view
    seconds: float  # of all training steps, batches included, evaluation apart
    steps: int


def train_seeds(options: SimpleNamespace, stop: StopFlag, ranks: Ranks = ALONE) -> None:
    """Train with each seed, and print and write the table of the finished runs."""
    check_recompute(NETWORK, options.recompute)
    options.randaugment = (0, 0)
    folder = Path(options.weights_dir)
    if ranks.first:
        make_directory(folder)
    results: list[Result] = []
    with advice():
        for seed in range(options.seed, options.seed + options.seeds):
            options.seed = seed
            if (
                result := train_one(options, folder / f"seed{seed}", stop, ranks)
            ) is None:
                say(f"seed {seed}: stopped after --max-steps")
                continue
            results.append(result)
            if ranks.first:
                write_table(results, folder)
    if results:
        say("\n" + "\n".join("  ".join(row) for row in aligned(table(results))))


@contextlib.contextmanager
def advice() -> Iterator[None]:
    """Let messages advise what holds for this program."""
    before = dict(REMEDIES)
    REMEDIES.update(ADVICE)
    try:
        yield
    finally:
        REMEDIES.clear()
        REMEDIES.update(before)


def train_one(
    options: SimpleNamespace, path: Path, stop: StopFlag, ranks: Ranks = ALONE
) -> Result | None:
    """Begin, continue or find finished the run of a seed; None if it is not finished.

    Raises
    ------
    Interrupted
        After a signal; the run can be resumed.
    """
    data, held_out = load_data(options, stop)
    images, labels = data.train_images, data.train_labels
    if len(images) < options.batch_size:
        raise click.BadParameter(
            f"{options.batch_size} is more than the {len(images)} training images.",
            param_hint="--batch-size",
        )
    options.model, options.num_classes = NETWORK.usual, None
    config = chosen_config(EXAMPLE, options, data.num_classes)
    if options.image_size:  # the user's choice
        check_image_shape(NETWORK, config, data)
    recipe = make_recipe(
        options, data, recipe_options(NETWORK, config, data.num_classes)
    )
    loader = make_train_loader(
        images,
        labels,
        recipe.batch_size,
        seed=recipe.seed,
        drop_last=True,
        padding=speedrun.PADDING,
        pad_mode=recipe.pad_mode,
        flip=recipe.flip,
        **normalization_of(data),
    ).part_of(ranks.rank, ranks.size)
    step = partial(
        speedrun.training_step,
        config=config,
        recipe=recipe,
        whitening_steps=speedrun.WHITENING_EPOCHS * loader.num_batches,
    )
    with open_folder(ranks, path) as folder:
        params, running = NETWORK.initialize(config, recipe.seed)
        params["whiten_kernel"] = speedrun.whitening_kernel(images, data.mean, data.std)
        tensors = params, running
        recipe = begun_together(
            ranks, NETWORK, config, recipe, tensors, options, folder
        )
        state = TrainingState.fresh(*tensors)
        checkpoint = begin_together(
            ranks,
            folder,
            state,
            recipe,
            resume=options.resume,
            overwrite=options.overwrite,
            allow_nonfinite=options.allow_nonfinite,
        )

        trainer = make_trainer(
            NETWORK,
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
            evaluation_batch=EVALUATION_BATCH,
        )
        sizes = len(labels), held_out
        say(f"seed {recipe.seed}, {header(NETWORK, recipe, config, state, *sizes)}")
        say_ranks(ranks)
        trainer.run()
        if state.epoch < recipe.epochs:
            return None
        try:
            seen = views(trainer)
        except StopRequested:
            assert trainer.stop.signum is not None  # it caused StopRequested
            kept = f"the run in {path} is trained, --resume evaluates it"
            raise Interrupted(trainer.stop.signum, kept) from None
    rows = read_epochs(path)
    seconds = sum(
        loader.num_batches * recipe.batch_size / row["images_per_second"]
        for row in rows
    )
    say(f"seed {recipe.seed}: {seen['test']['six']:.2%} by six views")
    return Result(recipe.seed, seen["test"], seconds, state.step)


def make_recipe(
    options: SimpleNamespace, data: Dataset, model_options: dict[str, Any]
) -> Recipe:
    """Return the recipe of a run."""
    names = (
        "epochs",
        "batch_size",
        "precision",
        "seed",
        "val_split",
        "dataset",
        "image_size",
    )
    return Recipe(
        model=options.model,
        model_options=model_options,
        data_sha256=data_digest(data.train_images, data.train_labels),
        limit_train=options.limit_train,
        limit_test=options.limit_test,
        init_from=options.init_from,
        **{name: getattr(options, name) for name in names},
        **speedrun.CHOICES,
    )


def views(trainer: Trainer) -> dict[str, dict[str, float]]:
    """Return the accuracies by set and view; they are kept in the run's folder."""
    state, loaders = trainer.state, trainer.evaluated
    kept, ranks = trainer.folder.path / VIEWS_FILE, trainer.ranks
    if ranks.from_first(kept.exists()):
        found = ranks.from_first(json.loads(kept.read_text()) if ranks.first else None)
        if found.pop("step", None) == state.step and found.keys() == loaders.keys():
            return found
    predict = trainer.model.predictor(state)
    found = {}
    for name, loader in loaders.items():
        correct = np.zeros(len(VIEWS), np.int64)
        for x, labels in batches_of_rank(loader, ranks, trainer.check_stop):
            logits = speedrun.six_views(predict, x)
            for view, kind in enumerate(VIEWS):
                correct[view] += np.count_nonzero(logits[kind].argmax(1) == labels)
        every = ranks.gather(correct).sum(axis=0) / loader.num_images
        found[name] = dict(zip(VIEWS, every.tolist(), strict=True))
    if ranks.first:
        write_json(kept, {"step": state.step, **found})
    return found


def table(results: list[Result]) -> list[list[str]]:
    """Return the table's cells: a header, a row a run, and the mean."""
    rows = [list(TABLE)]
    for result in results:
        rows.append(
            [
                str(result.seed),
                *(f"{100 * result.accuracies[view]:.2f}" for view in VIEWS),
                f"{result.seconds / 60:.2f} min",
                f"{result.seconds / result.steps:.3f} s",
            ]
        )
    columns = [[result.accuracies[view] for result in results] for view in VIEWS]
    means = [mean_and_deviation(column) for column in columns]
    minutes = sum(result.seconds for result in results) / 60 / len(results)
    steps = [result.seconds / result.steps for result in results]
    rows.append(
        [
            "mean",
            *(
                f"{100 * mean:.2f}" + (f" ± {100 * spread:.2f}" if spread else "")
                for mean, spread in means
                if mean is not None
            ),
            f"{minutes:.2f} min",
            f"{sum(steps) / len(steps):.3f} s",
        ]
    )
    return rows


def aligned(rows: list[list[str]]) -> list[list[str]]:
    """Return cells filled with blanks, so that columns are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        for row in rows
    ]


def write_table(results: list[Result], folder: Path) -> None:
    """Write results.md, and results.csv with the numbers as they are."""
    header, *rows = (f"| {' | '.join(row)} |" for row in table(results))
    lines = [header, "|" + "---:|" * len(TABLE), *rows]
    atomic_write_text(folder / "results.md", "\n".join(lines) + "\n")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("seed", *VIEWS, "seconds", "steps"))
    for result in results:
        numbers = [result.accuracies[view] for view in VIEWS]
        writer.writerow((result.seed, *numbers, result.seconds, result.steps))
    atomic_write_text(folder / "results.csv", text.getvalue())
