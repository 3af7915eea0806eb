"""A rank that fails ends the job: soon, with one message and the right exit status."""

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest
from launchers import MPICH, OPEN_MPI

from odyssey.distributed import failure

PROGRAM = Path(__file__).with_name("failing.py")

#: Most seconds of a job.  Alone on a machine it takes two to four, with its start.
SECONDS = 20

#: Where the launcher's own words begin: a line of dashes, or one that is empty.
LAUNCHER_SAYS = re.compile(r"^(-{40,})?$", re.MULTILINE)


@pytest.fixture
def failing(launcher):
    """Run the program; check the time, return status, stdout and what Odyssey said."""

    def run(*words, ranks=2):
        done = launcher.run(ranks, PROGRAM, *words)
        assert done.seconds < SECONDS
        return done.status, done.stdout, LAUNCHER_SAYS.split(done.stderr)[0]

    return run


def test_one_rank_raises_while_the_others_wait(failing):
    status, stdout, said = failing("one_raises", ranks=3)
    assert (status, stdout) == (1, "")
    assert said.startswith("rank 1: Traceback (most recent call last):\n")
    assert said.endswith("RuntimeError: only here\n")
    assert said.count("Traceback") == 1


def test_one_rank_exits_with_a_status_of_its_own(failing):
    assert failing("one_exits") == (5, "", "rank 0: Error: disk full\n")


def test_one_rank_raises_when_the_others_have_ended(failing):
    status, _, said = failing("one_raises_at_the_end")
    assert status == 1
    assert said.startswith("rank 1: Traceback")
    assert said.endswith("RuntimeError: the others have ended\n")


def test_what_all_ranks_say_is_printed_once(failing):
    expected = 3, "rank 0 prints\n", "Error: loss is NaN\n"
    assert failing("all_alike", ranks=3) == expected


def test_what_ranks_had_begun_holds_up_nobody(failing):
    status, _, said = failing("all_alike_with_work_begun")
    assert (status, said) == (3, "Error: loss is NaN\n")


def test_messages_that_differ_are_printed_with_their_ranks(mpich):
    done = mpich.run(3, PROGRAM, "all_differ")
    assert done.status == 2  # rank 0's
    assert done.stderr == (
        "ranks 0-1: Error: no file on host 0\nrank 2: Error: no file on host 1\n"
    )


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_is_killed(failing, launcher, rank):
    status, _, _ = failing("one_is_killed", rank)
    assert (
        status == {MPICH: signal.SIGKILL, OPEN_MPI: 128 + signal.SIGKILL}[launcher.name]
    )


def test_ranks_that_end_at_different_times(failing):
    assert failing("one_ends_late") == (0, "rank 0 is done\n", "")


def test_the_second_signal_counts_after_a_second(failing):
    status, stdout, said = failing("signalled_twice")
    assert (status, stdout, said) == (128 + signal.SIGTERM, "", "one wish so far\n")


def test_a_wrong_option_is_printed_once(mpich):
    done = mpich.run(2, "-m", "odyssey", "verify", "--nonsense")
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "Usage: python -m odyssey verify [OPTIONS] DIR\n"
        "Try 'python -m odyssey verify --help' for help.\n\n"
        "Error: No such option: --nonsense\n"
    )
    assert done.stderr.count("Error: ") == 1


def test_the_help_is_printed_once(mpich):
    done = mpich.run(2, "-m", "odyssey", "verify", "--help")
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.count("Usage: ") == 1


@pytest.fixture
def waiting(mpich):
    """A job of MPICH on two ranks that wait for a signal.

    Open MPI's mpiexec kills the ranks half a second after a signal.
    """
    job = mpich.start(2, PROGRAM, "signalled")
    assert job.stdout.readline() == "waiting\n"
    time.sleep(0.2)  # for the other rank
    yield job
    job.kill()


NOTICE = "\nstopping at the next batch; a second signal quits at once\n"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_launcher_passes_a_signal_on(waiting, signum):
    waiting.send_signal(signum)
    _, stderr = waiting.communicate(timeout=60)
    assert waiting.returncode == 128 + signum
    assert stderr.count(NOTICE) == 1
    name = signum.name
    assert f"\n[['{name}'], ['{name}']]\n" in stderr


def test_a_signal_that_reaches_ranks_twice_is_one_wish(waiting):
    # As where a batch system, systemd or `timeout` signals all processes of a job.
    ranks = [
        int(pid)
        for pid in os.listdir("/proc")
        if pid.isdecimal() and is_rank(pid, str(PROGRAM))
    ]
    assert len(ranks) == 2
    waiting.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    for pid in ranks:
        os.kill(pid, signal.SIGTERM)
    _, stderr = waiting.communicate(timeout=60)
    assert waiting.returncode == 143
    # That each came to the program proves that none ended it at once.
    assert "\n[['SIGTERM', 'SIGTERM'], ['SIGTERM', 'SIGTERM']]\n" in stderr


def is_rank(pid, program):
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return False
    return words[0] == sys.executable and program in words


def test_messages_in_one():
    assert failure.in_one(["a", "a"]) == "a"
    assert failure.in_one(["", ""]) == ""
    assert failure.in_one(["a", "", "b", "a"]) == "ranks 0,3: a\nrank 2: b"
