"""The state of a run between two batches, to and from a checkpoint."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from odyssey.errors import InputError
from odyssey.weights.changed_files import listed
from odyssey.weights.tensor_set import summary

Tensors = dict[str, np.ndarray]

#: Prefix of momentum buffers in a checkpoint, before the parameter's name.
VELOCITY = "momentum."

#: Prefix of averages in a checkpoint, before the parameter's or statistic's name.
AVERAGE = "ema."

#: Fields of `TrainingState` that are stored as they are.
COUNTERS = ("step", "epoch", "batch", "unreported")


@dataclass
class EpochSums:
    """Sums over the epoch so far; JSON keeps the floats exactly."""

    loss: float = 0.0  # sum over images of the losses of their batches
    correct: float = 0  # a whole number unless labels are mixed
    images: int = 0
    seconds: float = 0.0  # of the training steps and their batches

    @property
    def mean_loss(self) -> float:
        """Return the mean over the images so far."""
        return self.loss / self.images

    @property
    def accuracy(self) -> float:
        """Return the fraction of the images so far that were classified correctly."""
        return self.correct / self.images

    @property
    def images_per_second(self) -> float:
        """Return the speed of the training steps; 0 if no time has passed."""
        return self.images / self.seconds if self.seconds > 0 else 0.0


@dataclass(repr=False)
class TrainingState:
    """Everything that the next step depends on, besides the recipe and the data.

    Data order, augmentation and learning rate are pure functions of the recipe and the
    position, so the state of no random generator is stored.
    """

    params: Tensors
    running: Tensors  # batch norm's running statistics
    velocities: Tensors  # momentum buffers, with the parameters' names
    step: int = 0  # updates done in all
    epoch: int = 0  # epochs finished
    batch: int = 0  # batches done of the current epoch
    unreported: bool = False  # whether there were updates since the last row of metrics
    sums: EpochSums = field(default_factory=EpochSums)
    row: dict[str, Any] | None = None  # the last row of metrics; None after an update
    averages: Tensors = field(default_factory=dict)  # of params and running, or empty

    def __repr__(self) -> str:
        place = f"{self.step} steps, {self.epoch} epochs done"
        averaged = ", averages" if self.averages else ""
        return f"TrainingState({place}; {summary(self.params)}{averaged})"

    @classmethod
    def fresh(
        cls, params: Tensors, running: Tensors, averaged: bool = False
    ) -> "TrainingState":
        """Return the state before the first step, with zero momentum."""
        zeros = {name: np.zeros_like(param) for name, param in params.items()}
        averages = _copies({**params, **running}) if averaged else {}
        return cls(params, running, zeros, averages=averages)

    @property
    def position(self) -> tuple[int, int, bool]:
        """Return a key that differs between any two states of one run."""
        return self.step, self.epoch, self.unreported

    def learned(self) -> tuple[Tensors, Tensors]:
        """Return the parameters and running statistics to evaluate and to save.

        If there are averages, these are returned.
        """
        source = self.averages or {**self.params, **self.running}
        return (
            {name: source[name] for name in self.params},
            {name: source[name] for name in self.running},
        )

    def tensors(self) -> Tensors:
        """Return all tensors under the names they have in a checkpoint."""
        velocities = {VELOCITY + name: v for name, v in self.velocities.items()}
        averages = {AVERAGE + name: a for name, a in self.averages.items()}
        return {**self.params, **self.running, **velocities, **averages}

    def counters(self) -> dict[str, Any]:
        """Return everything besides the tensors, as plain JSON values."""
        counters = {name: getattr(self, name) for name in COUNTERS}
        return {**counters, "sums": asdict(self.sums), "row": self.row}

    def restore(
        self, tensors: Mapping[str, np.ndarray], counters: Mapping[str, Any]
    ) -> None:
        """Restore a checkpoint of a run with the same recipe.

        Values are copied into the existing arrays, so that a resumed run has the same
        memory layouts, and with them the same order of every sum.

        Raises
        ------
        InputError
            If a tensor is missing, unexpected or of another shape or dtype.
        """
        own = self.tensors()
        problems = [f"no {n}" for n in own if n not in tensors]
        problems += [f"unexpected {n}" for n in tensors if n not in own]
        problems += [
            f"{n} is {tensors[n].dtype} {tensors[n].shape}, not {t.dtype} {t.shape}"
            for n, t in own.items()
            if n in tensors
            and (tensors[n].dtype, tensors[n].shape) != (t.dtype, t.shape)
        ]
        if problems:
            raise InputError(f"the checkpoint is of another model: {listed(problems)}")
        for name, tensor in own.items():
            np.copyto(tensor, tensors[name])
        self.set_counters(counters)

    def set_counters(self, counters: Mapping[str, Any]) -> None:
        """Set what `counters` returns."""
        for name in COUNTERS:
            setattr(self, name, counters[name])
        self.sums = EpochSums(**counters["sums"])
        self.row = counters.get("row")  # older checkpoints have none

    def copy_tensors(self) -> "TrainingState":
        """Return a state with copies of the tensors, at step 0."""
        return TrainingState(
            _copies(self.params),
            _copies(self.running),
            _copies(self.velocities),
            averages=_copies(self.averages),
        )

    def count_step(self, loss: float, correct: float, images: int) -> None:
        """Count an update; ``loss`` is the mean over its ``images``."""
        self.step += 1
        self.batch += 1
        self.unreported, self.row = True, None
        self.sums.loss += loss * images
        self.sums.correct += correct
        self.sums.images += images

    def finish_row(self, row: dict[str, Any]) -> None:
        """Record the row of metrics of the updates so far."""
        self.unreported, self.row = False, row

    def finish_epoch(self) -> None:
        """Move on to the first batch of the next epoch."""
        self.epoch += 1
        self.batch = 0
        self.sums = EpochSums()


def learned_tensors(tensors: Mapping[str, np.ndarray]) -> Tensors:
    """Return a checkpoint's tensors that `TrainingState.learned` gives, by their names.

    Parameters
    ----------
    tensors : named as `TrainingState.tensors` names them
    """
    averages = {
        name.removeprefix(AVERAGE): tensor
        for name, tensor in tensors.items()
        if name.startswith(AVERAGE)
    }
    return averages or {
        name: tensor
        for name, tensor in tensors.items()
        if not name.startswith(VELOCITY)
    }


def _copies(tensors: Tensors) -> Tensors:
    """Return copies with the same memory layouts."""
    return {name: tensor.copy(order="K") for name, tensor in tensors.items()}
