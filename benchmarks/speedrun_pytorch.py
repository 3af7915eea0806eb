"""Compare Odyssey's training step of the speed run with PyTorch's.

    python benchmarks/speedrun_pytorch.py
    python benchmarks/speedrun_pytorch.py --rounds 5 --json speedrun.json

Network, recipe, weights and batch are the same.  First loss, gradients, updated weights
and the loss after the update are compared, on part of the batch, and a step in float64
on a few images; then steps of the whole batch are timed in processes of their own, in
turn.  See `compare_pytorch.py`, whose machinery this is.
"""

import tempfile

import click
import machine
from agreement import Disagreement
from compare_pytorch import check_section, time_section
from contenders import NOTES, ODYSSEY, PACKAGES, present
from options import THREAD_RANGE, THREADS, json_option, write_json
from tables import model_table, ratios
from workers import SPEEDRUN, WorkerError, Workers

CHECKED = 200  # images of the comparison
NOT_TIMED = "pytorch"  # in its default memory layout, for the check in float64


@click.command()
@click.option("--batch", type=click.IntRange(2), default=2000, show_default=True)
@click.option("--threads", type=THREAD_RANGE, default=THREADS, show_default=True)
@click.option(
    "--repeat",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Timed steps in a process, of which the median counts.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Processes of each contender.",
)
@json_option()
def main(batch, threads, repeat, rounds, path):
    """Check Odyssey's step of the speed run against PyTorch's, then compare speed."""
    described = machine.describe(threads, PACKAGES)
    click.echo(machine.as_text(described))
    peers, missing = present(("train",))
    for line in missing:
        click.echo(line)
    sizes = {"batch": batch, "threads": threads, "repeat": repeat, "model": SPEEDRUN}
    try:
        with tempfile.TemporaryDirectory() as folder:
            checked = Workers(folder, **sizes | {"batch": min(batch, CHECKED)})
            checked.run("inputs")
            click.echo("\nRelative difference of each peer's results from Odyssey's:")
            differences = check_section(checked, "train", peers)
            timed = Workers(folder, **sizes)
            timed.run("inputs")
            contenders = [p for p in peers if p.name in differences]
            contenders = [p for p in contenders if p.name != NOT_TIMED]
            contenders = [ODYSSEY, *contenders]
            times = time_section(timed, "train", contenders, rounds)
    except (WorkerError, Disagreement, OSError) as error:
        raise click.ClickException(str(error)) from None
    report = {"machine": described, **sizes, "differences": differences}
    write_json(path, report | {"times": times, "ratios": ratios(times)})
    click.echo(f"\nTraining step of the speed run, batch {batch}\n")
    click.echo(model_table(times, contenders, batch, NOTES))


if __name__ == "__main__":
    main()
