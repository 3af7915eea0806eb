"""Errors of operations and of whole gradients in float32 and bfloat16.

    python benchmarks/precision_errors.py
    python benchmarks/precision_errors.py --model resnet20 --batch 32

Each operation is done in both precisions and compared with the same operation in
float64, on the same arguments: for bfloat16 they are rounded before both.  Errors are
relative in the 2-norm, ||result - exact|| / ||exact||.  "rounded once" is the error of
the exact result after one rounding to bfloat16: no operation that returns bfloat16 can
do better.  Two rows show what is not done: Winograd's products of rounded factors, and
sums in bfloat16.

The gradient of a whole network is compared with float64's, at random weights.  Beside
it stands how much another batch of as many images changes the gradient.  Last comes the
sum of the errors over ``--batches``, beside what it would be if they were independent:
1.0 if they are, the root of the number of batches if the error is always the same.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click
import machine
import numba
import numpy as np
from agreement import relative_difference
from networks import MODELS, model_option
from odyssey_model import model_inputs
from options import THREAD_RANGE, THREADS, write_json
from resnet18_cifar10.example import NETWORK

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from odyssey.bfloat16 import bfloat16
from odyssey.ops.batch_norm import batch_norm2d, batch_norm2d_backward
from odyssey.ops.conv import conv2d, conv2d_backward
from odyssey.ops.loss import cross_entropy_backward
from odyssey.precision import BF16, in_precision

#: Images, channels and side of the operations' argument: ResNet-18's third stage.
SHAPE = N, C, SIDE = 16, 128, 16

#: The matrices of Winograd's F(4, 3), see docs/derivations/winograd.md.
B = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
).T
G = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]])
G = G / 24
A = np.array(
    [
        [1, 1, 1, 1, 1, 0],
        [0, 1, -1, 2, -2, 0],
        [0, 1, 1, 4, 4, 0],
        [0, 1, -1, 8, -8, 1],
    ]
).T


class Operation(NamedTuple):
    """An operation on activations and parameters; its results have names."""

    name: str
    results: tuple[str, ...]
    call: Callable
    activations: tuple[np.ndarray, ...]  # float32
    parameters: tuple[np.ndarray, ...] = ()  # float32, in bfloat16 too


def operations(rng: np.random.Generator) -> Iterator[Operation]:
    """Yield the operations, on values as they occur behind a batch norm and a relu."""

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    def images(*shape: int) -> np.ndarray:
        return draw(*shape).transpose(0, 3, 1, 2)  # channels-last

    x, grad = images(N, SIDE, SIDE, C), images(N, SIDE, SIDE, C)
    positive = np.maximum(x, 0)
    for size in (1, 3):
        kernel = draw(C, C, size, size) * np.float32((2 / (C * size**2)) ** 0.5)
        for method in ("direct", "winograd")[: 1 if size == 1 else 2]:
            options = {"padding": size // 2, "method": method}
            backward = partial(conv2d_backward, **options)
            name = f"conv2d {size}x{size}, {method}"
            forward = partial(conv2d, bias=None, **options)
            yield Operation(name, ("out",), forward, (positive,), (kernel,))
            gradients = "grad_input", "grad_kernel", "grad_bias"
            yield Operation(name, gradients, backward, (grad, positive), (kernel,))
    shifted = x + 3  # a mean of three standard deviations
    gamma, beta = draw(C), draw(C)
    running = np.zeros(C, np.float32), np.ones(C, np.float32)
    norm = gamma, beta, *running
    results = "out", "running_mean", "running_var"
    yield Operation("batch_norm2d", results, batch_norm2d, (shifted,), norm)
    gradients = "grad_input", "grad_gamma", "grad_beta"
    backward = batch_norm2d_backward
    yield Operation("batch_norm2d", gradients, backward, (grad, shifted), norm)


def rounded(x: np.ndarray) -> np.ndarray:
    """Return ``x`` rounded to bfloat16, in float64."""
    return x.astype(bfloat16()).astype(np.float64)


def errors_of(operation: Operation) -> Iterator[dict]:
    """Yield a row for each result: its errors in both precisions."""

    def call(activations, parameters):
        found = operation.call(*activations, *parameters)
        return found if isinstance(found, tuple) else (found,)

    def as_float64(arrays):
        return [array.astype(np.float64) for array in arrays]

    given, parameters = operation.activations, operation.parameters
    exact = call(as_float64(given), as_float64(parameters))
    single = call(given, parameters)
    halves = [array.astype(bfloat16()) for array in given]
    exact_of_halves = call(as_float64(halves), as_float64(parameters))
    half = call(halves, parameters)
    for i, result in enumerate(operation.results):
        yield {
            "operation": operation.name,
            "result": result,
            "dtype": str(half[i].dtype),
            "float32": relative_difference(single[i], exact[i]),
            "bfloat16": relative_difference(half[i], exact_of_halves[i]),
            "rounded once": relative_difference(
                rounded(exact_of_halves[i]), exact_of_halves[i]
            ),
        }


def errors_of_what_is_not_done(rng: np.random.Generator) -> Iterator[dict]:
    """Yield rows for Winograd with rounded factors and for sums in bfloat16."""
    patches = rounded(np.maximum(rng.standard_normal((400, C, 6, 6)), 0))
    kernels = rounded(rng.standard_normal((C, C, 3, 3)) * (2 / (9 * C)) ** 0.5)

    def convolve(change: Callable) -> np.ndarray:
        places = change(B.T @ patches @ B), change(G @ kernels @ G.T)
        sums = np.einsum("tcij,kcij->tkij", *places)
        return A.T @ sums @ A

    exact = convolve(lambda factors: factors)
    yield {
        "operation": "3x3, Winograd of rounded factors",
        "result": "out",
        "dtype": "bfloat16",
        "bfloat16": relative_difference(rounded(convolve(rounded)), exact),
        "rounded once": relative_difference(rounded(exact), exact),
    }
    columns = patches.reshape(400, -1)[:, : 9 * C]
    weights = kernels.reshape(C, -1)
    total = np.zeros((400, C), bfloat16())
    for i in range(9 * C):
        product = columns[:, i, None] * weights[:, i]
        total = (total.astype(np.float32) + product).astype(bfloat16())
    exact = columns @ weights.T
    yield {
        "operation": f"{9 * C} products summed in bfloat16",
        "result": "out",
        "dtype": "bfloat16",
        "bfloat16": relative_difference(total, exact),
        "rounded once": relative_difference(rounded(exact), exact),
    }


def gradient(
    arrays: dict[str, np.ndarray], model: str, precision: str, images: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the logits and the gradient of the loss in a precision."""
    dtype = np.float64 if precision == "float64" else np.float32
    network = NETWORK if precision == "float64" else in_precision(NETWORK, precision)
    tensors = {
        kind: {
            name.removeprefix(f"{kind}/"): array.astype(dtype)
            for name, array in arrays.items()
            if name.startswith(f"{kind}/")
        }
        for kind in ("params", "state")
    }
    params, config = tensors["params"], MODELS[model]
    x = images.transpose(0, 3, 1, 2).astype(dtype)
    logits, _, cache = network.forward(params, tensors["state"], x, config)
    grad_logits = cross_entropy_backward(1.0, logits, arrays["labels"])
    return logits, network.backward(grad_logits, cache, params, config)


