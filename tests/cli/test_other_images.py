"""Images of other shapes than CIFAR's, through every program from end to end."""

import csv
import io
import json
import os
from pathlib import Path

import numba
import numpy as np
import pytest
from click.testing import CliRunner
from linear_network import EXAMPLE
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from odyssey.cli import augmentation, data_options
from odyssey.cli.classify import classify_program
from odyssey.cli.main import main as odyssey
from odyssey.cli.train import train_program
from odyssey.data.dataset import Dataset
from odyssey.data.loader import BatchLoader

NAMES = tuple(f"{n} of a kind" for n in range(5))
SHAPES = {"grey": (1, 28, 28), "colour": (3, 48, 40)}
STATISTICS = {
    "grey": {"mean": (0.1307,), "std": (0.3081,)},
    "colour": {"mean": (0.6, 0.2, 0.4), "std": (0.15, 0.25, 0.35)},
}


def make_dataset(kind):
    """Return images whose class is the position of a bright bar."""
    C, H, W = SHAPES[kind]
    rng = np.random.default_rng(11)
    images = rng.integers(0, 120, (72, H, W, C), dtype=np.uint8)
    labels = rng.integers(0, 5, 72)
    for image, label in zip(images, labels, strict=True):
        image[5 * label : 5 * label + 4] += 120
    images = images.transpose(0, 3, 1, 2)
    parts = images[:48], labels[:48], images[48:], labels[48:]
    return Dataset(*parts, NAMES, **STATISTICS[kind])


def normalised(images, kind):
    mean, std = (np.array(v)[:, None, None] for v in STATISTICS[kind].values())
    return ((images / 255 - mean) / std).astype(np.float32)


