"""``odyssey learn``: the course in which a student writes the gradients.

Nothing here imports Numba; only a milestone does, for the library's own functions.
"""

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from odyssey.cli import learn_milestone, learn_stepper
from odyssey.cli.choice import Choice
from odyssey.cli.command import Command, Group
from odyssey.cli.learn_shared import (
    exercise_argument,
    folder_option,
    hints_taken,
    say_next_exercise,
    statuses,
    wrapped,
)
from odyssey.cli.next_steps import ODYSSEY, say_next
from odyssey.cli.option import debug_option, option
from odyssey.errors import InputError
from odyssey.learn import course
from odyssey.learn.milestones import MILESTONES
from odyssey.learn.progress import Progress, find_folder, now, read


def command(function: Callable[..., Any]) -> click.Command:
    """Make a command of the course, with the options that all have."""
    name = function.__name__.removesuffix("_command")
    with_options = folder_option(debug_option(function))
    return main.command(name, cls=Command)(with_options)


@click.group(
    "learn",
    cls=Group,
    invoke_without_command=True,
    short_help="Write gradients yourself and have them checked.",
)
@folder_option
@debug_option
@click.pass_context
def main(ctx: click.Context, folder: Path | None, debug: bool) -> None:
    """Learn by writing the gradients: exercises that grade themselves.

    Without a command the course is listed, with what you have done.  Each exercise is a
    file in your folder, in which you write a function and its gradient.  Nothing needs
    a network.

    \b
    Examples:
      python -m odyssey learn
      python -m odyssey learn start relu
      python -m odyssey learn check relu
      python -m odyssey learn hint relu
    """  # noqa: D301  (click wants the backspace itself)
    if ctx.invoked_subcommand is None:
        with statuses(debug):
            _list(read(folder or find_folder()))
    elif folder:  # for the command that follows, unless it names one itself
        ctx.default_map = {ctx.invoked_subcommand: {"folder": str(folder)}}


main.add_command(learn_stepper.main)
main.add_command(learn_milestone.main)


def _list(progress: Progress) -> None:
    exercises = course.course()
    done = sum(bool(progress[e.name].passed) for e in exercises)
    click.echo(f"{len(exercises)} exercises, {done} done. Folder: {progress.folder}\n")
    widest = max(len(exercise.title) for exercise in exercises)
    for number, exercise in enumerate(exercises, 1):
        state = _state(progress, exercise.name)
        mark = "x" if progress[exercise.name].passed else " "
        title = exercise.title
        line = f"[{mark}] {number:2}  {exercise.name:<22} {title:<{widest}}  {state}"
        click.echo(line.rstrip())
    reached = [
        f"{name} (passed)" if name in progress.milestones else name
        for name in MILESTONES
    ]
    click.echo(f"\nMilestones: {', '.join(reached)}\n")
    if not say_next_exercise(progress):
        click.echo("You have written all of them.")


def _state(progress: Progress, name: str) -> str:
    record = progress[name]
    words = ["done"] if record.passed else []
    if record.started and not record.passed:
        words.append(f"{record.earned} of {record.checks} checks")
    if record.hints:
        words.append(hints_taken(record))
    if record.solution_shown:
        words.append(record.when_shown)
    return ", ".join(words)


@command
@exercise_argument
def start(name: str, folder: Path | None, debug: bool) -> None:
    """Write the file in which you solve an exercise.

    It has the signatures, shapes and formulas, and no solution.  A file that exists is
    never overwritten.

    \b
    Examples:
      python -m odyssey learn start relu
    """  # noqa: D301  (click wants the backspace itself)
    with statuses(debug):
        from odyssey.learn.grading import plan
        from odyssey.learn.sources import stub

        progress = read(folder or find_folder())
        exercise = course.load(name)
        path = progress.folder / f"{name}.py"
        _write_new(path, stub(exercise))
        record = progress[name]
        record.started, record.checks = now(), len(plan(exercise))
        progress.save()
        names = ", ".join(function.name for function in exercise.functions)
        click.echo(f"written: {path}")
        click.echo(wrapped(f"{exercise.title}. Open the file and write {names}."))
        for page in exercise.pages:
            if page.startswith("docs/"):
                click.echo(f"to read, in the project's repository: {page}")
        say_next((*ODYSSEY, "learn", "check", name), (*ODYSSEY, "learn", "hint", name))


