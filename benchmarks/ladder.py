"""Time a convolution in steps, from the naive loops to the present kernel.

    python benchmarks/ladder.py [--batch 128] [--threads 2]

The layer is a 3x3 convolution of stride 1 of ResNet-18's first stage: 64 channels,
64 kernels, 32x32 pixels.  The result of every step, called a rung, is compared with
that of the first before it is timed.  Slow rungs get fewer images, and their time is
scaled.
"""

import importlib.util
import statistics
import sys
import time
from pathlib import Path

import click
import numba
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from odyssey.bfloat16 import bfloat16
from odyssey.kernels.jit import parallel, serial
from odyssey.ops.conv import conv2d
from odyssey.processor import has_amx

C = K = 64
SIDE = 32
OPERATIONS = 2 * SIDE * SIDE * K * C * 9  # of one image, summed directly


@serial
def seven_loops(x, kernel, out):
    """Compute the sum as the formula says, on (N, C, H, W)."""
    N, C, H, W = x.shape
    for n in range(N):
        for k in range(kernel.shape[0]):
            for p in range(H):
                for q in range(W):
                    total = x.dtype.type(0)
                    for c in range(C):
                        for r in range(3):
                            for s in range(3):
                                h, w = p + r - 1, q + s - 1
                                if 0 <= h < H and 0 <= w < W:
                                    total += x[n, c, h, w] * kernel[k, c, r, s]
                    out[n, k, p, q] = total


@serial
def add_row(x, kernel, n, p, out):
    """Add up row p of the output, on (N, H, W, C), kernels innermost."""
    H, W, C = x.shape[1:]
    for q in range(W):
        total = out[n, p, q]
        for k in range(len(total)):
            total[k] = 0
        for r in range(3):
            for s in range(3):
                h, w = p + r - 1, q + s - 1
                if 0 <= h < H and 0 <= w < W:
                    for c in range(C):
                        value, weights = x[n, h, w, c], kernel[r, s, c]
                        for k in range(len(total)):
                            total[k] += value * weights[k]


@serial
def channels_last(x, kernel, out):
    for row in range(x.shape[0] * x.shape[1]):
        add_row(x, kernel, row // x.shape[1], row % x.shape[1], out)


@parallel
def on_all_cores(x, kernel, out):
    for row in numba.prange(x.shape[0] * x.shape[1]):
        add_row(x, kernel, row // x.shape[1], row % x.shape[1], out)


def unfolded(x, kernel):
    """Write out every patch in full, then compute one matrix product with NumPy."""
    N, H, W, C = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(N * H * W, 9 * C)
    return (patches @ kernel.reshape(9 * C, -1)).reshape(N, H, W, -1)


@parallel
def add_packed_blocks(x, matrix, block, out):
    """Pack what ``block`` rows of pixels see, and multiply them by BLAS."""
    N, H, W, C = x.shape
    for task in numba.prange(N * H // block):  # disjoint rows of out
        packed = np.zeros((block, W, 3, 3, C), x.dtype)
        for row in range(block):
            n, p = (task * block + row) // H, (task * block + row) % H
            for r in range(3):
                h = p + r - 1
                if 0 <= h < H:
                    packed[row, 1:, r, 0] = x[n, h, : W - 1]
                    packed[row, :, r, 1] = x[n, h]
                    packed[row, : W - 1, r, 2] = x[n, h, 1:]
        target = out.reshape(N * H // block, block * W, -1)[task]
        np.dot(packed.reshape(block * W, 9 * C), matrix, target)


def packed(x, kernel):
    """Unfold two rows of pixels at a time, in the cache, and multiply them there."""
    from threadpoolctl import threadpool_limits

    out = np.empty((*x.shape[:3], kernel.shape[3]), x.dtype)
    with threadpool_limits(1, user_api="blas"):
        add_packed_blocks(x, kernel.reshape(9 * C, -1), 2, out)
    return out


def rungs(batch):
    """Yield (title, images, function that returns out as (N, H, W, K))."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, SIDE, SIDE, C), dtype=np.float32)
    kernel = rng.standard_normal((K, C, 3, 3), dtype=np.float32)
    taps = np.ascontiguousarray(kernel.transpose(2, 3, 1, 0))
    few = min(batch, 4)
    first = np.ascontiguousarray(x[:few].transpose(0, 3, 1, 2))

    def naive():
        out = np.empty((few, K, SIDE, SIDE), np.float32)
        seven_loops(first, kernel, out)
        return out.transpose(0, 2, 3, 1)

    def looped(function, images):
        out = np.empty((images, SIDE, SIDE, K), np.float32)
        function(x[:images], taps, out)
        return out

    def present(method, dtype=np.float32):
        images = x.astype(dtype, copy=False).transpose(0, 3, 1, 2)
        out = conv2d(images, kernel, None, 1, 1, method=method)
        return out.transpose(0, 2, 3, 1)

    yield "seven loops, compiled", few, naive
    yield "channels last, SIMD over kernels", few, lambda: looped(channels_last, few)
    yield "... on all cores", batch, lambda: looped(on_all_cores, batch)
    yield "unfold, one matrix product", batch, lambda: unfolded(x, taps)
    if importlib.util.find_spec("scipy"):  # Numba calls the BLAS of SciPy
        yield "pack into the cache, products by BLAS", batch, lambda: packed(x, taps)
    yield "... sums of our own in registers", batch, lambda: present("direct")
    yield "Winograd F(4x4, 3x3)", batch, lambda: present("winograd")
    if has_amx():  # summed directly again, in bfloat16: only roughly the same
        yield "tiles of bfloat16", batch, lambda: present("tiles", bfloat16())


@click.command()
@click.option("--batch", default=128, show_default=True)
@click.option("--threads", default=numba.config.NUMBA_NUM_THREADS, show_default=True)
@click.option("--repeat", default=7, show_default=True)
def main(batch, threads, repeat):
    """Time one convolution, from seven loops to the present kernel."""
    numba.set_num_threads(threads)
    click.echo(f"64 -> 64 channels, 32x32, batch {batch}, {threads} threads, float32")
    right, slowest = None, None
    for name, images, function in rungs(batch):
        out = function()  # compiles
        right = out if right is None else right
        error = (
            np.abs(out[: len(right)].astype(np.float32) - right).max()
            / np.abs(right).max()
        )
        if error > (1e-2 if out.dtype.itemsize == 2 else 1e-4):
            raise SystemExit(f"{name}: wrong by {error:.1e}")
        seconds = []
        for _ in range(repeat):
            start = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - start)
        ms = 1e3 * statistics.median(seconds) * batch / images
        slowest = slowest or ms
        rate = OPERATIONS * batch / ms / 1e6
        click.echo(f"{name:38} {ms:9.1f} ms {rate:7.1f} GFLOP/s  {slowest / ms:6.1f} x")


if __name__ == "__main__":
    main()
