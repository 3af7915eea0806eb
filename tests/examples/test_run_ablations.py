"""The series of ablations, trained by train.py itself."""

import csv
import io
import os
import re
import shlex
import sys

import numba
import pytest
from programs import EXAMPLE, ablate, assert_same_run, run_here
from resnet18_cifar10.ablations import ROWS, SETS
from tiny_cifar import write_tiny_cifar

from odyssey.series.results import read_epochs

SHORT = ["--epochs", 2, "--model", "resnet20", "--threads", 1]
TINY = ["--width", 2, "--batch-size", 50]


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
    both = [shlex.join(words) for words in commands("--config", "precision")]
    assert ["--precision bf16" in command for command in both] == [False, True]
    assert list(SETS["published"]) == [n for n in ROWS if ROWS[n].published]


def test_the_users_own_images():
    data = ["--dataset", "folder", "--data-dir", "photos", "--image-size", "48"]
    for words in commands("--config", "baseline", *data):
        assert shlex.join(data) in shlex.join(words)


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
    """Runs that are interrupted, resumed, finished, or have another recipe."""
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
