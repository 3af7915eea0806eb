"""Time convolutions of bfloat16 on tiles, beside what the tiles can do.

    python benchmarks/bench_tiles.py
    python benchmarks/bench_tiles.py --threads 1 --images 128 --json tiles.json

Needs a processor with tiles (AMX); ``python -m odyssey info`` says whether this has
them.  The layers are those of ResNet-18 on CIFAR-10.  The first line is the ceiling:
products of tiles that stay in their registers.
"""

import sys
from functools import partial
from pathlib import Path

import click
import machine
import numba
import numpy as np
from measuring import median_seconds
from numba import prange
from options import THREAD_RANGE, THREADS, write_json

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from odyssey import processor
from odyssey.kernels.jit import parallel
from odyssey.kernels.simd import flat
from odyssey.kernels.tile_registers import configure, dot, registers, release
from odyssey.ops.conv import tiles

# channels and side of the input, kernels, size of the kernel, stride
LAYERS = (
    (3, 32, 64, 3, 1),
    (64, 32, 64, 3, 1),
    (64, 32, 128, 3, 2),
    (64, 32, 128, 1, 2),
    (128, 16, 128, 3, 1),
    (128, 16, 256, 3, 2),
    (256, 8, 256, 3, 1),
    (256, 8, 512, 3, 2),
    (512, 4, 512, 3, 1),
)
TURNS = 25_000  # of four products, in the measurement of the ceiling


@parallel
def multiply_in_registers(lent, turns):
    """Multiply tiles, four products a turn, in each thread."""
    for thread in prange(len(lent)):  # disjoint registers
        state = flat(lent[thread])
        configure(state)
        for _ in range(turns):
            dot(state, 0, 4, 6)
            dot(state, 1, 4, 7)
            dot(state, 2, 5, 6)
            dot(state, 3, 5, 7)
        release(state)


def products(layer, N):
    """Return the three products of a layer, to call, and the operations of each."""
    C, side, K, R, stride = layer
    padding, rng = R // 2, np.random.default_rng(0)
    P = (side + 2 * padding - R) // stride + 1

    def images(*shape):
        numbers = rng.standard_normal(shape, np.float32)
        return (numbers.view(np.uint32) >> 16).astype(np.uint16)

    x, grad_output = images(N, side, side, C), images(N, P, P, K)
    kernel = rng.standard_normal((K, C, R, R), np.float32)
    out, grad_input = np.empty_like(grad_output), np.empty_like(x)
    bias, of_out, of_x = np.zeros(K, np.float32), grad_output[:0], x[:0]
    given = grad_output, kernel, of_x, stride, padding, grad_input
    gradient = np.empty_like(kernel)
    return {
        "forward": partial(
            tiles.forward, x, kernel, bias, of_out, False, stride, padding, out
        ),
        "grad_input": partial(tiles.grad_input, *given),
        "grad_kernel": partial(
            tiles.grad_kernel, grad_output, x, stride, padding, gradient
        ),
    }, 2 * N * P * P * K * C * R * R


@click.command()
@click.option("--threads", type=THREAD_RANGE, default=THREADS, show_default=True)
@click.option("--images", type=click.IntRange(1), default=128, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=7, show_default=True)
@click.option("--emulated", is_flag=True, hidden=True)
@click.option("--json", "path", type=click.Path(dir_okay=False, path_type=Path))
def main(threads, images, rounds, emulated, path):
    """Time the three products of each layer on tiles."""
    if not (emulated or processor.has_amx()):
        raise click.ClickException(f"no tiles: {processor.why_no_amx()}")
    numba.set_num_threads(threads)
    described = machine.describe(threads)
    click.echo(
        f"{machine.as_text(described)}\n{images} images, GFLOP/s as direct sums\n"
    )
    lent, turns = registers(threads, not emulated), 10 if emulated else TURNS
    multiply = partial(multiply_in_registers, lent, turns)
    multiply()
    ceiling = threads * turns * 4 * 2**14 / median_seconds(multiply, rounds) / 1e9
    click.echo(f"{'in registers':28}{ceiling:8.0f}")
    rows = []
    for layer in LAYERS:
        C, side, K, R, stride = layer
        calls, operations = products(layer, images)
        row = {"layer": layer}
        for name, call in calls.items():
            call()
            row[name] = operations / median_seconds(call, rounds) / 1e9
        shown = "".join(f"{row[name]:8.0f} {name}" for name in calls)
        click.echo(f"{f'{C} to {K}, {R}x{R}/{stride}, {side}x{side}':28}{shown}")
        rows.append(row)
        write_json(
            path,
            {
                "machine": described,
                "images": images,
                "emulated": emulated,
                "in registers": ceiling,
                "rows": rows,
            },
        )


if __name__ == "__main__":
    main()
