"""Measure how the spinning of waiting threads changes speed, alone and beside programs.

    python benchmarks/bench_waiting.py --turns 300000,1000 --rounds 5
    python benchmarks/bench_waiting.py --turns 300000,1000 --rounds 3 --busy 2

``turns`` is GOMP_SPINCOUNT: how often the waiting loop of GNU OpenMP runs before the
thread sleeps, by default 300,000 times.  For each number of turns, in turn, processes
of their own train three networks on synthetic images.  Meanwhile ``--busy`` other
programs keep one core busy each.  Prints images/s from metrics.csv, and for each number
of turns the median of the rounds' ratios to the first.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import click

TRAIN = Path(__file__).resolve().parents[1] / "examples/resnet18_cifar10/train.py"
NETWORKS = {
    "ResNet-18, batch 128": "--batch-size 128 --limit-train 768",
    "ResNet-20, batch 128": "--model resnet20 --batch-size 128 --limit-train 2560",
    "ResNet-18 of width 8, batch 32": "--width 8 --batch-size 32 --limit-train 2560",
}
COMMON = "--dataset synthetic --limit-test 32 --epochs 2 --no-progress --weights-dir"


def speed(options: str, turns: str) -> float:
    """Return images/s of the second epoch, when everything has been compiled."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(TRAIN), *options.split(), *COMMON.split()]
        environment = {**os.environ, "GOMP_SPINCOUNT": turns}
        subprocess.run(
            [*command, folder], env=environment, check=True, stdout=subprocess.DEVNULL
        )
        rows = Path(folder, "metrics.csv").read_text().split()
        return float(rows[-1].split(",")[-1])


@click.command(context_settings={"show_default": True})
@click.option("--turns", default="300000,1000")
@click.option("--rounds", type=click.IntRange(1), default=3)
@click.option("--busy", type=click.IntRange(0), default=0, help="Other programs.")
def main(turns: str, rounds: int, busy: int) -> None:
    """Train with threads that spin for a longer or shorter time."""
    others = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(busy)
    ]
    try:
        for name, options in NETWORKS.items():
            speeds = [
                {choice: speed(options, choice) for choice in turns.split(",")}
                for _ in range(rounds)
            ]
            first, *_ = speeds[0]
            for choice in speeds[0]:
                ratios = [round_[choice] / round_[first] for round_ in speeds]
                rates = " ".join(f"{round_[choice]:7.1f}" for round_ in speeds)
                median = statistics.median(ratios)
                click.echo(f"{name:32} {choice:>7} turns: {rates}  {median:.3f}")
    finally:
        for other in others:
            other.kill()


if __name__ == "__main__":
    main()
