"""Progress of a run: a bar on a terminal, plain lines anywhere else."""

import statistics
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from odyssey.output import is_terminal, progress_bar, say
from odyssey.training.state import TrainingState

#: Number of steps from which the remaining time is estimated.
RECENT = 101


def duration(seconds: float) -> str:
    """Return a duration as ``1:02:03``, or ``2 d 1:02:03`` if it has days."""
    minutes, s = divmod(round(max(0.0, seconds)), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    return (f"{days} d " if days else "") + f"{h}:{m:02}:{s:02}"


@dataclass
class Progress:
    """Shows epoch, step, loss, accuracy, images/s and the remaining time (ETA)."""

    epochs: int
    steps_per_epoch: int
    last_step: int  # number of the run's last update, from 1
    interval: int = 20  # steps between two plain lines
    bar: bool | None = None  # draw a bar on stderr; None: if it is a terminal
    mixed: bool = False  # whether the training accuracy is that of mixed labels

    def __post_init__(self) -> None:
        self.use_bar = is_terminal(sys.stderr) if self.bar is None else self.bar
        self._of = " of mixed labels" if self.mixed else ""
        self._bar: tqdm | None = None
        self._seconds: deque[float] = deque(maxlen=RECENT)  # of the newest steps
        self._evaluation_seconds = 0.0

    def begin_epoch(self, epoch: int, batch: int) -> None:
        """Start the bar of an epoch (from 1) after ``batch`` of its batches."""
        if self.use_bar:
            self._bar = progress_bar(
                total=self.steps_per_epoch,
                initial=batch,
                desc=f"epoch {epoch}/{self.epochs}",
                bar_format="{desc} |{bar}| {n_fmt}/{total_fmt}{postfix}",
            )

    def step(self, state: TrainingState, seconds: float) -> None:
        """Show a step that took ``seconds``, and the epoch's loss and accuracy."""
        self._seconds.append(seconds)
        sums = state.sums
        numbers = f"loss {sums.mean_loss:.4f}, accuracy {sums.accuracy:.2%}{self._of}, "
        numbers += f"{sums.images_per_second:.1f} images/s, ETA {self.eta(state.step)}"
        if self._bar is not None:
            self._bar.set_postfix_str(numbers, refresh=False)
            self._bar.update()
        elif state.step % self.interval == 0:
            epoch = f"epoch {state.epoch + 1}/{self.epochs}"
            say(f"{epoch}, step {state.step}/{self.last_step}: {numbers}")

    def eta(self, step: int) -> str:
        """Estimate the time of the steps and evaluations after ``step``.

        The median of recent steps counts, so that neither slow first steps nor a busy
        hour before affect it.
        """
        left = self.last_step - step
        steps = left * statistics.median(self._seconds or [0.0])
        evaluations = -(-left // self.steps_per_epoch) * self._evaluation_seconds
        return duration(steps + evaluations)

    def evaluation(self, seconds: float) -> None:
        """Record the duration of an evaluation, for the remaining time."""
        self._evaluation_seconds = seconds

    def end_epoch(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def epoch_done(self, row: Mapping[str, Any]) -> None:
        """Print the row of metrics of a finished epoch as a line."""
        parts = [f"lr {row['lr']:g}"]
        for name in ("train", "val", "test"):
            if f"{name}_loss" in row:
                loss, accuracy = row[f"{name}_loss"], row[f"{name}_accuracy"]
                of = self._of if name == "train" else ""
                parts.append(f"{name} loss {loss:.4f} accuracy {accuracy:.2%}{of}")
        parts.append(f"{float(row['seconds']):.1f} s")
        parts.append(f"{float(row['images_per_second']):.1f} images/s")
        say(f"epoch {row['epoch']}/{self.epochs} done: " + ", ".join(parts))
