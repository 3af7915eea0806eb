"""A series of ablations in which runs fail: a stand-in takes the place of train.py."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from programs import EXAMPLE, ROOT, ablate
from resnet18_cifar10.ablations import SOURCE

#: A program with the options of train.py.  $PLAN, {row: status}, chooses the rows that
#: fail, with a status or by a signal; a row that is "stopped" waits for signals and
#: writes down each of them.
STAND_IN = """
import json, os, signal, sys, time
from pathlib import Path
given = dict(zip(sys.argv[1:], sys.argv[2:]))
folder = Path(given["--weights-dir"])
plan = json.loads(os.environ.get("PLAN", "{}")).get(folder.name.split("-seed")[0], 0)
folder.mkdir(parents=True, exist_ok=True)
with open(folder.parent / "calls", "a") as calls:
    calls.write(folder.name + "\\n")
metrics = folder / "metrics.csv"
rows = metrics.read_text().splitlines() if metrics.exists() else []
rows = rows or ["epoch,train_loss,test_accuracy,seconds"]
if plan == "stopped":
    def note(signum, frame):
        with open(folder / "signals", "a") as notes:
            notes.write(f"{signum}\\n")
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, note)
    (folder / "ready").write_text(str(os.getpgrp()))
    while not (folder / "signals").exists():
        time.sleep(0.01)
    time.sleep(0.3)  # a second signal would be noted as well
    sys.exit(128 + int((folder / "signals").read_text().split()[0]))
if plan == "orphan":
    from odyssey.training.signals import StopFlag, StopRequested
    with StopFlag() as stop:
        (folder / "ready").touch()
        try:
            while True:
                time.sleep(0.01)
                stop.check()
        except StopRequested:
            (folder / "saved").write_text(f"{stop.signum}")
    sys.exit(128 + stop.signum)
for number in range(12):
    print("line", number)
if plan and plan < 0:
    os.kill(os.getpid(), -plan)
for epoch in range(len(rows), 2 if plan else int(given["--epochs"]) + 1):
    rows.append(f"{epoch},{1 / epoch},0.{epoch}{given['--seed']},2")
metrics.write_text("\\n".join(rows) + "\\n")
sys.exit(plan)
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    path = tmp_path / "train.py"
    path.write_text(STAND_IN)
    monkeypatch.setattr("odyssey.cli.series.TRAIN", str(path))
    return path


def test_goes_on_after_failures_and_says_so(tmp_path, stand_in, monkeypatch):
    plan = {"cosine": 3, "constant": -int(signal.SIGKILL)}
    monkeypatch.setenv("PLAN", json.dumps(plan))
    arguments = ["--config", "cosine", "constant", "multistep", "--seeds", 1, 2]
    arguments += ["--results-dir", tmp_path / "r", "--epochs", 3]
    output = ablate(*arguments, status=1)
    assert "1/6 cosine-seed1: FAILED, exit status 3\n" in output
    assert "2/6 constant-seed1: FAILED, killed by SIGKILL\n" in output
    assert "3/6 multistep-seed1: done, last test accuracy 31.00%" in output
    assert "Error: 4 of 6 runs failed" in output
    shown = [line for line in output.splitlines() if line.startswith("    line ")]
    assert shown[:5] == [f"    line {number}" for number in range(7, 12)]
    rows = {line.split()[0]: line.split() for line in output.splitlines() if line}
    assert rows["cosine"][1:4] == ["0", "of", "2"]
    assert rows["multistep"][1] == "2"
    assert rows["multistep"][-2:] == ["87.6", "93.9"]  # of `ROWS`
    assert f"Published figures: {SOURCE}.\n" in output

    monkeypatch.delenv("PLAN")
    output = ablate(*arguments)
    assert output.count("was finished before") == 2
    assert output.count(": done") == 4
    calls = (tmp_path / "r" / "calls").read_text().split()
    assert len(calls) == 12
    log = (tmp_path / "r" / "cosine-seed1.log").read_text()
    assert log.count("line 11") == 2  # of both starts


