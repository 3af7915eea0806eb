"""Time both methods of a 3x3 convolution, and check if "auto" takes the faster one.

    python benchmarks/bench_methods.py
    python benchmarks/bench_methods.py --stride 2 --json methods.json

The rule of "auto" (``worthwhile`` in `odyssey/ops/conv/winograd.py`) depends on the
channels and on the number of tiles, so the shapes here have few to many of both.  The
results of the two methods are compared first.
"""

import sys
import time
from functools import partial
from pathlib import Path

import click
import machine
import numba
import numpy as np
from measuring import median_seconds
from options import THREAD_RANGE, THREADS, write_json

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from odyssey.ops.conv import conv2d, conv2d_backward

CHANNELS = (8, 16, 32, 64, 128, 256, 512)
SIZES = (  # images, side
    (1, 4),
    (8, 4),
    (1, 8),
    (2, 8),
    (8, 8),
    (32, 8),
    (1, 32),
    (8, 32),
    (128, 4),
    (128, 32),
)
MOST = 2**27  # numbers in x: larger ones take too long
METHODS = ("direct", "winograd", "auto")


def products(N, side, C, stride):
    """Return the functions of a method to time: forward, and the two gradients."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, side, side, C), np.float32).transpose(0, 3, 1, 2)
    kernel = rng.standard_normal((C, C, 3, 3), np.float32)
    out = conv2d(x, kernel, None, stride, 1)
    grad_output = rng.standard_normal(out.transpose(0, 2, 3, 1).shape, np.float32)
    given = grad_output.transpose(0, 3, 1, 2), x, kernel, stride, 1
    backward = partial(conv2d_backward, *given, needs_grad_bias=False)
    return {
        "forward": (lambda method: conv2d(x, kernel, None, stride, 1, method=method)),
        "both gradients": (lambda method: backward(method=method)),
        "gradient of the kernel": (
            lambda method: backward(method=method, needs_grad_input=False)
        ),
    }


def check(function) -> None:
    """Stop if the results of the two methods differ."""
    results = [function(method) for method in METHODS[:2]]
    results = [r if isinstance(r, tuple) else (r,) for r in results]
    for direct, winograd in zip(*results, strict=True):
        if direct is not None:
            error = np.linalg.norm(winograd - direct) / np.linalg.norm(direct)
            if not error < 1e-4:
                raise click.ClickException(f"the two ways differ by {error:.1e}")


def measure(function, rounds: int) -> dict[str, float]:
    """Return the shortest time of each method in seconds, measured in turn."""
    least = dict.fromkeys(METHODS, float("inf"))
    for _ in range(rounds):
        for method in METHODS:
            seconds = median_seconds(partial(function, method), 3, least=0.02)
            least[method] = min(least[method], seconds)
    return least


@click.command()
@click.option("--threads", type=THREAD_RANGE, default=THREADS, show_default=True)
@click.option("--stride", type=click.Choice(["1", "2"]), default="1", show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--limit", type=click.IntRange(1), default=MOST, hidden=True)
@click.option("--json", "path", type=click.Path(dir_okay=False, path_type=Path))
def main(threads, stride, rounds, limit, path):
    """Time the direct and Winograd's method at many shapes, and what auto chooses."""
    stride = int(stride)
    numba.set_num_threads(threads)
    described = machine.describe(threads)
    click.echo(f"{machine.as_text(described)}\n3x3, stride {stride}, milliseconds\n")
    click.echo(f"{'':44}{'direct':>9}{'winograd':>10}{'auto':>9}  direct/winograd")
    rows, begin = [], time.perf_counter()
    for C in CHANNELS:
        for N, side in SIZES:
            if N * side * side * C * C > limit:
                continue
            for name, function in products(N, side, C, stride).items():
                check(function)
                ms = {way: 1e3 * s for way, s in measure(function, rounds).items()}
                ratio = ms["direct"] / ms["winograd"]
                shape = f"{C} to {C}, {N} of {side}x{side}, {name}"
                figures = f"{ms['direct']:9.3f}{ms['winograd']:10.3f}{ms['auto']:9.3f}"
                click.echo(f"{shape:44}{figures} {ratio:8.2f}")
                rows.append({"C": C, "N": N, "side": side, "product": name, **ms})
                write_json(path, {"machine": described, "stride": stride, "rows": rows})
    lost = [row["auto"] / min(row["direct"], row["winograd"]) for row in rows]
    click.echo(
        f"\nauto takes at worst {max(lost):.2f} times the faster way's time; more than "
        f"1.2 times at {sum(loss > 1.2 for loss in lost)} of {len(lost)} "
        f"({time.perf_counter() - begin:.0f} s)"
    )


if __name__ == "__main__":
    main()
