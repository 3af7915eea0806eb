"""The program that trains several networks under one budget and compares them.

Each run is the train.py of the network's example with ``--resume``, in its own process
and folder, as in a series of ablations.  With a budget in minutes, a few steps of each
network are timed first, and as many epochs as fit are planned; the plan is kept, so
that the same command goes on with it.
"""

import json
import shutil
from collections.abc import Mapping
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import click

from odyssey.cli.command import unexpected
from odyssey.cli.data_options import (
    DATASET_OPTIONS,
    limit_train_option,
    load_or_advise,
)
from odyssey.cli.example import Example
from odyssey.cli.find_example import find_example
from odyssey.cli.meant import did_you_mean
from odyssey.cli.option import MODEL, debug_option, option, with_options
from odyssey.cli.option_types import FiniteFloat, WholeNumber
from odyssey.cli.program import exit_statuses
from odyssey.cli.series import OWN, TRAIN, check
from odyssey.cli.series_options import SEED, SeveralValues, place_options
from odyssey.cli.train import train_program
from odyssey.data.folder import IMAGE_SIZE
from odyssey.data.sets import usual_data_dir
from odyssey.errors import Interrupted, ProgramError
from odyssey.multiply_adds import multiply_adds
from odyssey.output import goes_on_unheard, say
from odyssey.series.comparison import Outcome, report, write_results
from odyssey.series.process import Child
from odyssey.series.results import Epochs
from odyssey.series.rows import words
from odyssey.series.runner import Run, train_one
from odyssey.training.recipe_file import read_recipe
from odyssey.training.signals import StopRequested
from odyssey.weights.files import atomic_write_text, make_directory

TIMED_STEPS = 30  # of a run whose time tells how many epochs fit
RESERVED = (*OWN, "--config", "--width")  # options that the comparison sets itself


class Contender(NamedTuple):
    """A network of the comparison."""

    name: str  # resnet18, or with a width resnet18:16
    model: str
    width: int | None  # None: the model's own
    recipe: str  # one of its example's configs/
    example: Example

    def outcome(self, num_classes: int, metrics: Epochs) -> Outcome:
        """Return the sizes of the network beside the epochs of its run."""
        network = self.example.network
        config = network.models[self.model]._replace(num_classes=num_classes)
        if self.width is not None:
            config = config._replace(width=self.width)
        shapes = network.parameter_shapes(config).values()
        parameters, products = sum(map(prod, shapes)), multiply_adds(network, config)
        return Outcome(
            self.name, self.model, self.recipe, parameters, products, metrics
        )


class ContenderType(click.ParamType):
    """NAME or NAME:WIDTH, a network that there is a recipe for."""

    name = "network"

    def __init__(self, recipes: Mapping[str, str]) -> None:
        self.recipes = recipes

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Contender:
        """Return the network, or fail with the names that are known."""
        if isinstance(value, Contender):
            return value
        model, colon, text = value.partition(":")
        if model not in self.recipes:
            known = list(self.recipes)
            question = did_you_mean(model, known, {})
            meant = f"; {question}" if question else f" among {', '.join(known)}"
            self.fail(f"there is no network {model!r}{meant}", param, ctx)
        example = find_example(model)
        width: int | None = None
        if colon:
            if "width" not in example.network.option_names:
                self.fail(f"{model} has no width", param, ctx)
            width = WholeNumber(min=1).convert(text, param, ctx)
        name = model if width is None else f"{model}:{width}"
        return Contender(name, model, width, self.recipes[model], example)


def run_of(contender: Contender, options: SimpleNamespace, **own: Any) -> Run:
    """Return the run of a network with options of train.py of its ``own``."""
    place = contender.name.replace(":", "-width") + own.pop("suffix", "")
    folder = Path(options.results_dir) / place
    given = {
        "config": contender.recipe,
        "model": contender.model,
        "width": contender.width,
        "dataset": options.dataset,
        "data_dir": options.data_dir or usual_data_dir(options.dataset),
        "image_size": options.image_size,
        "limit_train": options.limit_train,
        "threads": options.threads,
        "seed": options.seed,
        "weights_dir": folder,
    }
    program = contender.example.folder / TRAIN
    return Run(
        contender.name,
        options.seed,
        folder,
        [*words(given | own), *options.more],
        program,
    )


def whole_run(contender: Contender, options: SimpleNamespace, epochs: int) -> Run:
    """Return the run of a network that is compared."""
    return run_of(contender, options, epochs=epochs, resume=True)


