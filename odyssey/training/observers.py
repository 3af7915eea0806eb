"""Observers of a run: called after each step and epoch; their errors do not stop it."""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from odyssey.errors import reason, warn
from odyssey.training.evaluation import Evaluation
from odyssey.training.model import StepResult
from odyssey.training.signals import StopRequested
from odyssey.training.state import TrainingState


class Observer:
    """Base class of observers; its methods do nothing.

    An observer must not change its arguments.  After a resume it is called again for
    the steps after the checkpoint.  Time spent in `step` counts as training time.
    """

    def step(
        self,
        state: TrainingState,
        x: np.ndarray,
        labels: np.ndarray,
        result: StepResult,
        lr: float,
    ) -> None:
        """Observe an update; its number, from 1, is ``state.step``.

        A reference to ``result`` keeps all gradients in memory.
        """

    def epoch(
        self,
        state: TrainingState,
        row: Mapping[str, Any],
        results: Mapping[str, Evaluation],
    ) -> None:
        """Observe an epoch, or the part of one that ends the run.

        Its row of metrics, its weights and its checkpoint are on the disk.

        Parameters
        ----------
        row : the row of ``metrics.csv``; ``row["epoch"]`` counts from 1
        results : the evaluations "test" and, if there is a validation set, "val"
        """

    def has_epoch(self, state: TrainingState) -> bool:
        """Return whether an earlier session has called `epoch` with this state.

        Called once, at a resume: a run may be killed after its checkpoint was written
        and before its observers were called.  If False, `epoch` is called before any
        `step`.  If the earlier call was cut short, nothing may then be written twice.
        """
        return True

    def end(self, state: TrainingState) -> None:
        """Observe the end of the run, when the last weights are saved.

        This is called even if nothing was left to train, but not after a stop.
        """

    def close(self) -> None:
        """Close files; called once, however the run ends."""


class Observers:
    """Calls several observers, and continues without one that fails.

    Training matters more than what observes it: any `Exception` of an observer, except
    a request to stop, becomes a warning, and that observer is closed.
    """

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = list(observers)

    def tell(
        self, method: str, *args: Any, to: Iterable[Observer] | None = None
    ) -> None:
        """Call the method of this name of all observers, or of those in ``to``."""
        for observer in tuple(self._observers if to is None else to):
            self._call(observer, method, *args)

    def without_epoch(self, state: TrainingState) -> list[Observer]:
        """Return the observers that missed the epoch that ended in ``state``."""
        return [
            observer
            for observer in tuple(self._observers)
            if self._call(observer, "has_epoch", state) is False
        ]

    def _call(self, observer: Observer, method: str, *args: Any) -> Any:
        try:
            return getattr(observer, method)(*args)
        except StopRequested:
            raise
        except Exception as error:
            self._observers.remove(observer)
            name = type(observer).__name__
            warn(f"{name} failed, the run continues without it: {reason(error)}")
            if method != "close":
                with contextlib.suppress(Exception):
                    observer.close()

    def __enter__(self) -> "Observers":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.tell("close")
