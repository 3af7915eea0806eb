"""``--num-classes``: a network with more outputs than its data has classes."""

import csv
import json

import numpy as np
import pytest
from programs import SMALL, STEPS, assert_same_run, change_manifest, run_here
from resnet18_cifar10.architecture import ResNetConfig, initialize
from resnet18_cifar10.weights import load_weights, save_weights
from tiny_cifar import CLASSES

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
TWELVE = ["--num-classes", 12, "--mixup-alpha", 0.4, "--label-smoothing", 0.1]


@pytest.fixture
def run(data, tmp_path):
    """Run a program on ``tmp_path / name`` with more options."""

    def run(script, name, *more, status=0):
        places = ["--data-dir", data, "--weights-dir", tmp_path / name]
        result = run_here(script, *places, *(SMALL if script == "train" else ()), *more)
        assert result.exit_code == status, result.output
        return result.output

    return run


def test_more_outputs_than_classes_from_training_to_inference(run, tmp_path):
    run("train", "run", *TWELVE, "--max-steps", STEPS + 3)
    for other, now in (([], "not given"), (["--num-classes", 11], "11")):
        refusal = run("train", "run", *TWELVE[2:], *other, "--resume", status=2)
        assert f"--num-classes was 12, is {now}" in refusal
    run("train", "run", *TWELVE, "--resume")
    run("train", "whole", *TWELVE)
    assert_same_run(tmp_path / "run", tmp_path / "whole")
    weights = load_weights(tmp_path / "run")
    assert weights.config.num_classes == 12
    assert weights.params["fc_weights"].shape[0] == 12
    assert weights.metadata["classes"] == CLASSES

    values = json.loads(run("inference", "run", "--json"))
    with (tmp_path / "run" / "metrics.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["test_accuracy"]) == values["accuracy"]
    assert np.array(values["confusion"]).shape == (12, 12)
    assert [row["class"] for row in values["per_class"]] == [
        *CLASSES,
        *("class 10", "class 11"),
    ]
    assert [row["total"] for row in values["per_class"][10:]] == [0, 0]
    assert values["per_class"][11]["accuracy"] is None
    lines = run("inference", "run").splitlines()
    assert lines[-13].split()[-3:] == ["truck", "10", "11"]
    assert sum(int(n) for line in lines[-12:] for n in line[10:].split()) == 20
    assert all(len(line) == len(lines[-1]) for line in lines[-13:])


def test_extra_outputs_are_named_by_number(run, tmp_path):
    image = pytest.importorskip("PIL.Image")
    config = ResNetConfig(width=4, num_classes=13)
    params, state = initialize(config, 0)
    params["fc_bias"][[12, 9]] = 100, 90
    save_weights(params, state, config, tmp_path / "run", {"classes": CLASSES})
    image.fromarray(PIXELS).save(tmp_path / "a.png")
    output = run("inference", "run", "--images", tmp_path / "a.png")
    assert "a.png: class 12 " in output and ", truck " in output


@pytest.mark.parametrize("given", [9, 1])
def test_fewer_outputs_than_classes_are_refused(run, tmp_path, given):
    output = run("train", "run", "--num-classes", given, status=2)
    assert "--num-classes" in output and f"{given} is less than the 10" in output
    assert not (tmp_path / "run").exists()


def test_as_many_as_there_are_is_what_happens_anyway(run, tmp_path):
    run("train", "run", "--max-steps", 2)
    run("train", "run", "--max-steps", 3, "--resume", "--num-classes", 10)
    run("train", "whole", "--max-steps", 3)
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_a_model_of_other_classes_is_refused(run, tmp_path):
    run("train", "run", "--num-classes", 12, "--max-steps", 1)
    for classes in (CLASSES[:4], [f"c{k}" for k in range(12)]):
        change_manifest(tmp_path / "run", classes=classes)
        output = run("inference", "run", status=2)
        assert f"the model has {len(classes)} classes, cifar10 has 10" in output
