"""Odyssey's training step of the speed run, as a task to time."""

from functools import partial

import numba
import numpy as np
from measuring import Task, tensors
from odyssey_model import with_batch
from speedrun_cifar10.architecture import SpeedrunConfig, initialize
from speedrun_cifar10.recipe import CHOICES, training_step

from odyssey.precision import BF16, FLOAT32
from odyssey.training.recipe import Recipe
from odyssey.training.state import TrainingState

CONFIG = SpeedrunConfig()


def model_inputs(batch: int, config: SpeedrunConfig = CONFIG) -> dict[str, np.ndarray]:
    """Return parameters, running statistics, images and labels for all contenders.

    The whitening's kernel, biases and statistics are random: with zeros and ones a
    mistake would not be noticed.  The outputs of the whitening have a variance of 1, as
    in training: gelu of large negative numbers is all but zero, and of pixels that are
    equal up to rounding, each side would pool another one.
    """
    rng = np.random.default_rng(0)
    params, state = initialize(config, 0)
    for name, tensor in (*params.items(), *state.items()):
        if name == "whiten_kernel":
            tensor[...] = rng.normal(0, tensor[0].size ** -0.5, tensor.shape)
        elif name.endswith("_var"):
            tensor[...] = rng.uniform(0.5, 1.5, tensor.shape)
        elif name.endswith(("_bias", "_beta", "_mean")):
            tensor[...] = rng.uniform(-0.2, 0.2, tensor.shape)
    return with_batch(params, state, batch, config.num_classes, rng)


def prepare(
    job: str, contender: str, arrays: dict[str, np.ndarray], threads: int
) -> Task:
    """Return the task of "train" or "train64": the first step of the recipe."""
    numba.set_num_threads(threads)
    x, labels = arrays["images"].transpose(0, 3, 1, 2), arrays["labels"]
    recipe = Recipe(
        model="speedrun",
        dataset="synthetic",
        data_sha256="",
        batch_size=len(x),
        precision=BF16 if contender.endswith("bf16") else FLOAT32,
        **CHOICES,
    )
    params, running = (tensors(arrays, prefix) for prefix in ("params/", "state/"))
    config = SpeedrunConfig(len(params["g1_bn1_beta"]), len(params["fc_weights"]))
    state = TrainingState.fresh(params, running)
    step = partial(
        training_step,
        state,
        x,
        labels,
        recipe.lr,
        config=config,
        recipe=recipe,
        whitening_steps=1,
    )

    def results(done):
        weights = {f"weights {n}": p for n, p in params.items() if n in done.grads}
        gradients = {f"gradient of {n}": g for n, g in done.grads.items()}
        return {"loss": np.array(done.loss)} | gradients | weights

    return Task(step, results)
