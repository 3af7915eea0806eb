"""The training loop: epochs of batches, evaluated, logged and saved.

The loop knows a model only as the functions of `Model`.  It writes to the disk in
a fixed order: the lines of the logs, then the weights, then the checkpoint.  So
everything before a checkpoint is on the disk, and a resume removes the lines logged
after it and repeats those steps.  Only then is the epoch printed and passed to the
observers, because an error there must not lose what was learned.  If the run is killed
in between, the next session passes the epoch to the observers that missed it.

Several ranks run the same loop (`odyssey.distributed`), and only rank 0 writes.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import odyssey
from odyssey.data.loader import BatchLoader
from odyssey.distributed.agreement import AgreedStop, refuse_different
from odyssey.distributed.data_parallel import SOLO, DataParallel
from odyssey.distributed.evaluation import evaluate_together
from odyssey.distributed.placement import first_of_machine
from odyssey.errors import Interrupted, NonFiniteError, os_reason, remedy, warn
from odyssey.output import goes_on_unheard, say
from odyssey.training.clock import Stopwatch
from odyssey.training.crowded import Crowd
from odyssey.training.evaluation import Evaluation, evaluate
from odyssey.training.finite import nonfinite_names
from odyssey.training.logs import MetricsLog, NoLog, StepLog, naming
from odyssey.training.model import Model, StepResult
from odyssey.training.observers import Observer, Observers
from odyssey.training.progress import Progress
from odyssey.training.readiness import ready_kernels
from odyssey.training.recipe import Recipe
from odyssey.training.run_folder import RunFolder
from odyssey.training.signals import StopFlag, StopRequested
from odyssey.training.state import TrainingState
from odyssey.weights.changed_files import listed
from odyssey.weights.checkpoint import checkpoint_folder, save_checkpoint
from odyssey.weights.files import WeightsError

#: The weights are saved every so many epochs, at a stop and at the end.
WEIGHTS_EVERY = 10


@dataclass
class Trainer:
    """One session of training, from the position of ``state`` to the end."""

    recipe: Recipe
    model: Model
    state: TrainingState
    folder: RunFolder  # open
    train: BatchLoader
    evaluated: dict[str, BatchLoader]  # "test" and perhaps "val"
    stop: StopFlag | AgreedStop
    checkpoint_path: Path | None = None  # the newest; ``state`` was read from it
    max_steps: int | None = None  # stop after this number of updates in all
    keep: int = 2  # number of checkpoints to keep
    checkpoint_minutes: float | None = None  # longest time without a checkpoint
    log_interval: int = 20  # steps between two printed lines
    bar: bool | None = None  # see `Progress`
    observers: Sequence[Observer] = ()  # of rank 0
    parallel: DataParallel = SOLO  # that of the model's step

    def __post_init__(self) -> None:
        self._saved = self.checkpoint_path and self.state.position
        self._saved_at = time.monotonic()
        self.ranks = self.parallel.ranks
        self._agreed: AgreedStop | None = None
        if self.ranks.size > 1:
            assert isinstance(self.stop, StopFlag)
            self.stop = self._agreed = AgreedStop(self.stop, self.ranks)
            agreed = self._agreed
            self.parallel.news = lambda: (agreed.asked, float(self._is_due()))
        self._grad_norm = math.nan
        epochs, steps = self.recipe.epochs, self.train.num_batches
        self._lr = self._lr_at(max(0, self.state.step - 1))  # of the newest update
        self.last_step = epochs * steps
        if self.max_steps is not None:
            self.last_step = min(self.last_step, self.max_steps)
        self.progress = Progress(
            epochs,
            steps,
            self.last_step,
            self.log_interval,
            self.bar,
            self.recipe.mixes,
        )

    def finished(self) -> bool:
        """Return whether nothing is left to do."""
        return self.state.step >= self.last_step and not self.state.unreported

    def run(self) -> None:
        """Train to the end and call the observers.

        Raises
        ------
        Interrupted
            After a signal, when the checkpoint and the weights are written.
        NonFiniteError
            If a loss, gradient or weight is not finite; nothing of it is saved.
        """
        with goes_on_unheard(), Observers(self.observers) as self._observers:
            self._run()

    def _run(self) -> None:
        state = self.state
        if self.checkpoint_path is not None:
            say(f"resuming from {self.checkpoint_path}, {state.step} steps done")
        if self.finished():
            say(f"nothing left to do{remedy('nothing left')}")
            self._bring_weights_up_to_date()
        else:
            say(self.warm_up())
            self._saved_at = time.monotonic()  # compilation is nothing to lose
        self._open_logs()
        self._crowd = Crowd()
        try:
            for log in (self.steps_log, self.metrics_log):
                if log.warning:  # about lines that are lost
                    warn(log.warning)
            self._tell_what_was_missed()
            while not self.finished():
                self.train_epoch()
                self.finish_epoch()
            self._observers.tell("end", state)
        except StopRequested:
            self._refuse_nonfinite_state()
            self.checkpoint()
            self._save_weights_of_a_stop()
            self.ranks.wait()  # for what rank 0 writes: the first to end ends the job
            kept = f"checkpoint in {self.checkpoint_path}{remedy('stopped')}"
            assert self.stop.signum is not None  # it caused StopRequested
            raise Interrupted(self.stop.signum, kept) from None
        finally:
            self._crowd.restore()
            self.progress.end_epoch()
            self.steps_log.close()
            self.metrics_log.close()

    def _open_logs(self) -> None:
        """Open the logs; those of the ranks after the first are not kept."""
        state = self.state
        rows_done = state.epoch + (self.finished() and state.batch > 0)
        validation = "val" in self.evaluated
        self.steps_log: StepLog | NoLog = NoLog()
        self.metrics_log: MetricsLog | NoLog = NoLog()
        if self.ranks.first:
            self.steps_log = StepLog(self.folder.steps, state.step)
            self.metrics_log = MetricsLog(self.folder.metrics, rows_done, validation)

    def warm_up(self) -> str:
        """Compile the kernels before any step is timed; return a line to print.

        The first rank of a machine compiles, the others load what it kept.
        """
        x, labels = next(self.train.epoch(0))
        args = self.model, self.state, x, labels, self.recipe.lr
        compiles = first_of_machine(self.ranks)
        line = ready_kernels(*args) if compiles else ""
        self.ranks.wait()
        if not compiles:
            line = ready_kernels(*args)
        self.ranks.wait()
        return line

    def _bring_weights_up_to_date(self) -> None:
        """Save the weights unless those of this position are there and intact."""
        if not self.ranks.first:
            return
        if self.folder.saved_position() != (self.state.step, self.state.epoch):
            with naming(self.folder.path):
                self.model.save(self.state)
            say(f"weights saved from {self.checkpoint_path}")

    def _save_weights_of_a_stop(self) -> None:
        """Save the weights after a stop; an error is a warning: a checkpoint exists."""
        if not self.state.step:
            return
        try:
            self._bring_weights_up_to_date()
        except (OSError, WeightsError) as error:
            reason = os_reason(error) if isinstance(error, OSError) else error
            warn(f"the weights are not saved: {reason}")

    def train_epoch(self) -> None:
        """Train on the epoch's remaining batches, at most up to ``max_steps``."""
        state = self.state
        self.check_stop()
        self.progress.begin_epoch(state.epoch + 1, state.batch)
        watch = Stopwatch()
        for x, labels in self.train.epoch(state.epoch, start_batch=state.batch):
            if state.step >= self.last_step:
                break
            self._lr = self._lr_at(state.step)
            result = self._step(x, labels)
            self._grad_norm = result.grad_norm
            images = len(labels) if result.images is None else result.images
            state.count_step(result.loss, result.correct, images)
            self.steps_log.append(state.step, state.epoch + 1, self._lr, result.loss)
            seconds = watch.lap()
            state.sums.seconds += seconds
            self.progress.step(state, seconds)
            self._crowd.step(seconds)
            self._observers.tell("step", state, x, labels, result, self._lr)
            del result  # frees the gradients before the next step makes its own
            if self._agreed:
                self._agreed.learn(self.parallel.told[:, 0])
            self.stop.check()
            if self._is_due() if self.ranks.size == 1 else self.parallel.told[0, 1]:
                self._refuse_nonfinite_state()
                self.checkpoint()
        self.progress.end_epoch()

    def _lr_at(self, step: int) -> float:
        """Return the learning rate of the update after ``step`` others."""
        return self.recipe.lr_at(step, self.train.num_batches)

    @np.errstate(all="ignore")  # NaN and infinity are reported by name instead
    def _step(self, x: np.ndarray, labels: np.ndarray) -> StepResult:
        try:
            return self.model.train_step(self.state, x, labels, self._lr)
        except NonFiniteError as error:
            raise self._nonfinite(
                f"{error} at step {self.state.step + 1}, stopped before the update"
            ) from None

    def _nonfinite(self, message: str) -> NonFiniteError:
        return NonFiniteError(
            f"{message} (epoch {self.state.epoch + 1}, lr {self._lr:g}); "
            f"last good checkpoint: {self.checkpoint_path or 'none yet'}"
        )

    def finish_epoch(self) -> None:
        """Evaluate, log metrics, save weights and checkpoint, then call observers."""
        state, sums = self.state, self.state.sums
        self._refuse_nonfinite_state()
        refuse_different(self.ranks, state.tensors(), f"after step {state.step}")
        watch = Stopwatch()
        results = self._evaluate_all()
        seconds = watch.lap()
        self.progress.evaluation(seconds)
        for name, result in results.items():
            if not math.isfinite(result.loss):
                raise self._nonfinite(
                    f"{name} loss {result.loss} after step {state.step}, "
                    f"gradient norm {self._grad_norm:.6g}"
                )
        row: dict[str, float | str] = {
            "epoch": state.epoch + 1,
            "lr": self._lr,  # of the epoch's last update
            "train_loss": sums.mean_loss,
            "train_accuracy": sums.accuracy,
            "seconds": f"{sums.seconds + seconds:.3f}",
            "images_per_second": f"{sums.images_per_second:.2f}",
        }
        for name, result in results.items():
            row[f"{name}_loss"] = result.loss
            row[f"{name}_accuracy"] = result.accuracy
        self.metrics_log.append(row)
        state.finish_row(row)
        if state.batch == self.train.num_batches:
            state.finish_epoch()
        whole_epochs = state.batch == 0 and state.epoch % WEIGHTS_EVERY == 0
        if self.ranks.first and (self.finished() or whole_epochs):
            with naming(self.folder.path):
                self.model.save(state)
        self.checkpoint()
        self.progress.epoch_done(row)
        self._observers.tell("epoch", state, row, results)

    @np.errstate(all="ignore")
    def _evaluate_all(self) -> dict[str, Evaluation]:
        predict = self.model.predictor(self.state)
        if self._agreed:
            return {
                name: evaluate_together(predict, loader, self.ranks, self.check_stop)
                for name, loader in self.evaluated.items()
            }
        return {
            name: evaluate(predict, loader.epoch(0), before_batch=self.stop.check)
            for name, loader in self.evaluated.items()
        }

    def check_stop(self) -> None:
        """Raise `StopRequested` after a signal, on all ranks at once.  Collective."""
        if self._agreed:
            self._agreed.ask_all()
        else:
            self.stop.check()

    def _tell_what_was_missed(self) -> None:
        """Pass the newest epoch to observers that an earlier session did not reach."""
        state = self.state
        if state.row is None:
            return
        missed = self._observers.without_epoch(state)
        if self.ranks.from_first(bool(missed)):  # then all evaluate
            results = self._evaluate_all()
            self._observers.tell("epoch", state, state.row, results, to=missed)

    def checkpoint(self) -> None:
        """Save a checkpoint unless the newest one is of the same position."""
        state = self.state
        if self._saved == state.position:
            return
        if self.ranks.first:
            self._write_checkpoint()
        self.checkpoint_path = checkpoint_folder(self.folder.path, state.step)
        self._saved, self._saved_at = state.position, time.monotonic()

    def _write_checkpoint(self) -> None:
        self.steps_log.sync()
        with naming(self.folder.checkpoints):
            save_checkpoint(
                self.folder.path,
                self.state.step,
                self.state.tensors(),
                {
                    "odyssey": odyssey.__version__,
                    "recipe": self.recipe.to_dict(),
                    "counters": self.state.counters(),
                    "origin": dict(self.model.origin),
                },
                keep=self.keep,
            )

    def _is_due(self) -> bool:
        """Return whether the newest checkpoint is older than it should be."""
        if self.checkpoint_minutes is None:
            return False
        return time.monotonic() - self._saved_at >= 60 * self.checkpoint_minutes

    def _refuse_nonfinite_state(self) -> None:
        """Raise if the state is not finite, before it replaces a good checkpoint."""
        if bad := nonfinite_names(self.state.tensors()):
            raise self._nonfinite(
                f"not finite after step {self.state.step}: {listed(bad)}, "
                f"gradient norm {self._grad_norm:.6g}"
            )
