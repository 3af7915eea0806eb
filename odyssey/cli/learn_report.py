"""What ``odyssey learn check`` prints of an outcome."""

import textwrap

import click

from odyssey.cli.learn_shared import hints_taken, say_next_exercise
from odyssey.cli.next_steps import ODYSSEY, say_next
from odyssey.learn import course
from odyssey.learn.grading import Check
from odyssey.learn.progress import Progress
from odyssey.learn.running import Graded
from odyssey.learn.sources import needs


def say_outcome(progress: Progress, name: str, graded: Graded) -> None:
    """Print each check, the first failure in full, and what comes next."""
    exercise = course.load(name)
    if graded.printed:
        click.echo("Your code printed:")
        click.echo(textwrap.indent(graded.printed, "  | ", lambda line: True) + "\n")
    if graded.unusable:
        click.echo(graded.unusable)
        click.echo(f"\n0 of {len(graded.checks)} checks passed.")
        return
    if graded.untouched:
        names = ", ".join(function.name for function in exercise.functions)
        click.echo(f"{name}.py is as it was written by start: write {names}.")
        click.echo(f"\n0 of {len(graded.checks)} checks passed.")
        return
    failures = []
    for function in exercise.functions:
        mine = [check for check in graded.checks if check.function == function.name]
        click.echo(function.name)
        for check in mine:
            if not check.reached:
                continue
            if not check.written:
                click.echo("  not written yet")
                break
            click.echo(f"  {'ok   ' if check.passed else 'WRONG'}  {check.about}")
            if not check.passed:
                failures.append(check)
        left = sum(not check.reached for check in mine)
        if left == len(mine):
            click.echo("  not reached")
        elif left and mine[0].written:
            click.echo(f"  {left} more check{'s' if left > 1 else ''} after that")
    _say_failures(failures)
    click.echo(f"\n{graded.earned} of {len(graded.checks)} checks passed.")
    if graded.passed:
        _say_passed(progress, name)
    elif failures:
        _say_doubt(progress, name)


def _say_failures(failures: list[Check]) -> None:
    if not failures:
        return
    first, *others = failures
    click.echo(f"\n{first.function}, {first.about}")
    click.echo(textwrap.indent(first.message, "  "))
    if others:
        names = ", ".join(check.function for check in others)
        click.echo(f"\nAlso wrong: {names}. Mend {first.function} first.")


def _say_passed(progress: Progress, name: str) -> None:
    record = progress[name]
    how = []
    if record.hints:
        how.append(f"with {hints_taken(record)}")
    if record.solution_shown:
        how.append(record.when_shown)
    click.echo(f"{name} is right{', ' + ', '.join(how) if how else ''}. Well done.")
    if not say_next_exercise(progress):
        click.echo("You have written all exercises of the course.")


def _say_doubt(progress: Progress, name: str) -> None:
    """Name files that this one may use and that are not right yet; offer a hint."""
    doubtful = [n for n in needs(course.load(name)) if not progress[n].passed]
    if doubtful:
        click.echo(
            f"{name} may use your {' and '.join(doubtful)}, not right yet: begin there."
        )
        say_next((*ODYSSEY, "learn", "check", doubtful[0]))
    elif progress[name].hints < len(course.load(name).hints):
        say_next((*ODYSSEY, "learn", "hint", name), (*ODYSSEY, "learn", "check", name))


def say_short(name: str, graded: Graded) -> None:
    """Print one line for an exercise."""
    mark = "x" if graded.passed else " "
    state = f"{graded.earned} of {len(graded.checks)} checks"
    if graded.unusable:
        state += f"; {graded.unusable.splitlines()[0].rstrip(':')}"
    elif failed := [c for c in graded.checks if c.reached and not c.passed]:
        state += f"; {failed[0].function}: "
        state += failed[0].about if failed[0].written else "not written yet"
    click.echo(f"[{mark}] {name:<22} {state}")
