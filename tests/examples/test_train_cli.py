import csv
import json
import re

import numpy as np
import pytest
from programs import EXAMPLE, STEPS, assert_same_run, run_here, weights_of
from tiny_cifar import write_tiny_cifar

from odyssey.threads import available_cores
from odyssey.weights.checkpoint import list_checkpoints, load_newest_checkpoint


def rows_of(directory):
    with open(directory / "metrics.csv") as file:
        return list(csv.DictReader(file))


def test_what_a_run_prints_and_leaves(train, tmp_path):
    output = train("--log-interval", 3)
    for pattern in (
        r"^odyssey \S+, \d+ threads, vectors of \d+ bytes, .*NumPy \S+, Numba \S+.*; "
        r"resnet18 of width 4, [\d,]+ parameters; cifar10 images: train 100, test 20$",
        r"^kernels ready after [\d.]+ s(: \d+ compiled, kept for the next start)?$",
        r"^epoch 1/2, step 3/14: loss [\d.]+, accuracy [\d.]+%, [\d.]+ images/s, ETA ",
        r"^epoch 2/2 done: lr 0.05, train loss .*, test loss .* images/s$",
    ):
        assert re.search(pattern, output, re.MULTILINE), output
    run = tmp_path / "run"
    assert len(list(run.glob("*.weights"))) == 102
    manifest = json.loads((run / "manifest.json").read_text())
    named = {key: manifest[key] for key in ("model", "width", "num_classes")}
    assert named == {"model": "resnet18", "width": 4, "num_classes": 10}
    assert manifest["conv_bias"] is False
    names = [p.name for p in list_checkpoints(run)]
    assert names == [f"step-{STEPS:08d}", f"step-{2 * STEPS:08d}"]
    rows = rows_of(run)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    for row in rows:
        assert 0 <= float(row["test_accuracy"]) <= 1
        assert float(row["test_accuracy"]) * 20 % 1 == pytest.approx(0, abs=1e-9)
        assert 0 < 100 / float(row["images_per_second"]) <= float(row["seconds"])


def test_one_step_changes_every_tensor(train, tmp_path):
    """Running statistics that are computed and then dropped would show here."""
    train("--max-steps", 1)
    first = load_newest_checkpoint(tmp_path / "run").tensors
    train("--max-steps", 2, "--resume")
    second = load_newest_checkpoint(tmp_path / "run").tensors
    assert len(first) == 62 + 40 + 62
    same = [n for n in first if np.array_equal(first[n], second[n])]
    assert same == []


def test_same_seed_same_bits_whatever_the_threads(train, tmp_path):
    train("--threads", 1, weights_dir=tmp_path / "a")
    train("--threads", available_cores(), weights_dir=tmp_path / "b")
    assert_same_run(tmp_path / "a", tmp_path / "b")
    train("--seed", 1, weights_dir=tmp_path / "c")
    assert weights_of(tmp_path / "a") != weights_of(tmp_path / "c")


def test_max_steps_ends_within_an_epoch_and_goes_on(train, tmp_path):
    train(weights_dir=tmp_path / "whole")
    train("--max-steps", 9)
    assert len(rows_of(tmp_path / "run")) == 2
    assert len(list((tmp_path / "run").glob("*.weights"))) == 102
    train("--resume")
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_rate_drops_after_so_many_epochs(train, tmp_path):
    train("--lr-decay-epochs", 1, "--lr-decay-factor", 0.5, "--limit-train", 16)
    assert [float(row["lr"]) for row in rows_of(tmp_path / "run")] == [0.05, 0.025]
    steps = (tmp_path / "run" / "steps.jsonl").read_text().splitlines()
    assert [json.loads(line)["lr"] for line in steps] == [0.05, 0.025]


def test_validation_split_and_limits(train, tmp_path):
    output = train("--val-split", 30, "--limit-train", 17, "--limit-test", 7)
    assert "train 17, val 30, test 7" in output
    for row in rows_of(tmp_path / "run"):
        assert list(row)[-2:] == ["val_loss", "val_accuracy"]
        assert float(row["val_accuracy"]) * 30 % 1 == pytest.approx(0, abs=1e-9)
        assert float(row["test_accuracy"]) * 7 % 1 == pytest.approx(0, abs=1e-9)
    assert "--val-split" in train("--val-split", 100, "--overwrite", status=2)


