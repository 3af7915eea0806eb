"""What ``odyssey learn milestone`` does, and what it prints."""

from collections.abc import Callable
from pathlib import Path

import click

from odyssey.cli.choice import Choice
from odyssey.cli.command import Command
from odyssey.cli.learn_shared import folder_option, statuses
from odyssey.cli.next_steps import ODYSSEY, say_next
from odyssey.cli.option import debug_option, option
from odyssey.errors import InputError
from odyssey.learn.milestones import MILESTONES, compare, students_operations
from odyssey.learn.progress import Progress, find_folder, now, read
from odyssey.learn.training import (
    BATCH_SIZE,
    NUM_TRAIN,
    STEPS,
    Milestone,
    Refused,
    Run,
    largest_difference,
    load_data,
    refuse_disagreement,
    train,
)

#: Losses that are printed of a run, besides the first and the last.
ROWS = 8


@click.command("milestone", cls=Command)
@click.argument("name", metavar="NAME", type=Choice(MILESTONES))
@option(
    "--steps",
    type=click.IntRange(1, 100_000),
    default=STEPS,
    help="Number of updates; few are enough to see that the losses agree.",
)
@option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=Path("datasets/cifar10"),
    help="Folder of CIFAR-10; without it the synthetic set is drawn.",
)
@folder_option
@debug_option
def main(
    name: str, steps: int, data_dir: Path, folder: Path | None, debug: bool
) -> None:
    """Train a network with your functions, then with Odyssey's.

    NAME is linear (two linear layers), lenet (LeNet-5) or resnet8 (three residual
    blocks).  The exercises that it is made of must pass.  The times of a step are shown
    side by side, and the losses must agree.

    \b
    Examples:
      python -m odyssey learn milestone linear
      python -m odyssey learn milestone lenet --steps 10

    \b
    Exit status:
      0    passed
      1    a function is not right yet, or the losses do not agree
      130  stopped by Ctrl-C
    """  # noqa: D301  (click wants the backspace itself)
    with statuses(debug):
        run(name, read(folder or find_folder()), steps, data_dir)


def run(name: str, progress: Progress, steps: int, data_dir: Path) -> None:
    """Check the exercises, train twice, and print both side by side."""
    milestone = MILESTONES[name]
    _check(progress, milestone)
    where, data = load_data(data_dir)
    click.echo(
        f"{milestone.network.title}; {steps} steps of {BATCH_SIZE} images, from "
        f"{NUM_TRAIN} of {where}"
    )
    ops = students_operations(progress.folder, milestone)
    yours = train(milestone, ops, data, steps, _progress("your functions", steps))
    try:
        import numba  # noqa: F401
    except ImportError:
        click.echo(f"loss {yours.losses[0]:.4f} -> {yours.losses[-1]:.4f}")
        raise InputError(
            "your functions train it; to compare with Odyssey's own, Numba is needed"
        ) from None
    click.echo("Odyssey's functions: the kernels are compiled first if they are new")
    library = compare(milestone, data, yours, _progress("Odyssey's", steps))
    _table(yours, library, refuse_disagreement(yours, library))
    progress.milestones[name] = now()
    progress.save()
    click.echo(f"Milestone {name} is passed. Well done.")
    for other in MILESTONES:
        if other not in progress.milestones:
            say_next((*ODYSSEY, "learn", "milestone", other))
            break


def _check(progress: Progress, milestone: Milestone) -> None:
    """Check every exercise of a milestone afresh; refuse if one does not pass."""
    from odyssey.learn.running import check_and_note

    for name in milestone.needs:
        path = progress.folder / f"{name}.py"
        todo = f"{' '.join(ODYSSEY)} learn"
        if not path.exists():
            raise Refused(f"{name} is needed and not begun: {todo} start {name}")
        result = check_and_note(progress, name)
        if not result.passed:
            raise Refused(
                f"{name} is needed and does not pass, {result.earned} of "
                f"{len(result.checks)} checks: {todo} check {name}"
            )
        click.echo(f"[x] {name}")


def _progress(whose: str, steps: int) -> Callable[[Run], None]:
    """Return what prints the loss of the first step, of some, and of the last."""
    every = max(1, steps // ROWS)

    def after_step(run: Run) -> None:
        done = len(run.losses)
        if done == 1 and steps > 1:
            left = run.seconds[0] * (steps - 1)
            rest = f"; the others take about {left:.0f} seconds" if left > 5 else ""
            click.echo(f"  {whose}, step 1: loss {run.losses[0]:.4f}{rest}")
        elif done % every == 0 or done == steps:
            click.echo(f"  {whose}, step {done}: loss {run.losses[-1]:.4f}")

    return after_step


def _table(yours: Run, library: Run, gradients: float) -> None:
    """Print times and losses side by side."""
    click.echo(f"\n{'':28}{'yours':>14}{'Odyssey':>14}")
    rows = [("loss of the first step", yours.losses[0], library.losses[0])]
    rows.append(("loss of the last step", yours.losses[-1], library.losses[-1]))
    for words, one, other in rows:
        click.echo(f"{words:28}{one:14.4f}{other:14.4f}")
    mine, theirs = 1000 * min(yours.seconds), 1000 * min(library.seconds)
    click.echo(f"{'time of the fastest step':28}{mine:11.1f} ms{theirs:11.1f} ms")
    if mine > 1.5 * theirs:
        click.echo(f"Odyssey's step is {mine / theirs:.1f} times as fast as yours.")
    elif theirs > 1.5 * mine:
        click.echo(f"Your step is {theirs / mine:.1f} times as fast as Odyssey's.")
    first = abs(yours.losses[0] - library.losses[0])
    gap = largest_difference(yours, library)
    click.echo(
        f"The losses agree: in the first step they differ by {first:.0e}, in all by "
        f"{gap:.0e} at most.\nThe gradients of the first step differ by "
        f"{100 * gradients:.2g} % at most. (Sums are rounded in another\norder, and "
        "such a difference grows from step to step.)\n"
    )
