"""Errors of a gradient's sum over ranks, by what is sent of it.

    python benchmarks/network/wire_errors.py

Computes in one process the gradients of ResNet-18 that 2, 8 and 32 ranks find for their
rows of a batch, and sums them as they would.  Errors are relative in the 2-norm,
against the sum in float64: the largest of a tensor, and that of all together.  Beside
them stands what another batch of as many images changes.
"""

import sys
from pathlib import Path

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from measuring import tensors
from odyssey_model import model_inputs, with_batch
from resnet18_cifar10.architecture import ResNetConfig
from resnet18_cifar10.example import EXAMPLE

from odyssey.distributed.rows import rows_of
from odyssey.kernels import wire
from odyssey.ops.loss import cross_entropy_backward

RANKS = (2, 8, 32)
NETWORK = EXAMPLE.network


def gradients(arrays, config, size) -> list[dict[str, np.ndarray]]:
    """Return the gradients that each of ``size`` ranks finds for its rows."""
    params, state = tensors(arrays, "params/"), tensors(arrays, "state/")
    images, found = arrays["images"], []
    for rank in range(size):
        rows = rows_of(len(images), rank, size)
        x, labels = images[rows].transpose(0, 3, 1, 2), arrays["labels"][rows]
        logits, _, cache = NETWORK.run_training(params, state, x, config, None)
        grad = cross_entropy_backward(len(labels) / len(images), logits, labels)
        grads = NETWORK.run_backward(grad, cache, params, config)
        found.append({name: grad.copy() for name, grad in grads.items()})
    return found


def sums(every: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Return the sum of a tensor over the ranks, in float64, float32 and bfloat16."""
    flat = [np.ascontiguousarray(grad).reshape(-1) for grad in every]
    total = flat[0].copy()
    for grad in flat[1:]:
        total += grad
    bits = np.empty((len(flat), total.size), np.uint16)
    for row, grad in zip(bits, flat, strict=True):
        wire.round_to_bfloat16(grad.view(np.uint32), row)
    narrow, rounded = np.empty_like(total), np.empty(total.size, np.uint16)
    wire.sum_of_bfloat16(bits, narrow)
    wire.round_to_bfloat16(narrow.view(np.uint32), rounded)
    wire.widen_bfloat16(rounded, narrow)
    return {"float64": np.sum(flat, 0, np.float64), "float32": total, "bf16": narrow}


def errors(every: list[dict[str, np.ndarray]]) -> dict[str, tuple[float, float]]:
    """Return the largest error of a tensor, and that of all, for each way to sum."""
    found = {name: sums([grads[name] for grads in every]) for name in every[0]}
    result = {}
    for way in ("float32", "bf16"):
        wrong = {n: np.sum((s[way] - s["float64"]) ** 2) for n, s in found.items()}
        exact = {n: np.sum(s["float64"] ** 2) for n, s in found.items()}
        largest = max(np.sqrt(wrong[name] / exact[name]) for name in found)
        result[way] = largest, np.sqrt(sum(wrong.values()) / sum(exact.values()))
    return result


def changed(grads: list, others: list) -> float:
    """Return the relative change of a whole gradient."""
    total, other = (
        np.concatenate(
            [sum(part[name] for part in parts).reshape(-1) for name in parts[0]]
        )
        for parts in (grads, others)
    )
    return float(np.linalg.norm(other - total) / np.linalg.norm(total))


@click.command(context_settings={"show_default": True})
@click.option("--width", type=click.IntRange(1), default=64)
@click.option("--batch", type=click.IntRange(64), default=128)
def main(width: int, batch: int) -> None:
    """Print the errors of a gradient's sum in float32 and with bfloat16 on the wire."""
    config = ResNetConfig(width=width)
    arrays = model_inputs(batch, config)
    others = with_batch({}, {}, batch, config.num_classes, np.random.default_rng(1))
    click.echo(f"ResNet-18 of width {width}, {batch} images; relative errors")
    click.echo(f"{'ranks':>5} {'sent':8} {'largest of a tensor':>20} {'all':>10}")
    for size in RANKS:
        every = gradients(arrays, config, size)
        for way, (largest, whole) in errors(every).items():
            click.echo(f"{size:5} {way:8} {largest:20.1e} {whole:10.1e}")
    other = gradients(arrays | others, config, size)
    click.echo(f"another batch changes the gradient by {changed(every, other):.2f}")


if __name__ == "__main__":
    main()