def test_a_last_batch_of_one_image(train, tmp_path):
    train("--limit-train", 17, "--epochs", 1)
    steps = (tmp_path / "run" / "steps.jsonl").read_text().splitlines()
    first, second = (json.loads(line)["loss"] for line in steps)
    mean = float(rows_of(tmp_path / "run")[0]["train_loss"])
    assert mean == pytest.approx((16 * first + second) / 17, rel=1e-12)


def test_a_rate_beyond_reason_ends_with_status_3(train, tmp_path):
    output = train("--lr", "1e30", status=3)
    for part in ("Error: ", "step ", "lr 1e+30", "gradient norm", "none yet"):
        assert part in output
    assert list_checkpoints(tmp_path / "run") == []
    assert weights_of(tmp_path / "run") == {}


def test_an_old_run_is_neither_mixed_nor_lost(train, tmp_path):
    train("--max-steps", 3)
    before = weights_of(tmp_path / "run")
    assert "--overwrite" in train(status=2)
    assert "--resume and --overwrite" in train("--resume", "--overwrite", status=2)
    train("--overwrite", "--data-dir", tmp_path / "nowhere", status=2)
    assert weights_of(tmp_path / "run") == before
    train("--overwrite", "--max-steps", 2)
    assert len((tmp_path / "run" / "steps.jsonl").read_text().splitlines()) == 2
    assert [p.name for p in list_checkpoints(tmp_path / "run")] == ["step-00000002"]


def test_missing_data_says_how_to_get_it(train, tmp_path):
    output = train("--data-dir", tmp_path / "nowhere", status=2)
    assert (
        "python -m odyssey download --data-dir " in output
        and "--dataset synthetic" in output
    )
    assert not (tmp_path / "run").exists()


def test_damaged_class_names_are_a_line_of_warning(train, tmp_path):
    write_tiny_cifar(tmp_path / "data")
    names = tmp_path / "data" / "cifar-10-batches-py" / "batches.meta"
    names.write_bytes(b"no pickle")
    output = train("--data-dir", tmp_path / "data", "--max-steps", 1)
    assert f"Warning: {names}: " in output
    assert "cifar10.py" not in output and "UserWarning" not in output


@pytest.mark.parametrize(
    "option, value",
    [
        ("--lr", "nan"),
        ("--lr", "inf"),
        ("--lr", "0"),
        ("--lr", "-0.1"),
        ("--lr", "1e300"),
        ("--momentum", "1"),
        ("--momentum", "nan"),
        ("--weight-decay", "-1"),
        ("--weight-decay", "inf"),
        ("--weight-decay", "1e39"),
        ("--lr-decay-factor", "0"),
        ("--lr-decay-epochs", "0"),
        ("--epochs", "0"),
        ("--epochs", "1.5"),
        ("--batch-size", "0"),
        ("--keep", "0"),
        ("--width", "0"),
        ("--num-classes", "0"),
        ("--max-steps", "0"),
        ("--limit-train", "0"),
        ("--limit-test", "-1"),
        ("--val-split", "-1"),
        ("--log-interval", "0"),
        ("--threads", "0"),
        ("--threads", "100000"),
        ("--seed", "-1"),
        ("--dataset", "mnist"),
    ],
)
def test_wrong_options_are_refused_by_name(train, tmp_path, option, value):
    output = train(option, value, status=2)
    assert option in output
    assert not (tmp_path / "run").exists()


def test_defaults(monkeypatch):
    from resnet18_cifar10.train import main

    reached = []  # the folder of the data is that of the data set
    monkeypatch.setattr(
        "odyssey.cli.train.train", lambda example, given, *more: reached.append(given)
    )
    assert run_here("train").exit_code == 0
    assert reached[0].data_dir == "datasets/cifar10"
    defaults = {p.name: p.default for p in main.params}
    expected = {
        "epochs": 200,
        "batch_size": 128,
        "lr": 0.01,
        "momentum": 0.9,
        "weights_dir": "resnet18_weights",
        "lr_decay_epochs": 60,
        "lr_decay_factor": 0.2,
        "weight_decay": 5e-4,
        "nesterov": False,
        "augment": True,
        "width": 64,
        "dataset": "cifar10",
        "keep": 2,
    }
    assert {name: defaults[name] for name in expected} == expected


def test_the_program_is_short_enough_to_read():
    for script in EXAMPLE.glob("*.py"):
        assert len(script.read_text().splitlines()) < 300, script
