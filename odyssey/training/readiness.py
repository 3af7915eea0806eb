"""Kernels are compiled before the clock of a run starts, and that is said."""

import contextlib

import numpy as np

from odyssey.compiling import Counter, reporting
from odyssey.errors import NonFiniteError
from odyssey.kernel_cache import can_keep
from odyssey.training.clock import Stopwatch
from odyssey.training.evaluation import BATCH_SIZE
from odyssey.training.model import Model
from odyssey.training.state import TrainingState


def ready_kernels(
    model: Model, state: TrainingState, x: np.ndarray, labels: np.ndarray, lr: float
) -> str:
    """Compile or load the kernels that a run will need; return what to say of it.

    A step and a prediction are done with a copy of the state and thrown away.  What is
    not finite, or too large, in them is for the first real step to say.
    """
    watch = Stopwatch()
    scratch = state.copy_tensors()
    with reporting(Counter(lines=True)) as counter, np.errstate(all="ignore"):
        with contextlib.suppress(NonFiniteError):
            model.train_step(scratch, x, labels, lr)
        model.predictor(scratch)(x[:BATCH_SIZE])
    ready = f"kernels ready after {watch.lap():.1f} s"
    if not counter.compiled:
        return ready
    kept = "kept for the next start" if can_keep() else "not kept"
    return f"{ready}: {counter.compiled} compiled, {kept}"
