"""Odyssey's training step and evaluation of a network, as tasks to time."""

import numba
import numpy as np
from measuring import Task, tensors
from op_cases import LR, MOMENTUM
from resnet18_cifar10.architecture import ResNetConfig, fold, initialize
from resnet18_cifar10.model import backward, forward

from odyssey.bfloat16 import bfloat16
from odyssey.ops.loss import cross_entropy, cross_entropy_backward
from odyssey.optim import sgd_momentum_update_inplace

CONFIG = ResNetConfig()


def model_inputs(batch: int, config: ResNetConfig = CONFIG) -> dict[str, np.ndarray]:
    """Return parameters, running statistics, images and labels for all contenders.

    Those of batch norm are random: with ones and zeros a mistake would not be noticed.
    """
    rng = np.random.default_rng(0)
    params, state = initialize(config, 0)
    for name, tensor in (*params.items(), *state.items()):
        if name.endswith(("_gamma", "_var")):
            tensor[...] = rng.uniform(0.5, 1.5, tensor.shape)
        elif name.endswith(("_beta", "_mean")):
            tensor[...] = rng.uniform(-0.2, 0.2, tensor.shape)
    return with_batch(params, state, batch, config.num_classes, rng)


def with_batch(
    params: dict[str, np.ndarray],
    state: dict[str, np.ndarray],
    batch: int,
    num_classes: int,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Return the tensors of a network by their kind and name, and a random batch."""
    arrays = {f"params/{name}": tensor for name, tensor in params.items()}
    arrays |= {f"state/{name}": tensor for name, tensor in state.items()}
    # (N, H, W, C): the file keeps the order of memory; the reader restores the shape
    arrays["images"] = rng.standard_normal((batch, 32, 32, 3), np.float32)
    arrays["labels"] = rng.integers(0, num_classes, batch)
    return arrays


def prepare(
    job: str,
    contender: str,
    arrays: dict[str, np.ndarray],
    threads: int,
    config: ResNetConfig = CONFIG,
) -> Task:
    """Return the task of a job, "train", "train64" or "eval"."""
    numba.set_num_threads(threads)
    task = evaluation if job == "eval" else training_step
    return task(arrays, config, contender.endswith("bf16"))


def training_step(
    arrays: dict[str, np.ndarray], config: ResNetConfig = CONFIG, narrow: bool = False
) -> Task:
    """Run forward, loss, backward, and the update with momentum.

    ``narrow`` keeps activations and their gradients in bfloat16.
    """
    params, state = tensors(arrays, "params/"), tensors(arrays, "state/")
    velocities = {name: np.zeros_like(param) for name, param in params.items()}
    x, labels = _images(arrays, narrow), arrays["labels"]

    def step():
        nonlocal state
        narrow_logits, state, cache = forward(params, state, x, config)
        logits = narrow_logits.astype(arrays["images"].dtype, copy=False)
        loss = cross_entropy(logits, labels)
        grad_logits = cross_entropy_backward(1.0, logits, labels)
        grad_logits = grad_logits.astype(narrow_logits.dtype, copy=False)
        grads = backward(grad_logits, cache, params, config, reuse=cache)
        for name, param in params.items():
            sgd_momentum_update_inplace(
                param, grads[name], velocities[name], LR, MOMENTUM
            )
        return loss, grads

    def results(done):
        loss, grads = done
        return {"loss": np.array(loss)} | {
            f"gradient of {name}": grad for name, grad in grads.items()
        }

    return Task(step, results)


def evaluation(
    arrays: dict[str, np.ndarray], config: ResNetConfig = CONFIG, narrow: bool = False
) -> Task:
    """Run the forward with the running statistics."""
    params, state = tensors(arrays, "params/"), tensors(arrays, "state/")
    x = _images(arrays, narrow)
    folded = fold(params, state, config)

    def evaluate():
        return forward(folded, {}, x, config, training=False, folded=True)[0]

    dtype = arrays["images"].dtype  # a file cannot hold bfloat16
    return Task(evaluate, lambda logits: {"logits": logits.astype(dtype)})


def _images(arrays, narrow):
    images = arrays["images"]
    if narrow:
        images = images.astype(bfloat16())
    return images.transpose(0, 3, 1, 2)