def call(program, *words, status=0):
    result = CliRunner().invoke(program, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result.output


TRAIN, CLASSIFY = train_program(EXAMPLE), classify_program(EXAMPLE)
SYNTHETIC = ["--dataset", "synthetic"]  # in whose place the images come


def options(kind):
    """Return those of training."""
    model = "linear" + "x".join(map(str, SHAPES[kind]))
    rest = "--epochs 3 --batch-size 16 --lr 0.01 --cutout 6 --threads 1"
    return ["--model", model, *rest.split()]


@pytest.fixture(scope="module", params=SHAPES)
def kind(request, tmp_path_factory):
    """A kind of images, with a run that was trained on them in ``run``."""
    place, data = tmp_path_factory.mktemp(request.param), make_dataset(request.param)
    threads = numba.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(data_options, "load_dataset", lambda *where, **how: data)
        patch.chdir(place)
        places = ["--weights-dir", "run", "--tensorboard", "events"]
        call(TRAIN, *SYNTHETIC, *options(request.param), *places)
        yield request.param
    numba.set_num_threads(threads)


def test_the_data_set_says_what_it_holds(kind):
    data = make_dataset(kind)
    assert (data.image_shape, data.num_classes) == (SHAPES[kind], 5)
    assert repr(data) == "Dataset(48 training, 24 test images, 5 classes)"


def test_the_manifest_says_how_images_are_to_be_normalised(kind):
    manifest = json.loads(Path("run/manifest.json").read_text())
    assert manifest["image_shape"] == list(SHAPES[kind])
    assert manifest["mean"] == list(STATISTICS[kind]["mean"])
    assert manifest["std"] == list(STATISTICS[kind]["std"])
    assert (manifest["classes"], manifest["num_classes"]) == (list(NAMES), 5)


def evaluated():
    return json.loads(call(CLASSIFY, *SYNTHETIC, "--weights-dir", "run", "--json"))


def test_the_test_set_is_classified_as_in_training(kind):
    with open("run/metrics.csv") as file:
        *_, last = csv.DictReader(file)
    values = evaluated()
    assert values["accuracy"] == float(last["test_accuracy"]) > 0.5
    assert values["loss"] == pytest.approx(float(last["test_loss"]), rel=1e-6)
    assert [row["class"] for row in values["per_class"]] == list(NAMES)


def test_image_files_are_classified_as_the_same_images_in_the_set(kind):
    data, C = make_dataset(kind), SHAPES[kind][0]
    confusion = np.zeros((5, 5), int)
    for i, image in enumerate(data.test_images):
        pixels = image.transpose(1, 2, 0)
        Image.fromarray(pixels if C == 3 else pixels[..., 0]).save(f"{i:02}.png")
    words = ["--weights-dir", "run", "--images", ".", "--json"]
    predictions = json.loads(call(CLASSIFY, *words))["predictions"]
    for prediction, label in zip(predictions, data.test_labels, strict=True):
        confusion[label, prediction["top"][0]["label"]] += 1
    assert confusion.tolist() == evaluated()["confusion"]


def test_tensorboard_shows_the_images_as_they_were_trained_on(kind):
    data, (_, H, W) = make_dataset(kind), SHAPES[kind]
    shown = EventAccumulator("events", size_guidance={"images": 0}).Reload()
    (event,) = shown.Images("training_images")
    sheet = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
    assert sheet.shape == (2 + 2 * (H + 2), 2 + 8 * (W + 2), 3)
    # Without normalisation, of which cutout's zero is the mean colour then.
    plain = {"mean": [0] * SHAPES[kind][0], "std": [1 / 255] * SHAPES[kind][0]}
    loader = BatchLoader(
        data.train_images, data.train_labels, 16, augment=True, cutout=6, **plain
    )
    x, _ = next(loader.epoch(0))
    mean = np.rint(255 * np.array(STATISTICS[kind]["mean"])[:, None, None])
    cutout = (x == 0).all(axis=1, keepdims=True)  # or the black of a crop's border
    for place, image in enumerate(x):
        i, j = divmod(place, 8)
        top, left = 2 + i * (H + 2), 2 + j * (W + 2)
        cell = sheet[top : top + H, left : left + W].transpose(2, 0, 1)
        if kind == "grey":
            assert (cell == cell[:1]).all()
            cell = cell[:1]
        whole = np.broadcast_to(~cutout[place], cell.shape)
        np.testing.assert_array_equal(cell[whole], image[whole])
        dark = (cell == mean) | (cell == 0)
        assert dark[~whole].all() and (cell == mean).all(axis=0).sum() >= 9
    assert shown.Images("confusion/test")


def test_the_report_shows_mistakes_as_they_are(kind):
    data = make_dataset(kind)
    with np.load("run/evaluation.npz") as kept:
        mistakes, pictures = kept["test_mistakes"], kept["test_pictures"]
    np.testing.assert_array_equal(pictures, data.test_images[mistakes])
    assert pictures.shape[1:] == SHAPES[kind]
    call(odyssey, "report", "run")
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert page.count("taken for <b>") == len(mistakes)
    for name in NAMES:
        assert name in page


def test_a_sheet_of_augmented_images(kind):
    _, H, W = SHAPES[kind]
    words = ["--images", 3, "--columns", 2, "--padding", 0, "--flip", "none"]
    call(augmentation.main, *SYNTHETIC, *words, "--scale", 1)
    sheet = np.asarray(Image.open("augmentation.png"))
    assert sheet.shape == (3 * (H + 2) + 2, 3 * (W + 2) + 2, 3)
    for i, image in enumerate(make_dataset(kind).train_images[:3]):
        for j in range(3):
            top, left = 2 + (H + 2) * i, 2 + (W + 2) * j
            cell = sheet[top : top + H, left : left + W]
            wanted = np.broadcast_to(image.transpose(1, 2, 0), cell.shape)
            np.testing.assert_array_equal(cell, wanted)


def test_randaugment_needs_colours(kind):
    words = [*SYNTHETIC, *options(kind), "--weights-dir", "colours"]
    words += ["--randaugment", 1, 9]
    sheet = [*SYNTHETIC, "--images", 2, "--columns", 1, "--output", "sheet.png"]
    if kind == "colour":
        call(TRAIN, *words, "--max-steps", 1)
        call(augmentation.main, *sheet, "--operations")
        return
    said = "RandAugment needs images with channels red, green and blue; these have 1."
    output = call(TRAIN, *words, status=2)
    assert f"Invalid value for --randaugment: {said}" in output
    for option in (["--randaugment", 1, 9], ["--operations"]):
        output = call(augmentation.main, *sheet, *option, status=2)
        assert f"Invalid value for {option[0]}: {said}" in output
    assert not Path("colours").exists() and not Path("sheet.png").exists()


def test_recalibration_sees_images_as_training_did(kind, monkeypatch):
    seen = []

    def estimate(network, params, config, batches):
        seen.extend(batches)
        return {}

    monkeypatch.setattr("odyssey.cli.classify.estimate_running_statistics", estimate)
    call(CLASSIFY, *SYNTHETIC, "--weights-dir", "run", "--recalibrate")
    (x,) = seen
    np.testing.assert_array_equal(x, normalised(make_dataset(kind).train_images, kind))
