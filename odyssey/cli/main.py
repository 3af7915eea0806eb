"""The commands of the library: ``odyssey --help`` or ``python -m odyssey --help``.

Commands import what needs Numba only when they run: checking a folder takes less time
than importing Numba.
"""

import importlib
from pathlib import Path
from typing import Any

import click

from odyssey.cli.command import Group
from odyssey.cli.lr_options import COUNT, Scheduler, learning_rate, shape_options
from odyssey.cli.next_steps import BROWSER, given_options, say_next, training
from odyssey.cli.option import SCHEDULE, debug_option, option
from odyssey.cli.startup import check_environment
from odyssey.errors import InputError, one_line
from odyssey.output import goes_on_unheard
from odyssey.training.learning_rate import LearningRate
from odyssey.weights.files import WeightsError
from odyssey.weights.verify import find_sets, verify_set

#: Commands in other modules, which are imported when needed.
ELSEWHERE = {
    "augmentation": "odyssey.cli.augmentation",
    "convert": "odyssey.cli.convert",
    "download": "odyssey.cli.download",
    "example": "odyssey.cli.copy_example",
    "export": "odyssey.cli.export",
    "info": "odyssey.cli.info",
    "learn": "odyssey.cli.learn",
    "memory": "odyssey.cli.memory",
    "plot": "odyssey.cli.plot",
    "summary": "odyssey.cli.summary",
}


class Commands(Group):
    """The commands of this module and of those in `ELSEWHERE`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted([*super().list_commands(ctx), *ELSEWHERE])

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return the command with this name, None if there is none."""
        if name in ELSEWHERE:
            return importlib.import_module(ELSEWHERE[name]).main
        return super().get_command(ctx, name)


@click.group(cls=Commands)
@click.pass_context
def main(ctx: click.Context) -> None:
    """Download data, copy examples, check weights, show rates, report on runs.

    \b
    Examples:
      python -m odyssey download
      python -m odyssey example lenet5_cifar10
      python -m odyssey report resnet18_weights
    """  # noqa: D301  (click wants the backspace itself)
    if ctx.invoked_subcommand != "verify":  # verify does not import Numba
        check_environment()


