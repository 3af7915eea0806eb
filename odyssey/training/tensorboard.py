"""Events of a run for TensorBoard: curves, histograms, pictures, the recipe.

Events and records are made by tensorboardX, but without `tensorboardX.SummaryWriter`:
after a failed write, its thread stops and the run hangs at its full queue.  Here each
event is written at once, and a failed write raises at that call.  Files also get other
names, see `event_files`.
"""

import contextlib
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from odyssey.data.dataset import CIFAR10_MEAN, CIFAR10_STD
from odyssey.errors import InputError, remedy
from odyssey.optim import global_grad_norm
from odyssey.training.evaluation import Evaluation
from odyssey.training.event_files import event_files, next_event_file, records
from odyssey.training.logs import naming
from odyssey.training.model import StepResult
from odyssey.training.observers import Observer
from odyssey.training.pictures import confusion_picture, contact_sheet, denormalize
from odyssey.training.recipe import Recipe
from odyssey.training.state import Tensors, TrainingState
from odyssey.weights.files import make_directory

VERSION = "brain.Event:2"  # of the format, the first event of a file
LAST = "epoch"  # the last tag written of each epoch
BINS = 64  # of a histogram
SHEET_COLUMNS, SHEET_IMAGES = 8, 64


class TensorBoard(Observer):
    """Writes a run as events into a folder.

    The step of an event is the number of updates done.  A restart mark hides the events
    of an earlier session for steps that this one repeats.

    Parameters
    ----------
    directory : created if needed
    recipe : the run's
    class_names : in the order of the labels
    every : steps between two events of loss, norms and histograms
    goes_on : whether ``directory`` may hold events already
    mean, std : of the images' normalisation, which is reversed to show them

    Raises
    ------
    InputError
        Without tensorboardX, or if there are events but not ``goes_on``.
    OSError
        If the folder cannot be written.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        recipe: Recipe,
        class_names: Sequence[str],
        *,
        every: int = 100,
        goes_on: bool = False,
        mean: Sequence[float] = CIFAR10_MEAN,
        std: Sequence[float] = CIFAR10_STD,
    ) -> None:
        tensorboardX, self._damaged = _import_tensorboardx()
        self._summary = tensorboardX.summary
        self._protocol = tensorboardX.proto.event_pb2
        self._written: set[str] = set()  # tags of an epoch that was cut short
        self.directory = Path(directory)
        self.recipe, self.class_names, self.every = recipe, class_names, every
        self._mean, self._std = mean, std
        if not goes_on and event_files(self.directory):
            raise InputError(
                f"{directory} already holds the events of a run"
                + remedy("events are there")
            )
        self._begun = False
        with naming(self.directory):
            make_directory(self.directory)
            self._earlier = event_files(self.directory)
            file = next_event_file(self.directory)
            self._records = tensorboardX.record_writer.RecordWriter(str(file))
        self._write_event(0, file_version=VERSION)

    def step(
        self,
        state: TrainingState,
        x: np.ndarray,
        labels: np.ndarray,
        result: StepResult,
        lr: float,
    ) -> None:
        """Write the session's start, and the numbers of each ``every``-th step."""
        if not self._begun:
            self._begin(state.step, x)
        if state.step % self.every == 0:
            scalars = {
                "loss/batch": result.loss,
                "accuracy/batch": result.correct / len(labels),
                "gradient_norm": result.grad_norm,
                "learning_rate": lr,
            }
            self._write_scalars(state.step, scalars)
            self._write_tensors(state.step, "weight", state.params)
            self._write_tensors(state.step, "gradient", result.grads or {})
            self._flush()

    def epoch(
        self,
        state: TrainingState,
        row: Mapping[str, Any],
        results: Mapping[str, Evaluation],
    ) -> None:
        """Write the row of metrics, and confusion matrices as pictures."""
        scalars = {}
        for column, value in row.items():
            part, _, quantity = column.rpartition("_")  # "train_loss" is "loss/train"
            measured = quantity in ("loss", "accuracy")
            scalars[f"{quantity}/{part}" if measured else column] = float(value)
        del scalars["lr"]  # the steps have it
        last = {LAST: scalars.pop(LAST)}
        for name, result in results.items():
            if (tag := f"confusion/{name}") not in self._written:
                picture = confusion_picture(result.confusion, self.class_names)
                self._write_picture(state.step, tag, picture)
        for tag, value in (scalars | last).items():
            if tag not in self._written:
                self._write_scalars(state.step, {tag: value})
        self._written = set()
        self._flush()

    def has_epoch(self, state: TrainingState) -> bool:
        """Return whether an earlier session wrote all tags of the epoch.

        If it was killed before, `epoch` writes the missing ones.
        """
        tags = self._tags_at(state.step)
        if LAST in tags:
            return True
        self._written = tags
        return False

    def _tags_at(self, step: int) -> set[str]:
        """Return the tags of a step that TensorBoard shows from earlier sessions."""
        tags, START = set(), self._protocol.SessionLog.START
        for path in reversed(self._earlier):
            hidden = False  # whether older files do not count for this step
            with contextlib.suppress(self._damaged):
                for record in records(path):
                    event = self._protocol.Event.FromString(record)
                    if event.step == step:
                        tags |= {value.tag for value in event.summary.value}
                    elif event.step > step:
                        break
                    hidden |= event.session_log.status == START
            if hidden:
                break
        return tags

    def end(self, state: TrainingState) -> None:
        """Write that the run has ended."""
        *_, session_end = self._hyperparameters()
        self._write(state.step, session_end)
        self._flush()

    def close(self) -> None:
        """Close the file."""
        with naming(self.directory):
            self._records.close()

    def _begin(self, step: int, x: np.ndarray) -> None:
        """Write the events that a session has once; ``step`` is its first."""
        self._begun = True
        # Hides the events of older files from this step on.
        restart = self._protocol.SessionLog(status=self._protocol.SessionLog.START)
        self._write_event(step, session_log=restart)
        lines = [f"| {name} | {value} |" for name, value in self._choices().items()]
        table = "\n".join(["| choice | |", "|---|---|", *lines])
        self._write(step, self._summary.text("recipe", table))
        experiment, session_start, _ = self._hyperparameters()
        self._write(step, experiment)
        self._write(step, session_start)
        columns = min(SHEET_COLUMNS, len(x))
        shown = x[: min(SHEET_IMAGES, len(x)) // columns * columns]
        images = denormalize(shown, self._mean, self._std)
        sheet = contact_sheet([images[j::columns] for j in range(columns)])
        self._write_picture(step, "training_images", sheet)
        self._flush()

    def _choices(self) -> dict[str, Any]:
        """Return the recipe as numbers, bools and text."""
        plain = (bool, int, float, str)
        return {
            name: value if isinstance(value, plain) else str(value)
            for name, value in self.recipe.to_dict().items()
        }

    def _hyperparameters(self) -> tuple[Any, Any, Any]:
        """Return the events of the tab "HParams": experiment, start and end."""
        results = dict.fromkeys(["loss/train", "loss/test", "accuracy/test"], 0.0)
        return self._summary.hparams(self._choices(), results)

    def _write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        for tag, value in scalars.items():
            self._write(step, self._summary.scalar(tag, value))

    def _write_tensors(self, step: int, kind: str, tensors: Tensors) -> None:
        """Write norms, and histograms of finite tensors."""
        for name, tensor in tensors.items():
            norm = global_grad_norm([tensor])
            self._write_scalars(step, {f"{kind}_norms/{name}": norm})
            if math.isfinite(norm):
                # float64, because 64 bins must fit between any two float32 numbers.
                values = tensor.ravel(order="K").astype(np.float64)
                counts, edges = np.histogram(values, BINS)
                histogram = self._summary.histogram_raw(
                    f"{kind}s/{name}",
                    min=values.min(),
                    max=values.max(),
                    num=values.size,
                    sum=values.sum(),
                    sum_squares=norm**2,
                    bucket_limits=edges[1:].tolist(),
                    bucket_counts=counts.tolist(),
                )
                self._write(step, histogram)

    def _write_picture(self, step: int, tag: str, pixels: np.ndarray) -> None:
        self._write(step, self._summary.image(tag, pixels, dataformats="HWC"))

    def _write(self, step: int, summary: Any) -> None:
        self._write_event(step, summary=summary)

    def _write_event(self, step: int, **content: Any) -> None:
        event = self._protocol.Event(step=step, wall_time=time.time(), **content)
        with naming(self.directory):
            self._records.write(event.SerializeToString())

    def _flush(self) -> None:
        with naming(self.directory):
            self._records.flush()


def _import_tensorboardx() -> tuple[ModuleType, type[Exception]]:
    """Return the module, and the error that damaged events raise."""
    try:
        import PIL.Image  # noqa: F401 - tensorboardX makes its PNGs with it
        import tensorboardX
        from google.protobuf.message import DecodeError
    except (ImportError, TypeError) as error:  # TypeError: an unsuitable protobuf
        raise InputError(
            "events for TensorBoard need tensorboardX and Pillow: pip install "
            f"tensorboardX pillow (the extra odyssey-by-hand[tensorboard]); {error}"
        ) from None
    return tensorboardX, DecodeError
