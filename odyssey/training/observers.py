"""What watches a run: told of each step and epoch, changes nothing, costs no run."""

import contextlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from odyssey.training.errors import os_reason, warn
from odyssey.training.evaluation import Evaluation
from odyssey.training.state import TrainingState

if TYPE_CHECKING:
    from odyssey.training.loop import StepResult


class Observer:
    """Base of what watches a run; its methods do nothing.

    An observer reads what it is given and changes none of it.  After a resume it is
    told again of what came after the checkpoint.  What it spends in `step` counts as
    training time.
    """

    def step(
        self,
        state: TrainingState,
        x: np.ndarray,
        labels: np.ndarray,
        result: "StepResult",
        lr: float,
    ) -> None:
        """Take note of an update, of which ``state.step`` is the number, from 1.

        Whoever keeps ``result`` keeps all gradients in memory.
        """

    def epoch(
        self,
        state: TrainingState,
        row: Mapping[str, Any],
        results: Mapping[str, Evaluation],
    ) -> None:
        """Take note of an epoch, number ``row["epoch"]`` from 1, or a part of one.

        Its row of metrics is on the disk, its weights and checkpoint not yet.

        Parameters
        ----------
        row : the row of ``metrics.csv``
        results : of the evaluations, by "test" and perhaps "val"
        """

    def end(self, state: TrainingState) -> None:
        """Take note that the last weights are saved, even if there was nothing to do.

        Not told to a run that is stopped on its way.
        """

    def close(self) -> None:
        """Let go of files; called once, whatever ends the run."""


class Observers:
    """Tells several observers, and goes on without one that cannot write.

    Hours of training are worth more than their picture: an `OSError` of an observer,
    a full disk say, becomes a warning, and that observer is closed.
    """

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = list(observers)

    def tell(self, what: str, *args: Any) -> None:
        """Call the method ``what`` of each."""
        for observer in tuple(self._observers):
            try:
                getattr(observer, what)(*args)
            except OSError as error:
                self._observers.remove(observer)
                name = type(observer).__name__
                warn(f"{name} failed, the run goes on without it: {os_reason(error)}")
                if what != "close":
                    with contextlib.suppress(OSError):
                        observer.close()

    def __enter__(self) -> "Observers":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.tell("close")
