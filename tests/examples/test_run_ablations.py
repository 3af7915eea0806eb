"""The series of ablations: with train.py itself, and with a stand-in that can fail."""

import csv
import io
import itertools
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time

import numba
import pytest
from click.testing import CliRunner
from programs import EXAMPLE, ROOT, assert_same_run, run_here
from resnet18_cifar10 import run_ablations
from resnet18_cifar10.ablations import ROWS, SETS, SOURCE
from tiny_cifar import write_tiny_cifar

from odyssey.series.results import read_epochs

SHORT = ["--epochs", 2, "--model", "resnet20", "--threads", 1]
TINY = ["--width", 2, "--batch-size", 50]

#: Takes what train.py takes.  $PLAN, {row: status}, says which rows fail, with a status
#: or by a signal; a row to be "stopped" waits for signals and notes each of them.
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


def ablate(*arguments, status=0):
    words = [str(word) for word in arguments]
    result = CliRunner().invoke(run_ablations.main, words)
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    path = tmp_path / "train.py"
    path.write_text(STAND_IN)
    monkeypatch.setattr("odyssey.cli.series.TRAIN", str(path))
    return path


class TrainHere:
    """`Child` without the process."""

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        pass

    def run(self, command, log):
        assert command[:2] == [sys.executable, str(EXAMPLE / "train.py")]
        result = run_here("train", *command[2:])
        return result.exit_code, result.output


def commands(*arguments):
    lines = ablate(*arguments, "--dry-run").splitlines()
    return [shlex.split(line) for line in lines]


def test_several_rows_and_seeds():
    chosen = ["--config", "batch-32", "baseline", "batch-32", "--seeds", 2, 1]
    folders = [words[words.index("--weights-dir") + 1] for words in commands(*chosen)]
    assert [os.path.basename(folder) for folder in folders] == [
        *("batch-32-seed2", "multistep-seed2", "batch-32-seed1", "multistep-seed1")
    ]
    assert len(commands("--config", "techniques", "--config", "published")) == 11
    assert list(SETS["published"]) == [n for n in ROWS if ROWS[n].published]


def test_the_list_names_every_row():
    text = ablate("--list")
    for name, row in ROWS.items():
        assert re.search(rf"^{name} +{re.escape(row.shows)}$", text, re.MULTILINE)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "--config NAME... or --all"),
        (["--all", "--config", "cosine"], "--config NAME... or --all"),
        (["--config", "cosin"], "'cosin' is not one of"),
        (["--config", "cosine", "--seeds", "-1"], "--seeds"),
        (["--all", "--model", "resnet20", "constant"], "argument (constant)"),
        (["cosine"], "argument (cosine); did you mean --config cosine?"),
        (["--all", "--width", "4"], "--width; options of train.py come after --"),
        (["--all", "--wd", "4"], "No such option: --wd"),
        (["--config", "--all"], "'--config' needs a value, but the option '--all'"),
        (["--all", "--epochs", "0"], "--epochs"),
        (["--all", "--", "--seed", "7"], "--seed cannot come after --"),
        (
            ["--all", "--", "--width", "4", "--epochs=3"],
            "--epochs cannot come after --",
        ),
    ],
)
def test_wrong_use(arguments, message):
    assert message in ablate("--dry-run", *arguments, status=2)


def test_options_that_train_py_would_refuse_are_refused_before_any_run(tmp_path):
    def refused(*more):
        series = ["--config", "cosine", "constant", "--results-dir", tmp_path / "r"]
        output = ablate(*series, "--epochs", 3, "--", *more, status=2)
        assert not (tmp_path / "r").exists()
        return output.splitlines()[-1]

    threads = numba.get_num_threads()
    wrong = "Error: cosine: train.py: No such option: --wd; did you mean --weight-decay"
    assert refused("--wd", 1).startswith(wrong)
    assert "did you mean resnet18_fast?" in refused("--config", "resnet18_fats")
    message = refused("--threads", 1, "--batch-size", 0)
    assert "'--batch-size': 0 is not in the range x>=1." in message
    message = refused("--lr-warmup-epochs", 3)
    assert "--lr-warmup-epochs must be less than epochs (3) with cosine" in message
    assert numba.get_num_threads() == threads


def test_with_train_py_itself(tmp_path, monkeypatch):
    """Broken, gone on with, finished before, and with another recipe."""
    write_tiny_cifar(tmp_path / "data")
    monkeypatch.setattr("odyssey.series.runner.Child", TrainHere)

    def series(folder, *more, status=0):
        places = ["--data-dir", tmp_path / "data", "--results-dir", tmp_path / folder]
        rows = ["--config", "cosine", "no-batch-norm", "--val-split", 40]
        return ablate(*rows, *places, *SHORT, *more, status=status)

    stopped = series("a", "--", *TINY, "--max-steps", 2, status=1)
    assert "cosine-seed0: FAILED, metrics.csv has 1 of 2 epochs" in stopped
    assert "2 of 2 runs failed" in stopped
    assert "2/2 no-batch-norm-seed0: done" in series("a", "--", *TINY)
    series("b", "--", *TINY)
    for name in ("cosine-seed0", "no-batch-norm-seed0"):
        assert_same_run(tmp_path / "a" / name, tmp_path / "b" / name)
    table = (tmp_path / "a" / "results.csv").read_bytes()
    again = series("a", "--", *TINY)
    assert again.count("was finished before") == 2
    assert (tmp_path / "a" / "results.csv").read_bytes() == table
    other = series("a", "--limit-train", 50, "--", *TINY, status=1)
    assert other.count("--limit-train was not given, is 50") == 2
    (row, _) = csv.DictReader(io.StringIO(table.decode()))
    epochs = read_epochs(tmp_path / "a" / "cosine-seed0")
    assert float(row["test_last_mean"]) == epochs[1]["test_accuracy"]
    assert float(row["val_best_mean"]) == max(e["val_accuracy"] for e in epochs)


def test_a_process_of_train_py(tmp_path):
    write_tiny_cifar(tmp_path / "data")
    places = ["--data-dir", tmp_path / "data", "--results-dir", tmp_path]
    ablate("--config", "cosine", *places, *SHORT, "--", *TINY)
    log = (tmp_path / "cosine-seed0.log").read_text()
    assert re.search(r", 1 threads, .*; resnet20 of width 2", log)
    assert "epoch 2/2 done" in log


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
    """The run at work saves and stops, as if it had got the signal itself."""
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
