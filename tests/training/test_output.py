"""Streams that cannot be written: the reader gone, the disk full, the file closed."""

import errno
import io
import os
import subprocess
import sys
import traceback

import click
import pytest
from standin import losses, run
from test_loop import same_run
from tqdm import tqdm

from odyssey.cli.program import exit_statuses
from odyssey.errors import InputError, warn
from odyssey.output import ends_unheard, goes_on_unheard


class Broken(io.StringIO):
    """A stream that fails from a write on, until it is mended."""

    def __init__(self, code=errno.EPIPE, after=0):
        super().__init__()
        self.code, self.after = code, after

    def write(self, text):
        if self.code is not None and self.after <= 0:
            raise OSError(self.code, os.strerror(self.code))
        self.after -= 1
        return super().write(text)


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


CODES = [errno.EPIPE, errno.EIO, errno.ENOSPC]


@pytest.fixture(params=[*CODES, "closed"])
def broken(request):
    return closed() if request.param == "closed" else Broken(request.param)


def put(monkeypatch, stream):
    """Put a stream in the place of both; pytest's own come back before each test."""
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)


def test_all_that_prints_goes_on_unheard(broken, monkeypatch):
    put(monkeypatch, broken)
    with goes_on_unheard():
        click.echo("a line")
        click.echo("another", err=True)
        print("a third")
        warn("a warning")
        traceback.print_stack()
        for _ in tqdm(range(3), file=sys.stderr, mininterval=0):
            pass
        sys.stdout.writelines(["one\n", "two\n"])
        sys.stdout.flush()
    assert sys.stdout is broken


def test_a_run_is_the_same_where_nothing_can_be_printed(tmp_path, broken, monkeypatch):
    put(monkeypatch, broken)
    run(tmp_path / "unheard", bar=True)
    run(tmp_path / "lines", log_interval=1)
    monkeypatch.undo()
    run(tmp_path / "heard", log_interval=1)
    same_run(tmp_path / "unheard", tmp_path / "heard")
    same_run(tmp_path / "lines", tmp_path / "heard")
    assert len(losses(tmp_path / "lines")) == 15


def test_what_can_be_printed_again_is_printed(monkeypatch):
    stream = Broken(errno.ENOSPC, after=1)
    monkeypatch.setattr(sys, "stdout", stream)
    with goes_on_unheard():
        for word in ("heard", "lost", "lost"):
            print(word, end="")
        stream.code = None
        print("heard again", end="")
    assert stream.getvalue() == "heardheard again"


def test_the_reader_of_a_short_program_has_gone(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Broken())
    with pytest.raises(SystemExit) as ended, ends_unheard():
        try:
            click.echo("a line")
        except Exception:  # an OSError would be taken for a file's
            pytest.fail("caught")
    assert ended.value.code == 141
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("stream", [Broken(errno.ENOSPC), closed()])
def test_a_short_program_says_what_stdout_lacks(monkeypatch, capsys, stream):
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(SystemExit) as ended, ends_unheard():
        click.echo("a line")
    reason = "I/O operation on closed file"
    if not stream.closed:
        reason = os.strerror(errno.ENOSPC)
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"Error: standard output: {reason}\n"


def test_a_short_program_needs_no_stderr(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", Broken())
    with ends_unheard():
        warn("not heard")
        click.echo("a line")
    assert capsys.readouterr().out == "a line\n"


def test_the_innermost_rule_holds(monkeypatch):
    stream = Broken()
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(SystemExit), ends_unheard():
        outer = sys.stdout
        with goes_on_unheard():
            click.echo("nothing")
        assert sys.stdout is outer
        click.echo("the end")
    assert sys.stdout is stream


def test_an_error_keeps_its_status_where_it_cannot_be_said(broken, monkeypatch):
    put(monkeypatch, broken)
    with pytest.raises(SystemExit) as ended, exit_statuses():
        raise InputError("bad file")
    assert ended.value.code == 2


def test_what_an_encoding_lacks_is_escaped(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr(sys, "stdout", stream)
    with goes_on_unheard():
        print("Käse 1 € 2")
        sys.stdout.flush()
    assert stream.buffer.getvalue() == b"K\\xe4se 1 \\u20ac 2\n"


def test_streams_that_are_not_there(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with goes_on_unheard(), ends_unheard():
        click.echo("nothing")
    assert sys.stdout is None


PROGRAM = """
import click, sys
from odyssey.output import ends_unheard, goes_on_unheard
rule = {"ends": ends_unheard, "goes_on": goes_on_unheard}[sys.argv[1]]
with rule():
    for number in range(3000):
        click.echo(f"line {number}, long enough to fill a pipe")
    sys.stdout.write("not flushed")
print("and after", file=sys.stderr)
"""


def start(rule, stdout, *flags, **environment):
    command = [sys.executable, "-X", "dev", *flags, "-c", PROGRAM, rule]
    buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    return subprocess.Popen(
        command,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env={**buffered, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
    )


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])  # click wraps the latter
@pytest.mark.parametrize("rule, status", [("ends", 141), ("goes_on", 0)])
def test_head(rule, status, encoding):
    """Nor does Python itself complain when it ends."""
    program = start(rule, subprocess.PIPE, PYTHONIOENCODING=encoding)
    assert program.stdout.readline() == "line 0, long enough to fill a pipe\n"
    program.stdout.close()
    errors = program.stderr.read()
    assert errors == ("and after\n" if status == 0 else "")
    assert program.wait() == status


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("rule, status", [("ends", 1), ("goes_on", 0)])
def test_a_full_device(rule, status):
    with open("/dev/full", "w") as full:
        program = start(rule, full)
    errors = program.stderr.read()
    reason = f"Error: standard output: {os.strerror(errno.ENOSPC)}\n"
    assert errors == ("and after\n" if status == 0 else reason)
    assert program.wait() == status
