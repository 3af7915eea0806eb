"""Compare the memory that `odyssey memory` predicts with what training steps take.

    python benchmarks/memory_table.py
    python benchmarks/memory_table.py resnet20 --batch-sizes 32,64 --recompute

Each prediction and each measurement is a process of its own.  Measured is the largest
resident memory (VmHWM) of a process that runs three training steps on random images,
and the median time of the last two.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "examples")]
MODELS = "resnet18", "resnet50", "resnet20", "lenet5", "alexnet", "vgg16_bn"
STEPS = 3


def child(*words: str) -> dict:
    """Return the JSON object that a program of this checkout prints."""
    place = os.pathsep.join([str(ROOT), str(ROOT / "examples")])
    done = subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "PYTHONPATH": place},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise click.ClickException(done.stderr.strip() or "no message")
    return json.loads(done.stdout)


def measure(
    model: str, batch_size: int, precision: str, recompute: bool, threads: int
) -> None:
    """Run steps of training; print peak and seconds as JSON."""
    import numba
    import numpy as np
    from measuring import peak_memory_mib

    from odyssey.cli.find_example import find_example
    from odyssey.training.recipe import Recipe
    from odyssey.training.state import TrainingState
    from odyssey.training.step import training_step

    numba.set_num_threads(threads)
    network = find_example(model).network
    config = network.models[model]
    recipe = Recipe(
        model=model,
        batch_size=batch_size,
        dataset="random",
        data_sha256="0" * 64,
        precision=precision,
    )
    state = TrainingState.fresh(*network.initialize(config, 0), averaged=False)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch_size, 32, 32, 3), np.float32).transpose(0, 3, 1, 2)
    labels = rng.integers(0, config.num_classes, batch_size)
    seconds = []
    for _ in range(STEPS):
        begin = time.perf_counter()
        training_step(
            state,
            x,
            labels,
            0.01,
            network=network,
            config=config,
            recipe=recipe,
            recompute=recompute,
        )
        seconds.append(time.perf_counter() - begin)
    last = seconds[1:]
    click.echo(json.dumps({"mib": peak_memory_mib(), "seconds": sum(last) / len(last)}))


@click.command()
@click.argument("models", nargs=-1)
@click.option("--batch-sizes", default="32,128,256", show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--precision", default="float32", show_default=True)
@click.option("--recompute", is_flag=True, help="As in training.")
@click.option("--measure", "alone", is_flag=True, help="Measure one, print JSON.")
def main(models, batch_sizes, threads, precision, recompute, alone):
    """Print a line for each of MODELS and each batch size."""
    sizes = [int(size) for size in batch_sizes.split(",")]
    if alone:
        measure(models[0], sizes[0], precision, recompute, threads)
        return
    flags = ["--recompute"] if recompute else []
    click.echo("| | batch | predicted MiB | measured MiB | error | s/step |")
    click.echo("| --- | ---: | ---: | ---: | ---: | ---: |")
    for model in models or MODELS:
        for size in sizes:
            words = [f"--threads={threads}", f"--precision={precision}", *flags]
            command = ["-m", "odyssey", "memory", model, f"--batch-size={size}"]
            predicted = child(*command, "--json", *words)["total"] / 2**20
            took = child(__file__, model, f"--batch-sizes={size}", "--measure", *words)
            error = predicted / took["mib"] - 1
            click.echo(
                f"| {model} | {size} | {predicted:.0f} | {took['mib']:.0f} | "
                f"{100 * error:+.1f} % | {took['seconds']:.3f} |"
            )


if __name__ == "__main__":
    main()
