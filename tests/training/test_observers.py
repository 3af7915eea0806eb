"""What a run tells those who watch it, and that they can do it no harm."""

import errno
import gc
import os
import signal
import weakref

import numpy as np
import pytest
from standin import losses, metrics, run, train_step
from test_loop import same_run

from odyssey.errors import Interrupted, NonFiniteError
from odyssey.training.observers import Observer
from odyssey.training.signals import StopRequested
from odyssey.weights.checkpoint import list_checkpoints


class Recorder(Observer):
    """Writes down what it is told, with ``state.step`` at that moment."""

    def __init__(self):
        self.told, self.rows, self.results = [], [], []

    def step(self, state, x, labels, result, lr):
        assert len(x) == len(labels) == 8
        assert result.grads["w"].shape == state.params["w"].shape
        assert np.linalg.norm(result.grads["w"]) == pytest.approx(result.grad_norm)
        self.told.append(("step", state.step, lr, result.loss))

    def epoch(self, state, row, results):
        self.told.append(("epoch", state.step))
        self.rows.append(dict(row))
        self.results.append(results)

    def end(self, state):
        self.told.append(("end", state.step))

    def close(self):
        self.told.append(("close",))

    @property
    def order(self):
        return [told[:2] for told in self.told]


def whole_order(first, last):
    """Return what a run from step ``first`` to ``last`` tells, five steps an epoch."""
    told = []
    for step in range(first, last + 1):
        told += [("step", step)] + [("epoch", step)] * (step % 5 == 0)
    return [*told, ("end", last), ("close",)]


class Failing(Observer):
    """Raises from the call number ``fails_at`` of method ``what`` on."""

    def __init__(self, what, fails_at=1, error=ZeroDivisionError()):  # noqa: B008
        self.calls, self.what, self.fails_at = [], what, fails_at
        self.error = error

    def _call(self, what):
        self.calls.append(what)
        if what == self.what and self.calls.count(what) >= self.fails_at:
            raise self.error

    def step(self, *args):
        self._call("step")

    def epoch(self, *args):
        self._call("epoch")

    def end(self, *args):
        self._call("end")

    def close(self):
        self._call("close")


def test_what_is_told_and_when(tmp_path):
    recorder = Recorder()
    run(tmp_path, observers=[recorder])
    assert recorder.order == whole_order(1, 15)
    steps = [told for told in recorder.told if told[0] == "step"]
    assert [lr for *_, lr, _ in steps] == [0.1] * 10 + [0.1 * 0.2] * 5
    for line, (*_, loss) in zip(losses(tmp_path), steps, strict=True):
        assert loss.hex() in line
    for line, row in zip(metrics(tmp_path)[1:], recorder.rows, strict=True):
        assert line == [str(value) for value in row.values()][:4] + line[4:]
        assert float(line[4]) == row["test_loss"]
    for row, results in zip(recorder.rows, recorder.results, strict=True):
        assert results["test"].accuracy == row["test_accuracy"]
        assert results["test"].confusion.sum() == 25


def test_an_epoch_is_saved_then_printed_then_told(tmp_path, capsys):
    def epoch(state, row, results):
        n = row["epoch"]
        (*_, newest) = list_checkpoints(tmp_path)
        assert newest.name == f"step-{5 * n:08d}"
        assert metrics(tmp_path)[-1][0] == str(n)
        assert (tmp_path / "w.weights").exists() == (n == 3)
        assert capsys.readouterr().out.splitlines()[-1].startswith(f"epoch {n}/3 done")
        told.append((n, state.epoch, state.batch))

    observer, told = Observer(), []
    observer.epoch = epoch
    run(tmp_path, observers=[observer])
    assert told == [(1, 1, 0), (2, 2, 0), (3, 3, 0)]


class Remembering(Observer):
    """Knows what it was told as long as this process lasts; can be killed meanwhile."""

    def __init__(self, known, killed_at=None):
        self.known, self.killed_at = known, killed_at

    def epoch(self, state, row, results):
        if row["epoch"] == self.killed_at:
            raise Killed
        self.known.append((state.step, dict(row), results["test"].loss))

    def has_epoch(self, state):
        return state.step in [step for step, *_ in self.known]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("epoch", [1, 3])
