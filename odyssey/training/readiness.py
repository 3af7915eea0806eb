"""Compilation of a run's kernels before its first step is timed."""

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
    """Compile or load the kernels that a run needs; return a line to print.

    A step and a prediction are done on a copy of the state and discarded.  Values that
    are not finite are ignored here: the first real step reports them.
    """
    watch = Stopwatch()
    scratch = state.copy_tensors()
    with reporting(Counter(lines=True)) as counter, np.errstate(all="ignore"):
        with contextlib.suppress(NonFiniteError):
            (model.step_alone or model.train_step)(scratch, x, labels, lr)
        model.predictor(scratch)(x[:BATCH_SIZE])
    ready = f"kernels ready after {watch.lap():.1f} s"
    if not counter.compiled:
        return ready
    kept = "kept for the next start" if can_keep() else "not kept"
    return f"{ready}: {counter.compiled} compiled, {kept}"
