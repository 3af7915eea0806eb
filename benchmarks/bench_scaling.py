"""Measure how the time of a training step grows with batch, width and threads.

    python benchmarks/bench_scaling.py
    python benchmarks/bench_scaling.py --repeat 5 --json scaling.json

Every line is ResNet-18 with one of the three changed.  Each runs in a process of its
own, because memory that a large batch has used makes a narrow network slower by a
third.  The first line is measured again at the end, to show whether the machine has
become slower meanwhile.
"""

import multiprocessing
import statistics
import sys
import time
from pathlib import Path

import click
import machine
import numba
from measuring import WARM_UPS
from options import THREADS, write_json

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import odyssey_model
from resnet18_cifar10.architecture import ResNetConfig

BATCHES = (1, 2, 8, 32, 64, 256, 512)
WIDTHS = (8, 16, 32, 96)
STANDARD = (128, 64, THREADS)  # batch, width, threads


def settings(batches=BATCHES, widths=WIDTHS, threads=THREADS):
    """Return (batch, width, threads) of each line, the standard one first and last."""
    batch, width, _ = STANDARD
    varied = [(other, width, threads) for other in batches]
    varied += [(batch, other, threads) for other in widths]
    varied += [(batch, width, other) for other in range(1, threads)]
    return [(batch, width, threads), *varied, (batch, width, threads)]


def seconds_a_step(batch: int, width: int, threads: int, repeat: int) -> float:
    """Return the median time of a training step, in seconds."""
    numba.set_num_threads(threads)
    config = ResNetConfig(width=width)
    arrays = odyssey_model.model_inputs(batch, config)
    step = odyssey_model.training_step(arrays, config).run
    for _ in range(WARM_UPS):
        step()
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


@click.command()
@click.option("--repeat", type=click.IntRange(1), default=5, show_default=True)
@click.option("--json", "path", type=click.Path(dir_okay=False, path_type=Path))
def main(repeat, path):
    """Time training steps of ResNet-18 at several batches, widths and threads."""
    described = machine.describe(THREADS)
    click.echo(f"{machine.as_text(described)}\n")
    click.echo(
        f"{'batch':>6}{'width':>6}{'threads':>8}{'ms a step':>11}{'images/s':>10}"
    )
    rows = []
    for batch, width, threads in settings():
        with multiprocessing.get_context("spawn").Pool(1) as process:
            given = batch, width, threads, repeat
            seconds = process.apply(seconds_a_step, given)
        click.echo(
            f"{batch:6}{width:6}{threads:8}{1e3 * seconds:11.1f}{batch / seconds:10.1f}"
        )
        row = {"batch": batch, "width": width, "threads": threads, "seconds": seconds}
        rows.append(row)
        write_json(path, {"machine": described, "rows": rows})


if __name__ == "__main__":
    main()