def test_who_was_not_told_before_a_kill_is_told_after_it(tmp_path, epoch):
    expected, known, knew = [], [], []
    run(tmp_path / "whole", observers=[Remembering(expected)])
    with pytest.raises(Killed):
        observers = [Remembering(knew), Remembering(known, killed_at=epoch)]
        run(tmp_path / "run", observers=observers)
    assert [step for step, *_ in knew] == [5, 10, 15][:epoch]
    before = knew[-1]
    observers = [Remembering(knew), Remembering(known), recorder := Recorder()]
    run(tmp_path / "run", resume=True, observers=observers)
    assert recorder.order == whole_order(5 * epoch + 1, 15)[-len(recorder.order) :]
    for rows in (known, knew):
        assert [step for step, *_ in rows] == [5, 10, 15]
        assert [loss for *_, loss in rows] == [loss for *_, loss in expected]
    assert known[epoch - 1] == before  # to the last digit of its seconds
    same_run(tmp_path / "run", tmp_path / "whole")


def test_a_run_that_is_watched_has_the_same_bits(tmp_path):
    run(tmp_path / "alone")
    run(tmp_path / "watched", observers=[Recorder(), Failing("step", 3), Observer()])
    same_run(tmp_path / "watched", tmp_path / "alone")


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/full/events")
ERRORS = {
    f"/full/events: {os.strerror(errno.ENOSPC)}": FULL,
    "MemoryError": MemoryError(),
    "EOFError: Ran out of input": EOFError("Ran out of\ninput"),
    "NonFiniteError: loss nan": NonFiniteError("loss nan"),
}


@pytest.mark.parametrize("what", ["step", "epoch", "end", "close"])
@pytest.mark.parametrize("reason", ERRORS)
def test_an_observer_that_fails_is_left_out(tmp_path, capsys, what, reason):
    fails_at = 2 if what in ("step", "epoch") else 1
    failing, recorder = Failing(what, fails_at, ERRORS[reason]), Recorder()
    run(tmp_path, observers=[failing, recorder])
    assert recorder.order == whole_order(1, 15)
    assert len(losses(tmp_path)) == 15
    assert failing.calls.count(what) == fails_at
    assert failing.calls.count("close") == 1
    assert failing.calls[-1] == "close"
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning == (
        f"Warning: Failing failed, the run continues without it: {reason}"
    )
    assert [p.name for p in list_checkpoints(tmp_path)][-1] == "step-00000015"


def test_an_observer_that_cannot_be_closed_either_is_warned_of_once(tmp_path, capsys):
    failing = Failing("step", 1)
    failing.close = lambda: failing.calls.append("close") or 1 / 0
    run(tmp_path, observers=[failing])
    assert failing.calls == ["step", "close"]
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, StopRequested])
@pytest.mark.parametrize("what", ["step", "epoch"])
def test_what_ends_a_run_ends_it_from_within_an_observer(tmp_path, what, error):
    def hook(trainer):
        trainer.stop.signum = signal.SIGTERM if error is StopRequested else None
        trainer.stop.check = lambda: None

    ended = Interrupted if error is StopRequested else error
    with pytest.raises(ended):
        run(tmp_path, observers=[Failing(what, 2, error())], hook=hook)
    assert len(losses(tmp_path)) == (2 if what == "step" else 10)


def test_close_after_a_signal_and_steps_told_again_after_a_resume(tmp_path):
    def signalled(state, x, labels, lr):
        if state.step == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return train_step(state, x, labels, lr)

    first, second, third = Recorder(), Recorder(), Recorder()
    with pytest.raises(Interrupted):
        run(tmp_path, step=signalled, observers=[first])
    assert first.order[-2:] == [("step", 7), ("close",)]
    run(tmp_path, resume=True, observers=[second])
    assert second.order == whole_order(8, 15)
    run(tmp_path, resume=True, observers=[third])
    assert third.order == [("end", 15), ("close",)]


def test_close_after_an_error(tmp_path):
    def spoilt(state, x, labels, lr):
        return train_step(state, x * np.float32(np.nan), labels, lr)

    recorder = Recorder()
    with pytest.raises(NonFiniteError):
        run(tmp_path / "nan", step=spoilt, observers=[recorder])
    assert recorder.order == [("close",)]

    def hook(trainer):
        trainer.warm_up = None  # a mistake before the first step

    with pytest.raises(TypeError):
        run(tmp_path / "error", observers=[recorder], hook=hook)
    assert recorder.order == [("close",)] * 2


def test_gradients_are_freed_before_the_next_step(tmp_path):
    grads = []

    def step(state, x, labels, lr):
        assert all(grad() is None for grad in grads)
        result = train_step(state, x, labels, lr)
        grads.append(weakref.ref(result.grads["w"]))
        return result

    gc.disable()
    try:
        run(tmp_path, step=step, observers=[Recorder()])
    finally:
        gc.enable()
    assert len(grads) == 16  # the first is that of warming up
