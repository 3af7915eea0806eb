"""A model of three lines and data of forty points, to train in milliseconds.

All in NumPy: a child made by `os.fork` must not call a parallel kernel.
"""

import math
import os

import numpy as np

from odyssey.errors import NonFiniteError
from odyssey.training.loop import Trainer
from odyssey.training.model import Model, StepResult
from odyssey.training.recipe import Recipe
from odyssey.training.resume import begin
from odyssey.training.run_folder import RunFolder
from odyssey.training.signals import StopFlag
from odyssey.training.state import TrainingState
from odyssey.weights.folder import save_folder

CLASSES = 10


class Batches:
    """Points (N, 5) of which the class is the place of the largest coordinate."""

    def __init__(self, n=40, batch_size=8, seed=1):
        self.points = np.random.default_rng(seed).standard_normal((n, 5)).astype("f4")
        self.labels = self.points.argmax(axis=1)
        self.batch_size = batch_size
        self.num_batches = -(-n // batch_size)

    def epoch(self, epoch, start_batch=0):
        order = np.random.default_rng([7, epoch]).permutation(len(self.labels))
        for start in range(start_batch * self.batch_size, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            yield self.points[chosen], self.labels[chosen]


def fresh_state():
    weights = np.random.default_rng(3).standard_normal((CLASSES, 5)).astype("f4")
    return TrainingState.fresh({"w": weights}, {"mean": np.zeros(5, "f4")})


def train_step(state, x, labels, lr):
    logits = x @ state.params["w"].T
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = float(-np.log(p[rows, labels]).mean())
    p[rows, labels] -= 1
    grad = p.T @ x / np.float32(len(labels))
    norm = float(np.linalg.norm(grad))
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise NonFiniteError(f"loss {loss}, gradient norm {norm}")
    state.velocities["w"] *= np.float32(0.9)
    state.velocities["w"] += grad
    state.params["w"] -= np.float32(lr) * state.velocities["w"]
    mean = np.float32(0.9) * state.running["mean"] + np.float32(0.1) * x.mean(axis=0)
    state.running = {"mean": mean}
    correct = int((logits.argmax(axis=1) == labels).sum())
    return StepResult(loss, correct, norm, {"w": grad})


def predictor(state):
    mean, w = state.running["mean"].copy(), state.params["w"].copy()
    return lambda x: (x - mean) @ w.T


def recipe(**changes):
    choices = {"epochs": 3, "batch_size": 8, "lr": 0.1, "lr_decay_epochs": 2}
    return Recipe("standin", "points", "none", **{**choices, **changes})


def saver(directory):
    def save(state):
        tensors = {**state.params, **state.running}
        position = {"step": state.step, "epoch": state.epoch}
        save_folder(tensors, directory, metadata={"model": "standin", **position})

    return save


def run(
    directory, *, resume=False, changes=None, step=train_step, hook=None, **options
):
    """Train in ``directory`` and return the state at the end."""
    made = recipe(**(changes or {}))
    with StopFlag() as stop, RunFolder(directory) as folder:
        state = fresh_state()
        checkpoint = begin(folder, state, made, resume=resume)
        model = Model(step, predictor, saver(folder.path))
        held_out = {"test": Batches(25, 10, seed=2)}
        trainer = Trainer(
            made, model, state, folder, Batches(), held_out, stop, checkpoint, **options
        )
        if hook is not None:
            hook(trainer)
        trainer.run()
    return state


def in_child(function):
    """Run ``function`` in a forked child; return its exit status or -signal."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            function()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def losses(directory):
    """Return the lines of the step log, which hold the losses to the last bit."""
    return (directory / "steps.jsonl").read_text().splitlines()


def metrics(directory):
    """Return the rows of metrics without the two columns of times."""
    lines = (directory / "metrics.csv").read_text().splitlines()
    return [line.split(",")[:-2] for line in lines]