def test_a_damaged_row_of_a_run_is_named(tmp_path, stand_in):
    folder = tmp_path / "cosine-seed0"
    folder.mkdir()
    rows = "epoch,train_loss,test_accuracy,seconds\n1,1,0.5,2\n2,x,0.5,2\n3,1,0.5,2\n"
    for content, reason in (
        (rows, f"{folder / 'metrics.csv'}: line 3: train_loss is 'x', not a finite"),
        (
            rows.replace("x", "1").replace("\n2,", "\n4,"),
            "line 3: epoch 4 is out of or",
        ),
        (rows.replace("2,x", "4,1").replace("\n3,", "\n5,"), "3 epochs, without 2, 3"),
    ):
        (folder / "metrics.csv").write_text(content)
        arguments = ["--config", "cosine", "--results-dir", tmp_path, "--epochs", 3]
        output = ablate(*arguments, status=1)
        assert "1/1 cosine-seed0: FAILED, " in output and reason in output


def test_results_behind_a_link_that_leads_nowhere(tmp_path, stand_in):
    link = tmp_path / "link"
    link.symlink_to("unplugged")
    output = ablate("--config", "cosine", "--results-dir", link, status=1)
    assert output == f"Error: {link}: a link to unplugged, which does not exist\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_the_place_of_a_log(tmp_path, stand_in):
    os.mkfifo(tmp_path / "cosine-seed0.log")
    arguments = ["--config", "cosine", "--results-dir", tmp_path, "--epochs", 3]
    output = ablate(*arguments, status=1)
    assert f"{tmp_path / 'cosine-seed0.log'}: not a regular file" in output


def test_goes_on_where_a_file_has_the_place_of_a_folder(tmp_path, stand_in):
    (tmp_path / "cosine-seed0").touch()
    (tmp_path / "constant-seed0" / "metrics.csv").mkdir(parents=True)
    rows = ["--config", "cosine", "constant", "multistep"]
    output = ablate(*rows, "--results-dir", tmp_path, "--epochs", 3, status=1)
    assert output.count("FAILED, exit status 1") == 2
    assert "3/3 multistep-seed0: done" in output


def start_series(tmp_path, stand_in, plan, *arguments):
    code = "import sys; from odyssey.cli import series\n"
    code += "from resnet18_cifar10.run_ablations import main\n"
    code += "series.TRAIN = sys.argv.pop(1); main()"
    path = os.pathsep.join([str(EXAMPLE.parent), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-c", code, str(stand_in), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, "PLAN": json.dumps({"cosine": plan})},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )


def wait_for(path, series=None):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert series is None or series.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_series_that_is_killed_leaves_no_run_behind(tmp_path, stand_in):
    """The current run saves and stops, as if it had received the signal itself."""
    arguments = ["--config", "cosine", "--results-dir", tmp_path / "r"]
    series = start_series(tmp_path, stand_in, "orphan", *arguments)
    run = tmp_path / "r" / "cosine-seed0"
    wait_for(run / "ready", series)
    series.kill()
    assert series.wait() == -signal.SIGKILL
    series.stderr.close()
    wait_for(run / "saved")


@pytest.mark.parametrize(
    "signum, group",
    [
        *itertools.product([signal.SIGINT, signal.SIGTERM], [False, True]),
        (signal.SIGHUP, True),
    ],
)
def test_a_signal_is_passed_on_once_and_ends_the_series(
    tmp_path, stand_in, signum, group
):
    """To the program alone, or as Ctrl-C in a terminal to all of its group."""
    arguments = ["--config", "cosine", "multistep", "--results-dir", tmp_path / "r"]
    started = start_series(tmp_path, stand_in, "stopped", *arguments)
    run = tmp_path / "r" / "cosine-seed0"
    wait_for(run / "ready", started)
    (os.killpg if group else os.kill)(started.pid, signum)
    _, errors = started.communicate(timeout=60)
    assert started.returncode == 128 + signum, errors
    assert "the same command continues" in errors and "Traceback" not in errors
    assert int((run / "ready").read_text()) != started.pid  # or Ctrl-C comes twice
    assert (run / "signals").read_text().split() == [str(int(signum))]
    assert (tmp_path / "r" / "calls").read_text().split() == ["cosine-seed0"]
    ablate(*arguments)