def epochs_that_fit(
    contender: Contender,
    options: SimpleNamespace,
    images: int,
    number: str,
    child: Child,
) -> int | None:
    """Return how many epochs fit into the minutes, at least one; None after a failure.

    Some steps and an evaluation are timed, unless the folder's ``plan.json`` knows how
    many epochs the same command found.  ``images`` is how many an epoch has.
    """
    run = run_of(
        contender,
        options,
        suffix="-timing",
        epochs=1,
        max_steps=TIMED_STEPS,
        overwrite=True,
    )
    path = Path(options.results_dir) / "plan.json"
    plan = json.loads(path.read_text()) if path.exists() else {}
    asked = {"minutes": options.minutes, "options": run.options}
    known = plan.get(contender.name, {})
    if {name: known.get(name) for name in asked} == asked:
        return int(known["epochs"])
    metrics = train_one(run, number, 1, child)
    if metrics is None:
        return None
    (row,) = metrics
    batch_size = read_recipe(run.folder / "recipe.yml")["batch_size"]
    rate = row["images_per_second"]
    evaluation = row["seconds"] - min(TIMED_STEPS * batch_size, images) / rate
    seconds = images / rate + evaluation
    epochs = max(1, int(60 * options.minutes / seconds))
    say(f"{number} {contender.name}: {seconds:.1f} s an epoch, so {epochs} epochs")
    plan[contender.name] = {**asked, "epochs": epochs}
    atomic_write_text(path, json.dumps(plan, indent=1) + "\n")
    shutil.rmtree(run.folder, ignore_errors=True)  # weights that nobody needs
    return epochs


def compare(options: SimpleNamespace) -> None:
    """Train the networks one after the other; write and print the results."""
    contenders = list({chosen.name: chosen for chosen in options.models}.values())
    for contender in contenders:
        run = whole_run(contender, options, options.epochs or 1)
        check(train_program(contender.example), [run])
    data_dir = options.data_dir or usual_data_dir(options.dataset)
    size = options.image_size or IMAGE_SIZE
    data = load_or_advise(
        options.dataset,
        data_dir,
        image_size=size,
        limit_train=options.limit_train,
        limit_test=1,  # only the number of training images is asked for
    )
    classes = data.num_classes
    images = min(len(data.train_labels), options.limit_train or len(data.train_labels))
    del data  # the runs load it themselves
    folder = Path(options.results_dir)
    make_directory(folder)
    settings = {
        "minutes": options.minutes,
        "epochs": options.epochs,
        "dataset": options.dataset,
        "image_size": options.image_size,
        "limit_train": options.limit_train,
        "seed": options.seed,
        "options": " ".join(options.more),
    }
    outcomes = [contender.outcome(classes, []) for contender in contenders]
    with Child() as child:
        for place, contender in enumerate(contenders):
            number = f"{place + 1}/{len(contenders)}"
            try:
                epochs = options.epochs or epochs_that_fit(
                    contender, options, images, number, child
                )
                metrics = epochs and train_one(
                    whole_run(contender, options, epochs), number, epochs, child
                )
            except StopRequested:
                advice = "the same command continues from there"
                assert child.signum is not None  # it caused StopRequested
                raise Interrupted(child.signum, advice) from None
            outcomes[place] = outcomes[place]._replace(metrics=metrics or [])
            write_results(outcomes, folder, settings)
    report(outcomes, folder)
    failed = sum(not outcome.metrics for outcome in outcomes)
    if failed:
        raise ProgramError(f"{failed} of {len(outcomes)} runs failed")


def compare_program(
    recipes: Mapping[str, str], usual: tuple[str, ...]
) -> click.Command:
    """Return the command that compares networks.

    Parameters
    ----------
    recipes : by model, the name of the recipe that it is trained with
    usual : the models that are compared by default
    """
    own = [
        option(
            "--models",
            group=MODEL,
            type=ContenderType(recipes),
            multiple=True,
            metavar="NAME...",
            default=usual,
            show_default=" ".join(usual),
            help=f"Networks to compare: {', '.join(recipes)}. With a width, "
            "as in resnet18:16, the network is as wide as its --width says.",
        ),
        option(
            "--minutes",
            type=FiniteFloat(0, min_open=True),
            help="Train each network for as many epochs as fit into this time, at the "
            "speed of a first measurement; at least one.",
        ),
        option(
            "--epochs",
            type=WholeNumber(min=1),
            help="Train each network for this many epochs.",
        ),
        option("--seed", type=SEED, default=0, help="Seed of the runs."),
        *DATASET_OPTIONS,
        limit_train_option,
        *place_options("comparison"),
    ]

    @click.command(cls=SeveralValues)
    @with_options(own)
    @debug_option
    @click.argument("more", nargs=-1, metavar="[-- OPTIONS OF train.py]")
    def main(debug: bool, **options: Any) -> None:
        """Train several networks under one budget and compare them.

        The budget is either --minutes or --epochs, the same for each network.  Each is
        trained with a recipe of its own, whose schedule is scaled to the epochs.
        Finished runs are not repeated and interrupted ones are resumed, so the same
        command can be given until all are done.  The exit status is 1 if a run failed.

        \b
        Examples:
          python examples/compare_architectures.py --minutes 60
          python examples/compare_architectures.py --models lenet5 vgg16 --epochs 5
        """  # noqa: D301  (click wants the backspace itself)
        chosen = SimpleNamespace(**options)
        if chosen.more and not chosen.more[0].startswith("-"):
            context = click.get_current_context()
            raise click.UsageError(unexpected(chosen.more[0], context))
        if (chosen.minutes is None) == (chosen.epochs is None):
            raise click.UsageError("Give either --minutes or --epochs.")
        for name in (word.partition("=")[0] for word in chosen.more):
            if name in RESERVED:
                raise click.UsageError(
                    f"{name} cannot come after --: the comparison sets it."
                )
        with goes_on_unheard(), exit_statuses(debug):
            compare(chosen)

    main.train_command = train_program(find_example(usual[0]))
    return main
