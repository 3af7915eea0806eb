"""bench_ranks.py: what it checks, prints and writes; not how fast anything is."""

import json
import sys

import bench_ranks
import pytest
from bench_ranks import LOCAL, ONE, TORCH
from click.testing import CliRunner

RANKS = "2 ranks, MPICH"


def run_of(losses, seconds=0.5, mib=500):
    memory = [mib - 1, mib]
    return {"loss": losses, "seconds": [seconds] * 3, "sums": 0.03, "mib": memory}


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
    assert row[-3:] == ["3.0%", "550", "45"]  # 550 - 505
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
