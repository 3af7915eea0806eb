"""What programs do with their errors and options where other ranks do the same."""

import sys

import click
import pytest
from click.testing import CliRunner

from odyssey import threads
from odyssey.cli import program
from odyssey.cli.command import Command
from odyssey.cli.program import exit_statuses
from odyssey.distributed import failure, placement
from odyssey.distributed.failure import Failure
from odyssey.distributed.launcher import Launch
from odyssey.distributed.placement import Place
from odyssey.errors import NonFiniteError


@pytest.fixture
def of_two(monkeypatch):
    """As if this process was rank 0 of two, within `together`."""
    found = Launch("the launcher", None, 0, 2)
    monkeypatch.setattr(failure, "_guarded", True)
    monkeypatch.setattr(program, "launched", lambda: found)


def test_a_message_is_left_to_be_printed_once(of_two, capsys):
    with pytest.raises(Failure) as ended, exit_statuses(ranks=True):
        raise NonFiniteError("loss is nan")
    assert (ended.value.code, ended.value.message) == (3, "Error: loss is nan")
    # Its frames keep the arrays into which MPI may still be writing.
    assert ended.value.__context__.__traceback__ is not None
    with pytest.raises(Failure) as ended, exit_statuses(debug=True, ranks=True):
        raise NonFiniteError("loss is nan")
    assert ended.value.message.startswith("Traceback")
    assert ended.value.message.endswith("\nError: loss is nan")
    assert capsys.readouterr() == ("", "")


def test_a_program_refuses_ranks_unless_it_knows_them(of_two):
    with pytest.raises(Failure) as ended, exit_statuses():
        raise AssertionError("not reached")
    assert ended.value.message == (
        "Error: this program runs as one process, training runs on several: start it "
        "without the launcher"
    )
    with exit_statuses(ranks=True):
        pass


@click.command(cls=Command)
@click.option("--number", type=int)
def command(number):
    if number == 1:
        raise click.Abort
    if number == 2:
        click.get_current_context().exit(7)


@pytest.mark.parametrize(
    "words, status, message",
    [
        (["--number", "x"], 2, "'x' is not a valid integer"),
        (["--nonsense"], 2, "Usage: it [OPTIONS]\n"),
        (["--number", "1"], 1, "Aborted!"),
    ],
)
def test_errors_of_options(of_two, capsys, words, status, message):
    with pytest.raises(Failure) as ended:
        command(words, prog_name="it")
    assert ended.value.code == status
    assert message in ended.value.message
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "words, status", [([], 0), (["--help"], 0), (["--number", "2"], 7)]
)
def test_ends_without_an_error(of_two, words, status):
    with pytest.raises(SystemExit) as ended:
        command(words, prog_name="it")
    assert type(ended.value) is SystemExit
    assert ended.value.code == status


def test_who_is_not_run_as_a_program_gets_the_error_itself(of_two):
    with pytest.raises(click.UsageError):
        command(["--number", "x"], standalone_mode=False)


def test_a_rank_uses_its_share_of_the_cpus_unless_told(monkeypatch):
    threads.start()
    monkeypatch.setattr(threads, "available_cores", lambda: 6)
    monkeypatch.setattr(program, "available_cores", lambda: 6)
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    place = Place("machine", "host", tuple(range(6)))
    monkeypatch.setattr(placement, "_places", (place, place))
    used = []
    monkeypatch.setattr(program.numba, "set_num_threads", used.append)

    @click.command()
    @program.threads_option
    def run():
        pass

    for words in ([], ["--threads", "5"]):
        assert CliRunner().invoke(run, words).exit_code == 0
    assert used == [3, 5]
    monkeypatch.setenv("NUMBA_NUM_THREADS", "6")
    assert threads.default_threads() == 6
    assert "mpi4py.MPI" not in sys.modules
