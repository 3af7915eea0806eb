import errno
import os
import re
import signal
import sys
import warnings

import click
import numba
import pytest
from click.testing import CliRunner

from odyssey.cli import program
from odyssey.cli.option_types import FiniteFloat
from odyssey.cli.program import exit_statuses
from odyssey.data.dataset import DataError
from odyssey.errors import (
    InputError,
    Interrupted,
    NonFiniteError,
    ProgramError,
    one_line,
)
from odyssey.info import environment
from odyssey.threads import available_cores
from odyssey.training.progress import Progress, duration
from odyssey.training.state import TrainingState
from odyssey.weights.files import atomic_write_bytes
from odyssey.weights.hexfile import WeightsError


@pytest.mark.parametrize(
    "error, status, message",
    [
        (ProgramError("no luck"), 1, "Error: no luck"),
        (InputError("bad file"), 2, "Error: bad file"),
        (DataError("no data"), 2, "Error: no data"),
        (WeightsError("no weights"), 2, "Error: no weights"),
        (NonFiniteError("loss nan"), 3, "Error: loss nan"),
        (Interrupted(2, "saved"), 130, "stopped by SIGINT: saved"),
        (Interrupted(15, "saved"), 143, "stopped by SIGTERM: saved"),
        (KeyboardInterrupt(), 130, "stopped by Ctrl-C"),
        (OSError(errno.ENOSPC, "No space", "a/b"), 1, "Error: a/b: No space"),
        (ZeroDivisionError("x"), 1, "Error: ZeroDivisionError: x"),
    ],
)
@pytest.mark.parametrize("debug", [False, True])
def test_exit_statuses(error, status, message, debug, capsys):
    with pytest.raises(SystemExit) as stopped, exit_statuses(debug):
        raise error
    assert stopped.value.code == status
    text = capsys.readouterr().err
    assert message in text
    assert ("Traceback" in text) == debug


def test_warnings_are_lines(capsys):
    with exit_statuses():
        warnings.warn("mind the step", stacklevel=1)
    assert capsys.readouterr().err == "Warning: mind the step\n"
    with pytest.warns(UserWarning), exit_statuses(debug=True):
        warnings.warn("mind the step", stacklevel=1)


@pytest.mark.parametrize("what", [InputError, OSError])
def test_a_message_is_one_line_however_much_an_error_quotes(what, capsys):
    with pytest.raises(SystemExit), exit_statuses():
        raise what("run/x.npz: damaged:\n" + "(\x00" * 30_000 + " the\nend")
    (line,) = capsys.readouterr().err.splitlines()
    assert 900 < len(line) < 1100
    assert "run/x.npz: damaged: (\\x00(" in line and line.endswith(" the end")


def test_one_line_leaves_what_is_one_as_it_is():
    text = "/a  folder/é.weights: 3 of 4 … \t"
    assert one_line(text) == "/a  folder/é.weights: 3 of 4 …"
    assert one_line("x" * 1000) == "x" * 1000
    assert one_line("a" * 600 + "b" * 600, 20) == "a" * 10 + " ... " + "b" * 5


def test_ctrl_c_inside_and_the_handler_before_it_afterwards(capsys):
    caught = []
    previous = signal.signal(signal.SIGINT, lambda *args: caught.append("outside"))
    try:
        with pytest.raises(SystemExit) as stopped, exit_statuses():
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, previous)
    assert stopped.value.code == 130
    assert caught == ["outside"]


