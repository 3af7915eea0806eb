"""The training of a milestone's network, with operations that are handed over."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from odyssey import reference
from odyssey.data.cifar10 import holds_cifar10, load_cifar10
from odyssey.data.dataset import CIFAR10_MEAN, CIFAR10_STD, Dataset
from odyssey.data.synthetic import make_synthetic
from odyssey.errors import ProgramError
from odyssey.learn.networks import Network, Tensors

BATCH_SIZE = 32
NUM_TRAIN = 512
STEPS = 40
SEED = 1
MOMENTUM = 0.9
#: After so many steps every parameter must have had a gradient other than zero.
PATIENCE = 5
#: Allowed difference of the first step's loss, relative to it: sums in float32, in
#: another order.
LOSS_AGREEMENT = 1e-5
#: The same for a gradient and its norm.  Rounding decides some ties in another way, of
#: two pixels in a window or of relu at 0, and each sends an element somewhere else.
GRADIENT_AGREEMENT = 0.02


class Refused(ProgramError):
    """The milestone cannot be passed with these functions; the message says why."""


@dataclass(frozen=True)
class Milestone:
    """A milestone: its network, the exercises that it is made of, and its recipe.

    ``own_update`` takes initial values, update and learning rate from the student too.
    """

    name: str
    network: Network
    needs: tuple[str, ...]
    lr: float
    own_update: bool = False


@dataclass
class Run:
    """Loss and seconds of each step of a training, and the gradients of the first."""

    losses: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    first_grads: Tensors = field(default_factory=dict)


def load_data(data_dir: Path) -> tuple[str, Dataset]:
    """Return name and images: CIFAR-10 if it is in the folder, else synthetic."""
    if holds_cifar10(data_dir):
        return "CIFAR-10", load_cifar10(data_dir)
    return "the synthetic set", make_synthetic(NUM_TRAIN, 1)


def initial_values(milestone: Milestone, ops: Any) -> Tensors:
    """Return the parameters before the first step."""
    rng = np.random.default_rng(SEED)
    he_normal = ops.he_normal if milestone.own_update else _he_normal
    values = {}
    for name, shape in milestone.network.shapes.items():
        if len(shape) > 1:
            values[name] = he_normal(shape, rng)
        else:
            values[name] = np.full(shape, "gamma" in name, np.float32)
    return values


def _he_normal(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    from odyssey.init import he_normal

    return he_normal(shape, rng)


def prepared(images: np.ndarray) -> np.ndarray:
    """Return uint8 images as float32, normalised."""
    shape = (1, 3, 1, 1)
    mean, std = (np.reshape(v, shape) for v in (CIFAR10_MEAN, CIFAR10_STD))
    return np.ascontiguousarray((images / 255 - mean) / std, dtype=np.float32)


def batches(data: Dataset, steps: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the images and labels of each step; their order is shuffled every epoch."""
    rng = np.random.default_rng(SEED)
    count = min(NUM_TRAIN, len(data.train_labels)) // BATCH_SIZE * BATCH_SIZE
    order: list[int] = []
    for _ in range(steps):
        if not order:
            order = list(rng.permutation(count))
        chosen, order = order[:BATCH_SIZE], order[BATCH_SIZE:]
        yield prepared(data.train_images[chosen]), data.train_labels[chosen]


def train(
    milestone: Milestone,
    ops: Any,
    data: Dataset,
    steps: int,
    after_step: Callable[[Run], None] = lambda run: None,
    *,
    channels_last: bool = False,
) -> Run:
    """Train a milestone's network, and measure it.

    Parameters
    ----------
    milestone : Milestone
    ops : the operations by name
    data : Dataset
    steps : number of updates
    after_step : called with what there is after each step
    channels_last : whether images have this order in memory, which the library's
        kernels work in

    Raises
    ------
    Refused
        If a loss is not finite, or a parameter has no gradient or only zeros.
    """
    network, params = milestone.network, initial_values(milestone, ops)
    velocities = {name: np.zeros_like(value) for name, value in params.items()}
    idle, run = set(params), Run()
    for step, (x, labels) in enumerate(batches(data, steps)):
        if channels_last:
            x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        begin = time.perf_counter()
        logits, cache = network.forward(ops, params, x)
        loss = ops.cross_entropy(logits, labels)
        grad_logits = ops.cross_entropy_backward(1.0, logits, labels)
        grads = network.backward(ops, params, grad_logits, cache)
        _refuse(step, loss, params, grads)
        if step == 0:
            run.first_grads = {name: np.array(grads[name]) for name in params}
        idle -= {name for name in idle if np.any(grads[name])}
        _update(milestone, ops, params, grads, velocities, step, steps)
        run.seconds.append(time.perf_counter() - begin)
        run.losses.append(float(loss))
        if idle and step + 1 == min(PATIENCE, steps):
            raise Refused(
                f"the gradient of {_listed(idle)} was zero in each of the first "
                f"{step + 1} steps: something on the way back to it loses it"
            )
        after_step(run)
    return run


def _refuse(step: int, loss: float, params: Tensors, grads: Tensors) -> None:
    if not np.isfinite(loss):
        raise Refused(f"the loss is {loss} in step {step + 1}")
    absent = [name for name in params if grads.get(name) is None]
    if absent:
        raise Refused(f"the backward gives no gradient of {_listed(absent)}")


def _listed(names: Sequence[str] | set[str]) -> str:
    return ", ".join(sorted(names))


def _update(
    milestone: Milestone,
    ops: Any,
    params: Tensors,
    grads: Tensors,
    velocities: Tensors,
    step: int,
    steps: int,
) -> None:
    """Take a step with momentum; by the student's functions where there are."""
    update, lr = reference.sgd_momentum_update_inplace, milestone.lr
    if milestone.own_update:
        update = ops.sgd_momentum_update_inplace
        lr = ops.cosine_warmup(step, lr, steps, steps // 8)
    for name, param in params.items():
        grad = np.asarray(grads[name], np.float32)
        update(param, grad, velocities[name], lr, MOMENTUM)


def refuse_disagreement(yours: Run, library: Run) -> float:
    """Return how far the first gradients differ; raise `Refused` if it is too far."""
    first, other = yours.losses[0], library.losses[0]
    rows = [("the loss", abs(first - other) / abs(other), LOSS_AGREEMENT)]
    for name, grad in library.first_grads.items():
        gap = np.linalg.norm(yours.first_grads[name] - grad)
        error = float(gap / np.linalg.norm(grad))
        rows.append((f"the gradient of {name}", error, GRADIENT_AGREEMENT))
    for what, error, allowed in rows:
        if not error <= allowed:
            raise Refused(
                f"{what} in the first step differs from the library's by {error:.1e} "
                f"of its size, allowed {allowed:g}"
            )
    return max(error for _, error, _ in rows[1:])


def largest_difference(one: Run, other: Run) -> float:
    """Return the largest difference of two runs' losses."""
    pairs = zip(one.losses, other.losses, strict=True)
    return max(abs(a - b) for a, b in pairs)
