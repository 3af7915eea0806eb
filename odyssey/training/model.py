"""A model as training sees it: three functions, and the result of a step."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from odyssey.training.state import Tensors, TrainingState


class StepResult(NamedTuple):
    """The result of a training step."""

    loss: float  # mean over the batch
    correct: float  # images classified correctly before the update, see `count_correct`
    grad_norm: float  # 2-norm of all gradients together
    grads: Tensors | None = None  # as the update used them, for observers
    images: int | None = None  # in the batch of all ranks; None: as many as were given

    def __repr__(self) -> str:
        loss, norm = f"loss {self.loss:.6g}", f"gradient norm {self.grad_norm:.6g}"
        return f"StepResult({loss}, {self.correct} correct, {norm})"


class Model(NamedTuple):
    """A model as training sees it.

    ``train_step(state, x, labels, lr)`` does one update of the tensors of ``state``, or
    raises `NonFiniteError` before it.  ``predictor(state)`` returns a function from
    images to logits (N, K), valid until the state changes.  ``save(state)`` writes the
    weights into the run's folder, with ``step`` and ``epoch`` in their manifest.
    ``origin`` is JSON for each checkpoint: facts that the recipe lacks, such as the
    names of the classes.  ``step_alone`` is ``train_step`` without an exchange with
    other ranks, where there are any: to compile, and to time.
    """

    train_step: Callable[[TrainingState, np.ndarray, np.ndarray, float], StepResult]
    predictor: Callable[[TrainingState], Callable[[np.ndarray], np.ndarray]]
    save: Callable[[TrainingState], None]
    origin: Mapping[str, Any] = MappingProxyType({})
    step_alone: Callable[..., StepResult] | None = None  # without other ranks
