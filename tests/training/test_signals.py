import os
import signal
import sys
import threading
import time

import pytest
from standin import in_child, losses, run, train_step

from odyssey.cli.program import exit_statuses
from odyssey.errors import Interrupted
from odyssey.training.signals import (
    SIGNALS,
    STOP_WITH_STDIN,
    StopFlag,
    StopRequested,
)


def test_which_signals():
    names = ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"]
    assert [signum.name for signum in SIGNALS] == names


@pytest.mark.parametrize("signum", SIGNALS)
def test_first_signal_only_raises_the_flag(signum, capfd):
    before = signal.getsignal(signum)
    with StopFlag() as stop:
        stop.check()
        os.kill(os.getpid(), signum)
        assert stop.signum == signum
        with pytest.raises(StopRequested):
            stop.check()
    assert signal.getsignal(signum) is before
    assert "next batch" in capfd.readouterr().err


@pytest.mark.parametrize("signum", SIGNALS)
def test_second_signal_quits_at_once(signum):
    def child():
        with StopFlag():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signum)
            time.sleep(10)

    assert in_child(child) == 128 + signum


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_that_is_ignored_stays_so(signum):
    before = signal.signal(signum, signal.SIG_IGN)
    try:
        with StopFlag() as stop:
            os.kill(os.getpid(), signum)
            stop.check()
        assert signal.getsignal(signum) == signal.SIG_IGN
    finally:
        signal.signal(signum, before)


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_run_is_saved_and_its_status_names_the_signal(tmp_path, signum, capfd):
    def signalled(state, x, labels, lr):
        if state.step == 6:
            os.kill(os.getpid(), signum)
        return train_step(state, x, labels, lr)

    with pytest.raises(SystemExit) as ended, exit_statuses():
        run(tmp_path, step=signalled)
    assert ended.value.code == 128 + signum
    assert (tmp_path / "checkpoints" / "step-00000007").is_dir()
    message = f"stopped by {signum.name}: checkpoint in {tmp_path}"
    assert message in capfd.readouterr().err


def in_thread(function):
    """Return what ``function`` returns, or the exception, in another thread."""
    result = []

    def call():
        try:
            result.append(function())
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join(60)
    return result[0]


def test_another_thread_has_no_handlers(tmp_path):
    def program():
        with exit_statuses(), StopFlag() as stop:
            stop.check()
            run(tmp_path)
            return [signal.getsignal(signum) for signum in SIGNALS]

    before = [signal.getsignal(signum) for signum in SIGNALS]
    assert in_thread(program) == before
    assert len(losses(tmp_path)) == 15


def test_in_a_session_the_second_ctrl_c_is_an_exception(monkeypatch):
    """Of Python or IPython, to which the prompt `sys.ps1` belongs."""
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    with StopFlag() as stop:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert stop.signum == signal.SIGINT


@pytest.fixture
def stdin():
    """A pipe as standard input: the descriptor of its other end."""
    read_end, write_end = os.pipe()
    kept = os.dup(0)
    os.dup2(read_end, 0)
    os.close(read_end)
    yield write_end
    os.dup2(kept, 0)
    os.close(kept)


def test_the_end_of_stdin_is_a_signal_where_it_is_said_to_be(
    tmp_path, stdin, monkeypatch
):
    def step(state, x, labels, lr):
        if state.step == 6:
            os.close(stdin)
            deadline = time.monotonic() + 10
            while flags[0].signum is None and time.monotonic() < deadline:
                time.sleep(0.001)
        return train_step(state, x, labels, lr)

    def hook(trainer):
        flags.append(trainer.stop)

    flags = []
    monkeypatch.setenv(STOP_WITH_STDIN, "1")
    with pytest.raises(Interrupted, match=r"SIGTERM.*step-00000007"):
        run(tmp_path, step=step, hook=hook)


def test_the_end_of_stdin_is_none_otherwise(stdin):
    with StopFlag() as stop:
        os.close(stdin)
        time.sleep(0.02)
        stop.check()