def errors_of_network(
    model: str, batch: int, rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Return the errors of logits and gradient, by precision and for another batch."""
    arrays = initial_inputs(model, batch)
    images = arrays["images"]
    exact_logits, exact = gradient(arrays, model, "float64", images)
    others = rng.standard_normal(images.shape, np.float32)
    found = {
        precision: gradient(arrays, model, precision, images)
        for precision in ("float32", BF16)
    } | {"another batch": gradient(arrays, model, "float64", others)}
    whole = _joined(exact)
    return {
        name: {
            "logits": relative_difference(logits, exact_logits),
            "gradient": relative_difference(_joined(grads), whole),
            "cosine": _cosine(_joined(grads), whole),
            "first kernel": relative_difference(
                grads["conv1_kernel"], exact["conv1_kernel"]
            ),
            "last weights": relative_difference(
                grads["fc_weights"], exact["fc_weights"]
            ),
        }
        for name, (logits, grads) in found.items()
    }


def initial_inputs(model: str, batch: int) -> dict[str, np.ndarray]:
    """Return a network's initial parameters, and random images and labels."""
    arrays = model_inputs(batch, MODELS[model])
    params = {name for name in arrays if name.startswith("params/")}
    initial, _ = NETWORK.initialize(MODELS[model], 0)
    return arrays | {name: initial[name.removeprefix("params/")] for name in params}


def dependence(model: str, batch: int, batches: int, rng: np.random.Generator) -> float:
    """Return the norm of the sum of errors in bfloat16, over that if independent."""
    arrays = initial_inputs(model, batch)
    total, squares = np.zeros(()), 0.0
    for _ in range(batches):
        images = rng.standard_normal(arrays["images"].shape, np.float32)
        exact = _joined(gradient(arrays, model, "float64", images)[1])
        error = _joined(gradient(arrays, model, BF16, images)[1]) - exact
        total, squares = total + error, squares + error @ error
    return float(np.linalg.norm(total) / np.sqrt(squares))


def _joined(grads: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([grad.astype(np.float64).ravel() for grad in grads.values()])


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@click.command()
@model_option
@click.option("--batch", type=click.IntRange(2), default=32, show_default=True)
@click.option("--batches", type=click.IntRange(1), default=4, show_default=True)
@click.option("--threads", type=THREAD_RANGE, default=THREADS, show_default=True)
@click.option(
    "--json",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write all errors to.",
)
def main(model: str, batch: int, batches: int, threads: int, path: Path | None) -> None:
    """Print the errors of operations and of a whole network's gradient."""
    numba.set_num_threads(threads)
    about = machine.describe(threads, ("ml_dtypes",))
    click.echo(machine.as_text(about))
    rng = np.random.default_rng(0)
    rows = [row for op in operations(rng) for row in errors_of(op)]
    rows += errors_of_what_is_not_done(rng)
    click.echo(
        f"\n{'operation':34}{'result':14}{'float32':>9}{'bfloat16':>10}"
        f"{'rounded once':>14}"
    )
    for row in rows:
        single = f"{row['float32']:.1e}" if "float32" in row else ""
        once = f"{row['rounded once']:.1e}" if row["dtype"] == "bfloat16" else "float32"
        click.echo(
            f"{row['operation']:34}{row['result']:14}{single:>9}"
            f"{row['bfloat16']:10.1e}{once:>14}"
        )
    errors = errors_of_network(model, batch, rng)
    click.echo(f"\n{model}, {batch} images: against float64\n")
    columns = list(errors[BF16])
    click.echo(f"{'':16}" + "".join(f"{column:>14}" for column in columns))
    for name, values in errors.items():
        cells = "".join(f"{values[column]:14.2g}" for column in columns)
        click.echo(f"{name:16}{cells}")
    ratio = dependence(model, batch, batches, rng)
    click.echo(
        f"\nerrors in bf16 of {batches} batches, added: {ratio:.2f} of what it were if "
        f"they were independent, {batches**0.5:.2f} if they were the same"
    )
    report = {"machine": about, "operations": rows, model: errors}
    write_json(path, report | {"dependence": ratio})


if __name__ == "__main__":
    main()
