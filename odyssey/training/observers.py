"""What watches a run: told of each step and epoch, changes nothing, costs no run."""

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
        result: StepResult,
        lr: float,
    ) -> None:
        """Take note of an update, of which ``state.step`` is the number, from 1.

        Keeping ``result`` keeps all gradients in memory.
        """

    def epoch(
        self,
        state: TrainingState,
        row: Mapping[str, Any],
        results: Mapping[str, Evaluation],
    ) -> None:
        """Take note of an epoch, number ``row["epoch"]`` from 1, or a part of one.

        Its row of metrics, its weights and its checkpoint are on the disk.

        Parameters
        ----------
        row : the row of ``metrics.csv``
        results : of the evaluations, by "test" and perhaps "val"
        """

    def has_epoch(self, state: TrainingState) -> bool:
        """Tell whether `epoch` was called with this state, in an earlier session too.

        Asked once, at a resume: a run can be killed when its checkpoint is written and
        its observers have not heard yet.  If not, `epoch` is called before any `step`;
        a call that was cut short must then leave nothing twice.
        """
        return True

    def end(self, state: TrainingState) -> None:
        """Take note that the last weights are saved, even if there was nothing to do.

        Not told to a run that is stopped on its way.
        """

    def close(self) -> None:
        """Let go of files; called once, whatever ends the run."""


class Observers:
    """Tells several observers, and goes on without one that fails.

    Hours of training are worth more than their picture: any `Exception` of an observer
    but a request to stop, a full disk or a mistake of its own, becomes a warning, and
    that observer is closed.
    """

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = list(observers)

    def tell(
        self, what: str, *args: Any, whom: Iterable[Observer] | None = None
    ) -> None:
        """Call the method ``what`` of each, or of those in ``whom``."""
        for observer in tuple(self._observers if whom is None else whom):
            self._call(observer, what, *args)

    def without_epoch(self, state: TrainingState) -> list[Observer]:
        """Return those who have not heard of the epoch that ended in ``state``."""
        return [
            observer
            for observer in tuple(self._observers)
            if self._call(observer, "has_epoch", state) is False
        ]

    def _call(self, observer: Observer, what: str, *args: Any) -> Any:
        try:
            return getattr(observer, what)(*args)
        except StopRequested:
            raise
        except Exception as error:
            self._observers.remove(observer)
            name = type(observer).__name__
            warn(f"{name} failed, the run goes on without it: {reason(error)}")
            if what != "close":
                with contextlib.suppress(Exception):
                    observer.close()

    def __enter__(self) -> "Observers":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.tell("close")