@pytest.mark.parametrize(
    "signum, status", [(signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_leaves_no_unfinished_file(
    signum, status, tmp_path, monkeypatch, capsys
):
    def stopped_here(descriptor):
        assert len(list(tmp_path.iterdir())) == 2  # the old file and the new one
        signal.raise_signal(signum)

    monkeypatch.setattr(os, "fsync", stopped_here)
    path = tmp_path / "model.pth"
    path.write_bytes(b"before")
    before = signal.getsignal(signum)
    with pytest.raises(SystemExit) as stopped, exit_statuses():
        atomic_write_bytes(path, b"after")
    assert stopped.value.code == status
    assert signal.getsignal(signum) == before
    assert capsys.readouterr().err == f"stopped by {signum.name}\n"
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == b"before"


@pytest.mark.parametrize(
    "value", ["nan", "inf", "-inf", "1e999", "1e39", "0", "-1", "abc"]
)
def test_numbers_that_are_none_are_refused_by_name(value):
    @click.command()
    @click.option("--lr", type=FiniteFloat(0, min_open=True))
    def command(lr):
        pass

    result = CliRunner().invoke(command, ["--lr", value])
    assert result.exit_code == 2
    assert "--lr" in result.output


@pytest.fixture
def threads_as_before():
    threads = numba.get_num_threads()
    yield
    numba.set_num_threads(threads)


@pytest.mark.parametrize("words, expected", [([], 1), (["--threads", "2"], 2)])
def test_threads_are_those_of_the_quota_or_as_told(
    monkeypatch, threads_as_before, words, expected
):
    if available_cores() < 2:
        pytest.skip("one core")
    monkeypatch.setattr(program, "default_threads", lambda: 1)

    @click.command()
    @program.threads_option
    def command():
        click.echo(numba.get_num_threads())

    result = CliRunner().invoke(command, words)
    assert (result.exit_code, result.output) == (0, f"{expected}\n")


def test_a_threading_layer_that_is_not_there(monkeypatch):
    def start():
        raise ValueError("No threading layer\ncould be loaded.")

    monkeypatch.setattr(program, "start", start)

    @click.command()
    @program.threads_option
    def command():
        pass

    result = CliRunner().invoke(command, ["--threads", "1"])
    assert result.exit_code == 2
    assert "Error: No threading layer could be loaded.\n" in result.output


def test_environment_names_threads_vectors_and_versions():
    line = environment()
    assert "\n" not in line
    for part in (
        r"\d+ threads",
        r"vectors of \d+ bytes",
        r"NumPy \d",
        r"Numba \d",
        r"odyssey \d",
    ):
        assert re.search(part, line)
    assert 1 <= available_cores()


@pytest.mark.parametrize(
    "seconds, text",
    [(0, "0:00:00"), (59.6, "0:01:00"), (3723, "1:02:03"), (90061, "1 d 1:01:01")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def after(step, epoch, batch):
    state = TrainingState({}, {}, {}, step=step, epoch=epoch, batch=batch)
    state.sums.images, state.sums.loss, state.sums.correct = 8, 4.0, 2
    state.sums.seconds = 2.0
    return state


def test_plain_lines_every_so_many_steps(capsys):
    progress = Progress(2, 5, 10, interval=3, bar=False)
    progress.begin_epoch(1, 0)
    for step in range(1, 5):
        progress.step(after(step, 0, step), 2.0)
    assert capsys.readouterr().out == (
        "epoch 1/2, step 3/10: loss 0.5000, accuracy 25.00%, 4.0 images/s, "
        "ETA 0:00:14\n"
    )


def test_eta_counts_the_evaluations_to_come():
    progress = Progress(2, 5, 10, bar=False)
    progress.step(after(4, 0, 4), 2.0)
    progress.evaluation(30.0)
    assert progress.eta(4) == duration(6 * 2 + 2 * 30)


def test_eta_is_of_recent_steps():
    """Neither of a slow start, nor of what the machine did an hour ago."""
    progress = Progress(1, 1000, 1000, bar=False)
    for seconds in (90.0, 2.0, 2.0):
        progress.step(after(3, 0, 3), seconds)
    assert progress.eta(3) == duration(997 * 2)
    for _ in range(60):
        progress.step(after(63, 0, 63), 0.5)
    assert progress.eta(63) == duration(937 * 0.5)
    for _ in range(60):
        progress.step(after(123, 0, 123), 4.0)
    assert progress.eta(123) == duration(877 * 4)


def test_bar_only_on_a_terminal(monkeypatch, capsys):
    class Terminal:
        def isatty(self):
            return True

    assert not Progress(1, 5, 5).use_bar
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert Progress(1, 5, 5).use_bar
    assert not Progress(1, 5, 5, bar=False).use_bar


def test_bar_shows_the_numbers(capsys):
    progress = Progress(1, 5, 5, bar=True)
    progress.begin_epoch(1, 0)
    progress.step(after(1, 0, 1), 2.0)
    progress._bar.refresh()
    progress.end_epoch()
    text = capsys.readouterr().err
    assert "epoch 1/1" in text
    assert "4.0 images/s, ETA 0:00:08" in text
