"""A first call says that it waits for a compiler."""

import importlib.util
import io
import re
import sys

import numba
import numpy as np
import pytest

from odyssey import compiling, kernel_cache, threads

SOURCE = """
from numba import prange
from odyssey.kernels.jit import parallel

@parallel
def double(x):
    for i in prange(x.size):
        x[i] *= 2
"""


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Makes stderr a terminal; in the test, for pytest changes it after fixtures."""

    def begin():
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return begin


@pytest.fixture
def notice(monkeypatch):
    notice = compiling.Notice()
    monkeypatch.setattr(compiling, "_reporters", [notice])
    return notice


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A parallel kernel that nobody has called."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(threads, "_kernels", list(threads.kernels()))
    (tmp_path / "doubling.py").write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("doubling", tmp_path / "doubling.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "doubling", module)
    spec.loader.exec_module(module)
    return module.double


def test_a_user_at_a_terminal_is_told_once(notice, terminal, kernel):
    stream, x = terminal(), np.ones(3, np.float32)
    kernel(x)
    kernel(x.astype(np.float64))
    kernel(x)
    assert x.tolist() == [4, 4, 4]
    assert stream.getvalue() == (
        "odyssey: compiling kernels, each when it is first called; they are kept for "
        "later runs (python -m odyssey warmup compiles all)\n"
    )


def test_what_is_not_ours_is_not_told_of(notice, terminal):
    stream = terminal()
    assert numba.njit(lambda x: x + 1)(1) == 2
    assert stream.getvalue() == ""


def test_nobody_is_told_anywhere_else(notice, capsys):
    notice.begin()
    assert capsys.readouterr().err == ""


def test_a_user_is_told_if_nothing_can_be_kept(notice, terminal, monkeypatch):
    stream = terminal()
    monkeypatch.setattr(kernel_cache, "_all_kept", False)
    notice.begin()
    assert "first called; they are not kept (" in stream.getvalue()


def test_a_program_counts_at_a_terminal(terminal, kernel):
    stream = terminal()
    there = sum(bool(kernel.overloads) for kernel in threads.kernels())
    text = f"compiling kernels: {there + 1} of at most {len(threads.kernels())}"
    with compiling.reporting(compiling.Counter()) as counter:
        kernel(np.ones(3, np.float32))
        kernel(np.ones(3, np.float32))
    assert counter.compiled == 1
    assert stream.getvalue() == f"\r{text}\r{' ' * len(text)}\r"


def test_elsewhere_training_prints_a_line_every_so_often(monkeypatch, capsys):
    clock = iter([100.0, 101.0, 109.9, 110.1, 115.0, 120.3])
    monkeypatch.setattr(compiling.time, "perf_counter", lambda: next(clock))
    counter = compiling.Counter(lines=True)
    for _ in range(6):
        counter.begin()
        counter.end()
    assert counter.compiled == 6
    assert re.fullmatch(
        r"compiling kernels \.\.\.\n"
        r"compiling kernels: \d+ of at most \d+, 10 s so far\n"
        r"compiling kernels: \d+ of at most \d+, 20 s so far\n",
        capsys.readouterr().out,
    )


def test_elsewhere_other_programs_say_nothing(capsys):
    """Their output is what somebody reads, a file or another program."""
    counter = compiling.Counter()
    counter.begin()
    counter.end()
    assert counter.compiled == 1
    assert capsys.readouterr() == ("", "")


def test_a_stream_that_cannot_be_written_stops_no_kernel(monkeypatch, kernel):
    class Full(Terminal):
        def write(self, text):
            raise OSError("No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    x = np.ones(3, np.float32)
    with compiling.reporting(compiling.Counter()):
        kernel(x)
    assert x.tolist() == [2, 2, 2]
