"""CIFAR-100 from training to inference: a hundred classes, statistics of its own."""

import json
from pathlib import Path

import numpy as np
import pytest
from programs import assert_same_run, run_here
from tiny_cifar import write_tiny_cifar
from tiny_cifar100 import write_tiny_cifar100

from odyssey.data.cifar100 import CIFAR100_CLASSES, CIFAR100_MEAN, CIFAR100_STD

TINY = ["--width", 2, "--batch-size", 32, "--epochs", 2, "--lr", 0.05, "--threads", 1]
DATASET = ["--weights-dir", "run", "--dataset", "cifar100"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working directory with the data in the usual folder, and a trained run."""
    place = tmp_path_factory.mktemp("cifar100")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        write_tiny_cifar100("datasets/cifar100")
        run("train", *TINY, "--dataset", "cifar100", "--weights-dir", "run")
    return place


@pytest.fixture(autouse=True)
def in_place(place, monkeypatch):
    monkeypatch.chdir(place)


def run(script, *arguments, status=0):
    result = run_here(script, *arguments)
    assert result.exit_code == status, result.output
    return result.output


def manifest_of(folder):
    return json.loads(Path(folder, "manifest.json").read_text())


def test_the_manifest_says_what_was_learnt(place):
    manifest = manifest_of("run")
    assert manifest["dataset"] == "cifar100"
    assert manifest["num_classes"] == 100
    assert manifest["classes"] == list(CIFAR100_CLASSES)
    assert (manifest["mean"], manifest["std"]) == (
        list(CIFAR100_MEAN),
        list(CIFAR100_STD),
    )


def test_the_test_set_is_classified_as_in_training():
    values = json.loads(run("inference", *DATASET, "--json"))
    with open("run/metrics.csv") as file:
        *_, last = file.read().splitlines()
    assert float(last.split(",")[5]) == values["accuracy"]
    assert values["loss"] == pytest.approx(float(last.split(",")[4]), rel=1e-6)
    assert np.array(values["confusion"]).shape == (100, 100)
    assert [row["class"] for row in values["per_class"]] == list(CIFAR100_CLASSES)


def test_a_hundred_classes_are_printed_without_a_matrix():
    output = run("inference", *DATASET)
    assert "of 20), loss" in output
    table, mistakes = output.split("\nmost frequent mistakes\n")
    assert len(table.splitlines()) == 3 + 100
    values = np.array(json.loads(run("inference", *DATASET, "--json"))["confusion"])
    wrong = values * ~np.eye(100, dtype=bool)
    head, *lines = mistakes.splitlines()
    assert head.split() == ["class", "answer", "images"]
    counts = []
    for line in lines:
        true, answer, count = line.split()
        place = CIFAR100_CLASSES.index(true), CIFAR100_CLASSES.index(answer)
        assert wrong[place] == int(count) > 0
        counts.append(int(count))
    assert counts == sorted(wrong[wrong > 0].tolist(), reverse=True)[:10]


def test_images_are_normalised_as_in_training(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(3).integers(0, 256, (32, 32, 3), np.uint8)
    image.fromarray(pixels).save("one.png")
    words = ["inference", "--weights-dir", "run", "--images", "one.png", "--json"]
    values = json.loads(run(*words))["predictions"][0]["top"]
    assert {top["class"] for top in values} < set(CIFAR100_CLASSES)
    from resnet18_cifar10.example import NETWORK
    from resnet18_cifar10.weights import load_weights

    from odyssey.ops.loss import softmax
    from odyssey.training.step import inference

    model = load_weights("run")
    predict = inference(NETWORK, model.params, model.state, model.config)
    x = pixels.transpose(2, 0, 1) / 255 - np.array(CIFAR100_MEAN)[:, None, None]
    x = (x / np.array(CIFAR100_STD)[:, None, None]).astype("f4")[None]
    p = softmax(predict(x))[0]
    assert [top["label"] for top in values] == np.argsort(-p)[:3].tolist()
    assert values[0]["probability"] == pytest.approx(float(p.max()), rel=1e-5)


def test_a_resume_goes_on_to_the_same_bits():
    run("train", *TINY, *DATASET[2:], "--weights-dir", "cut", "--max-steps", 3)
    run("train", *TINY, *DATASET[2:], "--weights-dir", "cut", "--resume")
    assert_same_run(Path("cut"), Path("run"))
    write_tiny_cifar("datasets/cifar10")
    refusal = run("train", *TINY, "--weights-dir", "cut", "--resume", status=2)
    assert "--dataset was cifar100, is cifar10" in refusal


def test_the_data_set_that_is_meant(tmp_path):
    meant = "These weights were trained on CIFAR-100: --dataset cifar100"
    words = ["inference", "--weights-dir", "run", "--data-dir"]
    nowhere = tmp_path / "nowhere"
    assert (
        run(*words, nowhere, status=2) == f"Error: {nowhere}: no such folder. {meant}\n"
    )
    write_tiny_cifar(tmp_path)
    classes = "the model has 100 classes, cifar10 has 10"
    assert run(*words, tmp_path, status=2) == f"Error: {classes}. {meant}\n"
    how = f"python -m odyssey download --dataset cifar100 --data-dir {nowhere}"
    words += [nowhere, "--dataset", "cifar100"]
    missing = f"Error: {nowhere}: no such folder."
    assert run(*words, status=2) == f"{missing} To download CIFAR-100: {how}\n"
    words = ["train", *TINY, "--weights-dir", tmp_path / "new", *words[3:]]
    synthetic = "To do without: --dataset synthetic."
    assert run(*words, status=2) == (
        f"{missing} {synthetic} To download CIFAR-100: {how}\n"
    )


def test_a_series_takes_the_folder_of_its_data_set():
    arguments = ["--config", "baseline", "--results-dir", "series", "--dry-run"]
    for dataset in ("cifar10", "cifar100"):
        line = run("run_ablations", *arguments, "--dataset", dataset)
        assert f"--dataset {dataset} --data-dir datasets/{dataset} " in line
