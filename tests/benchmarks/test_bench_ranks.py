"""bench_ranks.py: what it checks, prints and writes; not how fast anything is."""

import json
import os
import sys
from pathlib import Path

import bench_ranks
import numpy as np
import pytest
import turns
from bench_ranks import LOCAL, ONE, TORCH
from click.testing import CliRunner

RANKS = "2 ranks, MPICH"


def run_of(losses, seconds=0.5, mib=500):
    """Return what one process prints, and writes in a turn."""
    return {"loss": losses, "seconds": [seconds] * 3, "mib": mib}


class Started:
    """A contender of which no process is started."""

    def __init__(self, *ranks):
        self.turn = lambda: list(ranks)
        self.end = lambda: None


@pytest.fixture
def runs(monkeypatch, tmp_path):
    """What each contender would print, by its name; nothing is started."""
    found = {
        ONE: run_of([2.0, 1.0], 0.50),
        RANKS: run_of([2.0, 1.0], 0.40, 550),
        TORCH: run_of([2.0], 1.00),
        LOCAL: run_of([2.0], mib=505),
    }
    monkeypatch.setattr(bench_ranks, "name_of", lambda mpiexec: RANKS)
    monkeypatch.setattr(bench_ranks, "present_torch", lambda python: python)
    monkeypatch.setattr(bench_ranks, "measured", lambda name, *rest: found[name])

    def start(name, *rest):
        run = found[name]
        if name != RANKS:
            return Started(run)
        slow, fast = {"in_sums": [0.01] * 3}, {"in_sums": [0.03] * 3}
        return Started(run | slow, run | fast | {"seconds": [0.3] * 3, "mib": 500})

    monkeypatch.setattr(bench_ranks, "start", start)
    return found


def run(*arguments):
    return CliRunner().invoke(
        bench_ranks.main, ["--mpiexec", "bin/mpiexec", *map(str, arguments)]
    )


def test_ratios_are_of_a_round_and_memory_of_the_local_batch(runs, tmp_path):
    path = tmp_path / "ranks.json"
    done = run("--rounds", 2, "--json", path)
    assert done.exit_code == 0, done.output
    lines = {line[:24].strip(): line for line in done.output.splitlines()}
    assert "2.000" in lines[ONE].split()
    row = lines[RANKS].removeprefix(RANKS).split()
    assert row[:2] == ["400.0", "1.250"]  # 0.5 / 0.4
    assert row[5] == "2.500"  # 1 / 0.4
    # 0.01 and (0.01 + 0.03) / 2 of 0.4 s, the slower rank's; 550 - 505 MiB
    assert row[-4:] == ["2.5%", "5.0%", "550", "45"]
    assert len(json.loads(path.read_text())["rounds"][RANKS]) == 2


@pytest.mark.parametrize(
    ("wrong", "losses"),
    [(RANKS, [2.0, 1.001]), (RANKS, [float("nan"), 1.0]), (TORCH, [2.1])],
)
def test_nothing_is_timed_that_finds_other_losses(runs, wrong, losses):
    runs[wrong] = run_of(losses)
    done = run()
    assert done.exit_code == 1
    assert str(losses[0]) in done.output
    assert "ms a step" not in done.output


def test_the_library_beside_a_launcher_is_taken(tmp_path):
    mpiexec = tmp_path / "bin" / "mpiexec"
    (tmp_path / "lib").mkdir()
    for name in ("libmpi.so", "libmpi.so.40"):  # the first is a script for ld
        (tmp_path / "lib" / name).touch()
    command, environment = bench_ranks.launcher(str(mpiexec))
    assert command == [str(mpiexec), "-n", "2"]
    assert environment["MPI4PY_LIBMPI"] == str(tmp_path / "lib" / "libmpi.so.40")


def test_a_process_that_fails_is_named_with_its_last_words():
    command = [sys.executable, "-c", "raise SystemExit('no such thing')"]
    with pytest.raises(bench_ranks.Failed, match=r"ours ended .* 1: no such thing"):
        bench_ranks.measured("ours", (command, {}))


#: A process that takes turns: in the second it fails if it is asked to.
PLAYER = """
import sys
from pathlib import Path
from turns import turns

rank, fails = int(sys.argv[2]), "fails" in sys.argv
for number, end in enumerate(turns(Path(sys.argv[1]), rank)):
    if fails and number:
        raise SystemExit("no such thing")
    end({"number": number, "rank": rank})
"""


def player(folder, *options, ranks=1):
    program = PLAYER
    if ranks > 1:  # one process that starts the others, as a launcher does
        program = (
            "import subprocess, sys\n"
            f"command = [sys.executable, '-c', {PLAYER!r}, sys.argv[1]]\n"
            f"ranks = range({ranks})\n"
            "ranks = [subprocess.Popen([*command, str(rank)]) for rank in ranks]\n"
            "sys.exit(max(rank.wait() for rank in ranks))"
        )
    command = [sys.executable, "-c", program, str(folder), "0", *options]
    environment = os.environ | {"PYTHONPATH": str(Path(turns.__file__).parent)}
    return turns.Contender("ours", command, environment, ranks, folder)


def test_processes_take_turns_until_they_are_told_to_end(tmp_path):
    one, two = player(tmp_path / "one"), player(tmp_path / "two", ranks=2)
    for number in range(3):
        assert one.turn() == [{"number": number, "rank": 0}]
        found = two.turn()
        assert found == [{"number": number, "rank": rank} for rank in range(2)]
    for contender in (one, two):
        contender.end()
        assert contender._process.returncode == 0


def test_a_process_that_fails_in_its_turn_is_named_with_its_last_words(tmp_path):
    contender = player(tmp_path / "one", "fails")
    contender.turn()
    with pytest.raises(turns.Failed, match=r"ours ended .* 1: no such thing"):
        contender.turn()


def test_a_step_lasts_as_long_as_its_slowest_rank():
    ranks = [
        {"seconds": [1.0, 2.0], "in_sums": [0.5, 0.2], "mib": 3},
        {"seconds": [2.0, 1.0], "in_sums": [0.3, 0.4], "mib": 4},
    ]
    found = bench_ranks.turn(Started(*ranks))
    assert found["seconds"] == [2.0, 2.0]
    assert found["mib"] == [3, 4]
    np.testing.assert_allclose(found["sums"], [0.15, 0.1])
    np.testing.assert_allclose(found["waiting"], [0.2, 0.15])
