"""Print a table of models: their size, and how fast Odyssey and PyTorch train them.

    python benchmarks/model_table.py
    python benchmarks/model_table.py resnet20 resnet18 --rounds 3 --json models.json

Parameters and multiply-adds (of one image's forward) are those of the example's
`summary.py`.  Images per second and peak memory are those of training steps, measured
and checked as in `compare_pytorch.py`.  Odyssey is compared with the faster of
PyTorch's two memory layouts in float32.
"""

import statistics
import tempfile

import click
import machine
from agreement import Disagreement
from compare_pytorch import check_section, time_section
from contenders import ODYSSEY, PACKAGES, present
from networks import MODELS, written
from options import size_options, write_json
from tables import ratios
from workers import WorkerError, Workers

# isort: split
from resnet18_cifar10.summary import layer_table

PEERS = "pytorch", "pytorch-channels-last"
COLUMNS = (
    "",
    "parameters",
    "multiply-adds",
    "images/s",
    "PyTorch's",
    "times as fast",
    "MiB",
    "PyTorch's MiB",
)


def measure(model: str, sizes: dict, rounds: int) -> dict:
    """Check the results; return seconds per step and MiB of all contenders."""
    peers = [peer for peer in present(("train",))[0] if peer.name in PEERS]
    with tempfile.TemporaryDirectory() as folder:
        workers = Workers(folder, model=model, **sizes)
        workers.run("inputs")
        checked = check_section(workers, "train", peers)
        able = [peer for peer in peers if peer.name in checked]
        return time_section(workers, "train", [ODYSSEY, *able], rounds)


def row(model: str, times: dict, batch: int) -> list[str]:
    """Return the cells of a model's line; without PyTorch, its cells are dashes."""
    layers = layer_table(MODELS[model])
    parameters, products = (
        sum(getattr(layer, column) for layer in layers)
        for column in ("parameters", "multiply_adds")
    )
    rates = {
        name: batch / statistics.median(kept["seconds"]["train"])
        for name, kept in times.items()
    }
    memory = {
        name: statistics.median(kept["peak_memory_mib"]) for name, kept in times.items()
    }
    peers = [name for name in times if name != ODYSSEY.name]
    best = max(peers, key=rates.get, default=None)
    peer = ["-"] * 3
    if best:
        faster = statistics.median(ratios(times)[best]["train"])
        peer = [f"{rates[best]:.1f}", f"{faster:.2f}", f"{memory[best]:.0f}"]
    own = f"{rates[ODYSSEY.name]:.1f}", f"{memory[ODYSSEY.name]:.0f}"
    counts = f"{parameters:,}", f"{products:,}"
    return [written(model), *counts, own[0], *peer[:2], own[1], peer[2]]


@click.command()
@click.argument("models", nargs=-1, type=click.Choice(list(MODELS)))
@size_options(repeat_help="Timed steps in a process, of which the median counts.")
@click.option("--rounds", type=click.IntRange(1), default=2, show_default=True)
def main(models, batch, threads, repeat, rounds, path):
    """Measure MODELS, all of them by default, and print a line for each."""
    described = machine.describe(threads, PACKAGES)
    click.echo(machine.as_text(described))
    sizes = {"batch": batch, "threads": threads, "repeat": repeat}
    report = {"machine": described, **sizes, "rounds": rounds, "times": {}}
    lines = [COLUMNS, ["---"] + ["---:"] * (len(COLUMNS) - 1)]
    for model in models or MODELS:
        try:
            report["times"][model] = measure(model, sizes, rounds)
        except (WorkerError, Disagreement) as error:
            raise click.ClickException(f"{model}: {error}") from None
        write_json(path, report)
        lines.append(row(model, report["times"][model], batch))
    for cells in lines:
        click.echo(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
