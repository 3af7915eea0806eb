"""Small files that a run writes for its report, beside the metrics.

::

    evaluation.npz    prediction for each test and validation image, see `encode`
    environment.json  each session: command, times, steps, versions, processor
    profile.json      time per layer in a step

The first two are written after every epoch, so that a report can be made of a run in
progress, the last one at the end.
"""

import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

import numba
import numpy as np

from odyssey.errors import NonFiniteError, warn
from odyssey.info import collect
from odyssey.training.evaluation import Evaluation
from odyssey.training.model import StepResult
from odyssey.training.observers import Observer
from odyssey.training.profile import profile
from odyssey.training.run_folder import ENVIRONMENT, EVALUATION, PROFILE
from odyssey.training.state import TrainingState
from odyssey.weights.files import atomic_write_bytes, atomic_write_text, file_size
from odyssey.weights.strict_json import parse_json

#: Most pictures stored of images that were classified wrongly with high probability.
MOST_MISTAKES = 24


class Keepsakes(Observer):
    """Writes the files that `odyssey.report` reads.

    Parameters
    ----------
    folder : of the run
    train_step : the model's, see `odyssey.training.model.Model`
    held_out : for "test", and for "val" if there is one, images (N, C, H, W) uint8 and
        labels (N,) in the order of evaluation
    class_names : one for each label; further outputs are numbered
    """

    def __init__(
        self,
        folder: Path,
        train_step: Callable[..., object],
        held_out: Mapping[str, tuple[np.ndarray, np.ndarray]],
        class_names: Sequence[str],
    ) -> None:
        self._folder, self._train_step = folder, train_step
        self._held_out, self._class_names = held_out, class_names
        self._started = _now()
        self._first_step: int | None = None
        # (x, labels, lr) of the largest batch of this session
        self._batch: tuple[np.ndarray, np.ndarray, float] | None = None
        self._session: dict[str, Any] | None = None  # what stays the same in it

    def step(
        self,
        state: TrainingState,
        x: np.ndarray,
        labels: np.ndarray,
        result: StepResult,
        lr: float,
    ) -> None:
        """Keep the largest batch for `end`; the last of an epoch may be short."""
        if self._batch is None:
            self._first_step = state.step
        if self._batch is None or len(x) > len(self._batch[0]):
            self._batch = x, labels, lr

    def epoch(
        self,
        state: TrainingState,
        row: Mapping[str, Any],
        results: Mapping[str, Evaluation],
    ) -> None:
        """Write the evaluation and the sessions."""
        data = encode(results, self._held_out, self._class_names, row["epoch"])
        atomic_write_bytes(self._folder / EVALUATION, data)
        if self._session is None:
            size = sum(param.size for param in state.params.values())
            self._session = {"command": command(), "parameters": size, **machine()}
        session = self._session | {
            "started": self._started,
            "ended": max(_now(), self._started),  # the clock may have been set back
            "first_step": self._first_step or state.step,
            "last_step": state.step,
        }
        write_json(self._folder / ENVIRONMENT, {"sessions": [*self._earlier, session]})

    def has_epoch(self, state: TrainingState) -> bool:
        """Return whether both files of this epoch were written."""
        *_, newest = [{}, *self._earlier]
        written = (self._folder / EVALUATION).exists()
        return written and newest.get("last_step") == state.step

    def end(self, state: TrainingState) -> None:
        """Time the layers on a copy of the state, unless nothing was trained."""
        if self._batch is None:
            return
        scratch, (x, labels, lr) = state.copy_tensors(), self._batch
        try:
            times = profile(lambda: self._train_step(scratch, x, labels, lr))
        except NonFiniteError:  # the run did not do this step
            return
        about = {"batch_size": len(x), "threads": numba.get_num_threads()}
        write_json(self._folder / PROFILE, about | times)

    @cached_property
    def _earlier(self) -> list[dict[str, Any]]:
        return earlier_sessions(self._folder / ENVIRONMENT)


def encode(
    results: Mapping[str, Evaluation],
    held_out: Mapping[str, tuple[np.ndarray, np.ndarray]],
    class_names: Sequence[str],
    epoch: int,
) -> bytes:
    """Return ``evaluation.npz``, which ``np.load`` reads without pickle.

    ======================== ===================== ================================
    class_names              (K,) text             one for each output of the model
    epoch                    () int64              the last one trained, from 1
    ``<part>``_labels        (N,) int64            true classes
    ``<part>``_predicted     (N,) int64            classes of the greatest probability
    ``<part>``_probability   (N,) float32          that probability
    ``<part>``_mistakes      (M,) int64            images classified wrongly, the surest
                                                   first, up to `MOST_MISTAKES`
    ``<part>``_pictures      (M, C, H, W) uint8    those images
    ======================== ===================== ================================

    where ``<part>`` is "test", or "val" if there is a validation set.
    """
    K = max(len(result.confusion) for result in results.values())
    numbered = (f"class {k}" for k in range(len(class_names), K))
    names = np.array([*class_names, *numbered])
    arrays: dict[str, Any] = {"class_names": names, "epoch": epoch}
    for part, result in results.items():
        images, labels = held_out[part]
        wrong = np.flatnonzero(result.predicted != labels)
        surest_first = np.argsort(-result.probability[wrong], kind="stable")
        mistakes = wrong[surest_first[:MOST_MISTAKES]]
        arrays |= {
            f"{part}_labels": labels.astype(np.int64),
            f"{part}_predicted": result.predicted,
            f"{part}_probability": result.probability,
            f"{part}_mistakes": mistakes,
            f"{part}_pictures": np.ascontiguousarray(images[mistakes]),
        }
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def earlier_sessions(path: Path) -> list[dict[str, Any]]:
    """Return the sessions that ``environment.json`` lists; none if it is damaged."""
    try:
        file_size(path)  # refuses a pipe: reading it may hang
        found = parse_json(path.read_bytes())["sessions"]
        if not all(isinstance(session, dict) for session in found):
            raise TypeError
        return list(found)
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError):
        warn(f"{path}: damaged, earlier sessions of this run are lost")
        return []


def command() -> list[str]:
    """Return the program's name without its folder, and its arguments."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]


def machine() -> dict[str, Any]:
    """Return the facts of `odyssey.info` without paths, and MPI's on several ranks."""
    known = collect()
    names = ("versions", "platform", "cpu", "simd", "vector_bytes", "cores", "threads")
    facts = {name: known[name] for name in names}
    if mpi := known["mpi"]:
        facts["mpi"] = mpi | {"ranks": len(mpi["ranks"])}  # not where each runs
    return facts


def write_json(path: Path, value: Any) -> None:
    """Replace a file by ``value`` as JSON."""
    atomic_write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