def _write_new(path: Path, text: str) -> None:
    """Write a file that does not exist yet; what exists stays as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(path, "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise InputError(f"{path} is there already; it is not changed") from None


@command
@click.argument("name", metavar="[NAME]", required=False, type=Choice(course.ORDER))
@option(
    "--limit",
    type=click.FloatRange(1, 3600),
    default=30.0,
    help="Seconds that the checks of an exercise may take.",
)
def check(name: str | None, folder: Path | None, limit: float, debug: bool) -> None:
    """Check what you have written.

    Without NAME all files that are in your folder are checked.

    \b
    Examples:
      python -m odyssey learn check relu
      python -m odyssey learn check

    \b
    Exit status:
      0    all checks passed
      1    something is not right yet
      2    no such file
      130  stopped by Ctrl-C
    """  # noqa: D301  (click wants the backspace itself)
    with statuses(debug):
        from odyssey.cli.learn_report import say_outcome, say_short

        progress = read(folder or find_folder())
        names = [name] if name else _started(progress)
        results = []
        for one in names:
            results.append(_check(progress, one, limit))
            if name:
                say_outcome(progress, one, results[-1])
            else:
                say_short(one, results[-1])
        if name is None:
            for one, result in zip(names, results, strict=True):
                if not result.passed:
                    say_next((*ODYSSEY, "learn", "check", one))
                    break
        if not all(result.passed for result in results):
            sys.exit(1)


def _started(progress: Progress) -> list[str]:
    names = [n for n in course.ORDER if (progress.folder / f"{n}.py").exists()]
    if not names:
        raise InputError(
            f"no exercise in {progress.folder}; begin with: "
            f"{' '.join(ODYSSEY)} learn start {course.ORDER[0]}"
        )
    return names


def _check(progress: Progress, name: str, limit: float) -> Any:
    """Run the checks of an exercise and note the outcome."""
    from odyssey.learn.running import check_and_note

    path = progress.folder / f"{name}.py"
    if not path.exists():
        raise InputError(
            f"there is no {path}; begin with: {' '.join(ODYSSEY)} learn start {name}"
        )
    return check_and_note(progress, name, limit)


@command
@exercise_argument
def hint(name: str, folder: Path | None, debug: bool) -> None:
    """Show one more of the three hints of an exercise.

    Each call shows those before and one more.  Your progress.json counts them.

    \b
    Examples:
      python -m odyssey learn hint relu
    """  # noqa: D301  (click wants the backspace itself)
    with statuses(debug):
        progress = read(folder or find_folder())
        record, hints = progress[name], course.load(name).hints
        new = record.hints < len(hints)
        record.hints = min(record.hints + 1, len(hints))
        progress.save()
        for number, text in enumerate(hints[: record.hints], 1):
            words = " ".join(text.split())
            click.echo(wrapped(f"Hint {number} of {len(hints)}. {words}") + "\n")
        if not new:
            click.echo("These are all. The solution, if you want it after all:")
            click.echo(f"  {' '.join(ODYSSEY)} learn solution {name}")


@command
@exercise_argument
def solution(name: str, folder: Path | None, debug: bool) -> None:
    """Show the solution of an exercise.

    It is printed, and your file stays as it is.  Your progress.json says from then on
    that the solution was shown.

    \b
    Examples:
      python -m odyssey learn solution relu
    """  # noqa: D301  (click wants the backspace itself)
    with statuses(debug):
        from odyssey.learn import sources

        progress = read(folder or find_folder())
        record, exercise = progress[name], course.load(name)
        record.solution_shown = record.solution_shown or now()
        progress.save()
        click.echo(sources.solution(exercise))
        pages = ", ".join(exercise.pages)
        click.echo(textwrap.indent(wrapped(f"To read: {pages}"), "# "))
