"""Measure how long each operation of a training step takes, and how long it must take.

    python benchmarks/bench_ops.py
    python benchmarks/bench_ops.py --batch 32 --threads 1 --json ops.json
    python benchmarks/bench_ops.py --model resnet50

Whole training steps run, and every call of an operation in them is timed where it
happens: with the arrays, caches and memory of a real step.  Two limits of this machine
are printed for comparison, a large matrix product and a large copy.

GFLOP/s counts the multiplications and additions of the direct sum, even if Winograd's
method needs fewer: a 3x3 convolution may be above the limit.  GB/s counts every input
and output once: an operation that has to read one of them twice, as batch norm has to
for its statistics, stays below the limit.
"""

import statistics
import time
from collections import defaultdict
from pathlib import Path

import ceilings
import click
import machine
import numba
from measuring import WARM_UPS
from networks import MODELS, model_option, written
from options import size_options, write_json
from recording import Recorder, Row

# isort: split
import odyssey_model
from resnet18_cifar10 import bottleneck, model, preactivation
from resnet18_cifar10.architecture import ResNetConfig

from odyssey.layers import context, conv_norm, norm, shortcut

#: Those that call the operations of a step.
MODULES = [
    odyssey_model,
    *(model, bottleneck, preactivation),
    *(context, conv_norm, norm, shortcut),
]


def measure_steps(
    recorder: Recorder, config: ResNetConfig, batch: int, repeat: int
) -> float:
    """Run training steps; return the seconds of one, without those of the recorder."""
    with recorder:
        arrays = odyssey_model.model_inputs(batch, config)
        step = odyssey_model.training_step(arrays, config).run
        for _ in range(WARM_UPS):
            step()
        recorder.clear()
        seconds = []
        for _ in range(repeat):
            recorder.extra = 0.0
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start - recorder.extra)
            recorder.end_step()
    return statistics.median(seconds)


def shares(rows: list[Row], step: float) -> str:
    """Return the time of each operation over all its shapes, the longest first."""
    totals = defaultdict(float)
    for row in rows:
        totals[row.op] += row.seconds
    totals["everything between the operations"] = step - sum(totals.values())
    width = max(map(len, totals))
    return "\n".join(
        f"{op:{width}} {1e3 * seconds:9.2f} ms {seconds / step:7.1%}"
        for op, seconds in sorted(totals.items(), key=lambda item: -item[1])
    )


def table(rows: list[Row], step: float, product: float, copy: float) -> str:
    """Return a line for each operation at each shape, the longest first."""
    width = max(len(row.op) + len(row.shape) for row in rows) + 2
    lines = [
        f"{'':{width}} {'calls':>5} {'ms a step':>9} {'share':>7} {'rate':>14} "
        f"{'of ceiling':>10}"
    ]
    for row in rows:
        rate = portion = "-"
        if row.rate:
            unit = "GFLOP/s" if row.flops else "GB/s"
            rate = f"{row.rate / 1e9:.1f} {unit:7}"
            portion = f"{row.rate / (product if row.flops else copy):.0%}"
        lines.append(
            f"{f'{row.op}, {row.shape}':{width}} {row.calls:5} "
            f"{1e3 * row.seconds:9.2f} {row.seconds / step:7.1%} {rate:>14} "
            f"{portion:>10}"
        )
    return "\n".join(lines)


@click.command()
@model_option
@size_options(repeat_help="Steps, of which the median counts.")
@click.pass_context
def main(ctx, model, batch, threads, repeat, path):
    """Time every operation of a training step, during the step."""
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        run(model, batch, threads, repeat, path)
    except KeyboardInterrupt:
        ctx.exit(130)
    except OSError as error:
        raise click.ClickException(str(error)) from None
    finally:
        numba.set_num_threads(before)


def run(name: str, batch: int, threads: int, repeat: int, path: Path | None) -> None:
    """Measure limits and steps; print and write the results."""
    described = machine.describe(threads)
    click.echo(machine.as_text(described))
    product, copy = ceilings.matrix_product(threads), ceilings.copy(threads)
    click.echo(
        f"ceilings: matrix product in float32 {product / 1e9:.0f} GFLOP/s, "
        f"copy {copy / 1e9:.1f} GB/s (read and written)\n"
    )
    recorder = Recorder(MODULES)
    step = measure_steps(recorder, MODELS[name], batch, repeat)
    rows = recorder.rows()
    click.echo(
        f"{written(name)}, batch {batch}: {1e3 * step:.1f} ms a step, "
        f"{batch / step:.1f} images/s\n"
    )
    click.echo(f"{shares(rows, step)}\n\n{table(rows, step, product, copy)}")
    report = {
        "machine": described,
        "model": name,
        "batch": batch,
        "ceilings": {"flops_per_second": product, "bytes_per_second": copy},
        "step_seconds": step,
        "rows": [
            row._asdict() | {"rate": row.rate, "share": row.seconds / step}
            for row in rows
        ],
    }
    write_json(path, report)


if __name__ == "__main__":
    main()
