"""``train.py --tensorboard``: a run killed and resumed, in TensorBoard's own reader."""

import csv
import io
import json
import signal

import numpy as np
import pytest
from programs import SMALL, STEPS, losses_of, run_here, run_signalled
from tiny_cifar import write_tiny_cifar

pytest.importorskip("tensorboardX")
pytest.importorskip("tensorboard")
Image = pytest.importorskip("PIL.Image")

from tensorboard.backend.event_processing.event_accumulator import (  # noqa: E402
    EventAccumulator,
)

EVERY = 2
KINDS = ("scalars", "histograms", "images", "tensors")


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """Return the folder of a run that was killed in its second epoch, and resumed."""
    folder = tmp_path_factory.mktemp("run")
    write_tiny_cifar(folder / "data")
    places = ["--data-dir", folder / "data", "--weights-dir", folder / "weights"]
    board = ["--tensorboard", folder / "events", "--tensorboard-every", EVERY]
    arguments = [*places, *SMALL, *board]
    killed = run_signalled(signal.SIGKILL, "step", STEPS + 4, *arguments)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    result = run_here("train", *arguments, "--resume")
    assert result.exit_code == 0, result.output
    assert f"{STEPS} steps done" in result.output  # others are done over again
    return folder


@pytest.fixture(scope="module")
def shown(resumed):
    everything = dict.fromkeys(KINDS, 0)
    return EventAccumulator(str(resumed / "events"), everything).Reload()


def scalars(shown, tag):
    return [(event.step, event.value) for event in shown.Scalars(tag)]


def pixels(event):
    return np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))


def test_scalars_are_those_of_the_logs(resumed, shown):
    lines = map(json.loads, losses_of(resumed / "weights"))
    steps = [line for line in lines if line["step"] % EVERY == 0]
    assert len(steps) == STEPS
    for column, tag in (("lr", "learning_rate"), ("loss", "loss/batch")):
        logged = [(line["step"], np.float32(line[column])) for line in steps]
        assert scalars(shown, tag) == logged
    with open(resumed / "weights" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    for column, tag in (
        ("train_loss", "loss/train"),
        ("train_accuracy", "accuracy/train"),
        ("test_loss", "loss/test"),
        ("test_accuracy", "accuracy/test"),
        ("images_per_second", "images_per_second"),
    ):
        logged = [(STEPS * n, np.float32(r[column])) for n, r in enumerate(rows, 1)]
        assert scalars(shown, tag) == logged


def test_every_parameter_has_histograms_and_norms(resumed, shown):
    manifest = json.loads((resumed / "weights" / "manifest.json").read_text())
    parameters = [name for name in manifest["tensors"] if "_running_" not in name]
    assert len(parameters) == 62
    tags = {
        f"{kind}/{name}" for kind in ("weights", "gradients") for name in parameters
    }
    assert set(shown.Tags()["histograms"]) == tags
    for tag in tags:
        kind, name = tag.split("/")
        norms = scalars(shown, f"{kind[:-1]}_norms/{name}")
        events = shown.Histograms(tag)
        assert [event.step for event in events] == [step for step, _ in norms]
        for event, (_, norm) in zip(events, norms, strict=True):
            values = event.histogram_value
            shape = manifest["tensors"][name]["shape"]
            assert values.num == sum(values.bucket) == np.prod(shape)
            assert values.sum_squares == pytest.approx(norm**2, rel=1e-5)


def test_pictures(resumed, shown):
    first, again = map(pixels, shown.Images("training_images"))
    assert first.shape == (2 * (32 + 2) + 2, 8 * (32 + 2) + 2, 3)  # a batch of 16
    assert again.shape == first.shape and (again != first).any()
    confusions = shown.Images("confusion/test")
    assert [event.step for event in confusions] == [STEPS, 2 * STEPS]
    for event in confusions:
        assert pixels(event).shape == (event.height, event.width, 3)
        assert len(np.unique(pixels(event))) > 2


def test_no_step_is_there_twice(shown):
    tags = shown.Tags()
    read = (shown.Scalars, shown.Histograms, shown.Images, shown.Tensors)
    for kind, events_of in zip(KINDS, read, strict=True):
        assert tags[kind]
        for tag in tags[kind]:
            steps = [event.step for event in events_of(tag)]
            assert steps == sorted(set(steps)), tag