@main.command()
@click.argument(
    "directory",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.pass_context
def verify(ctx: click.Context, directory: Path) -> None:
    """Check that a folder of weights or checkpoints is intact.

    DIR is a folder of weights, a checkpoint, the folder "checkpoints" of a run, or the
    whole folder of a run.  Every file in the manifest must be there with the size,
    SHA-256, name, dtype and shape that the manifest gives, and there must be no other
    weight file.  If a crash interrupted a save, the save is completed first.

    \b
    Examples:
      python -m odyssey verify resnet18_weights
      python -m odyssey verify resnet18_weights/checkpoints

    \b
    Exit status:
      0    complete, and all files match the manifest
      1    something is missing, unexpected or damaged, or there is no manifest
      2    no such folder
      130  stopped by Ctrl-C
    """  # noqa: D301  (click wants the backspace itself)
    failed = False
    try:
        for folder in find_sets(directory):
            try:
                _say(f"{folder}: {verify_set(folder)}")
            except (WeightsError, OSError) as error:
                _say(f"Error: {error}", err=True)
                failed = True
    except OSError as error:
        _say(f"Error: {error}", err=True)
        failed = True
    except KeyboardInterrupt:
        ctx.exit(130)
    ctx.exit(1 if failed else 0)


@main.command()
@option(
    "--float64",
    is_flag=True,
    help="Compile the kernels for float64 as well.",
)
@option(
    "--bf16",
    is_flag=True,
    help="Compile the kernels for bfloat16 as well.",
)
@debug_option
def warmup(float64: bool, bf16: bool, debug: bool) -> None:
    """Compile all kernels before their first use.

    They are kept for later runs.  Without this command the first steps of training and
    the first images of inference wait until their kernels are compiled.  Repeat it when
    Odyssey, Numba, Python or the processor changes.  The variable NUMBA_CACHE_DIR can
    name another folder for them.

    \b
    Examples:
      python -m odyssey warmup
      python -m odyssey warmup --bf16
    """  # noqa: D301  (click wants the backspace itself)
    from odyssey.cli.program import exit_statuses

    with goes_on_unheard(), exit_statuses(debug):
        from odyssey.bfloat16 import bfloat16
        from odyssey.warmup import run

        dtypes: list[Any] = ["float32"]
        if float64:
            dtypes.append("float64")
        if bf16:
            try:
                dtypes.append(bfloat16())
            except ImportError as error:
                raise InputError(str(error)) from None
        run(dtypes)
        say_next(training("--dataset", "synthetic", "--epochs", "3"))


@main.command()
@click.argument("names", metavar="NAME...", type=Scheduler(), nargs=-1, required=True)
@option(
    "--epochs",
    group=SCHEDULE,
    type=COUNT,
    default=LearningRate.epochs,
    help="Number of epochs of the run.",
)
@option(
    "--steps-per-epoch",
    group=SCHEDULE,
    type=COUNT,
    default=391,
    help="Number of updates in an epoch.",
)
@shape_options
@option(
    "--png",
    "image",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw a PNG file as well (needs the extra odyssey-by-hand[plot]).",
)
@debug_option
def schedule(
    names: tuple[str, ...],
    steps_per_epoch: int,
    image: Path | None,
    debug: bool,
    **options: Any,
) -> None:
    """Draw the learning rate over a run.

    NAME is constant, step, multistep, cosine, cosine-restarts or one-cycle.  Several
    schedules are drawn one below the other, and into one image.  The options are those
    of training; 391 steps are 50,000 images in batches of 128.

    \b
    Examples:
      python -m odyssey schedule cosine one-cycle --epochs 30
      python -m odyssey schedule multistep --lr-milestones 100,150 --png lr.png
    """  # noqa: D301  (click wants the backspace itself)
    from odyssey.cli.program import exit_statuses

    choices = [learning_rate({**options, "lr_scheduler": name}) for name in names]
    with exit_statuses(debug):
        from odyssey.report.schedule_plot import show

        show(choices, steps_per_epoch, image)
        chosen = given_options("steps_per_epoch", "image", "debug")
        say_next(training("--lr-scheduler", names[0], *chosen))


@main.command(short_help="Write a run as one HTML page.")
@click.argument(
    "run_dir",
    metavar="RUN_DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@option(
    "--output",
    metavar="FILE.html",
    type=click.Path(dir_okay=False, path_type=Path),
    show_default="report.html in RUN_DIR",
    help="File to write.",
)
@option(
    "--title",
    metavar="TEXT",
    may_be_empty=True,
    show_default="name of RUN_DIR",
    help="Heading of the page.",
)
@debug_option
def report(run_dir: Path, output: Path | None, title: str | None, debug: bool) -> None:
    """Write a run as one HTML page: curves, mistakes, times, recipe.

    RUN_DIR is the folder that training wrote (--weights-dir).  The page needs no
    network and no other file.  Parts that the run has not stored are left out, with the
    reason.  A run that is still training can be shown too.

    \b
    Examples:
      python -m odyssey report resnet18_weights
      python -m odyssey report runs/first --output first.html --title "First run"

    \b
    Exit status:
      0    written
      1    cannot be written
      2    not the folder of a run, or a damaged file in it
      130  stopped by Ctrl-C
    """  # noqa: D301  (click wants the backspace itself)
    if output is not None and output.suffix.lower() not in (".html", ".htm"):
        raise click.BadParameter("must end in .html.", param_hint="--output")
    from odyssey.cli.program import exit_statuses

    with exit_statuses(debug):
        from odyssey.report.page import write_report

        path = write_report(run_dir, output, title)
        _say(f"report written to {path}")
        say_next((*BROWSER, path.absolute().as_uri()))


def _say(text: str, *, err: bool = False) -> None:
    """Print one line; line breaks and the like, which a path may hold, are escaped."""
    click.echo(one_line(text), err=err)
