"""A user's own images, in a folder for each class, through the programs."""

import csv
import json
import os
import shutil
import signal
from pathlib import Path

import numba
import numpy as np
import pytest
from click.testing import CliRunner
from linear_network import EXAMPLE

from odyssey.cli import augmentation
from odyssey.cli.classify import classify_program
from odyssey.cli.model_options import check_image_shape
from odyssey.cli.train import train_program
from odyssey.data import folder
from odyssey.data.folder import load_folder
from odyssey.data.image_files import read_image
from odyssey.errors import InputError
from odyssey.training.recipe import data_digest
from odyssey.training.recipe_file import read_recipe

Image = pytest.importorskip("PIL.Image")
TRAIN, CLASSIFY = train_program(EXAMPLE), classify_program(EXAMPLE)
NAMES = ("bär", "cat", "elk")


def draw(root, part, count, rng):
    """Write images whose class is the position of a bright bar, in several formats."""
    for i in range(count):
        label = i % 3
        pixels = rng.integers(0, 120, (30 + i % 2, 40, 3), dtype=np.uint8)
        pixels[:, 8 + 8 * label : 14 + 8 * label] += 120
        place = root / part / NAMES[label]
        place.mkdir(parents=True, exist_ok=True)
        kind = ("png", "bmp", "webp")[i % 3 if part == "train" else 0]
        options = {"lossless": True} if kind == "webp" else {}
        Image.fromarray(pixels).save(place / f"{i:02}.{kind}", **options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with photos in ``photos`` and a run that learnt from them in ``run``."""
    place = tmp_path_factory.mktemp("own")
    rng, threads = np.random.default_rng(3), numba.get_num_threads()
    draw(place / "photos", "train", 48, rng)
    draw(place / "photos", "test", 18, rng)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.chdir(place)
        output = call(TRAIN, *OWN, *LINEAR, "--epochs", 3, "--weights-dir", "run")
        (place / "output").write_text(output, "utf-8")
        yield place
    numba.set_num_threads(threads)


@pytest.fixture(autouse=True)
def here(trained, monkeypatch):
    monkeypatch.chdir(trained)
    return trained


OWN = ["--dataset", "folder", "--data-dir", "photos"]
LINEAR = "--model linear3x24x24 --image-size 24 --batch-size 16 --lr 0.01 --threads 1"
LINEAR = LINEAR.split()


def call(program, *words, status=0):
    result = CliRunner().invoke(program, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result.output


def test_training_says_what_it_found(here):
    first, second, header, *_, head, classify, report = (
        (here / "output").read_text("utf-8").splitlines()
    )
    inference = Path(__file__).parent / "inference.py"
    assert head == "next:" and report == "  python -m odyssey report run"
    assert classify == (
        f"  python {inference} --weights-dir run --dataset folder --data-dir photos"
    )
    assert first.startswith(
        "photos: 48 training, 18 test images of 3 classes (0 bär, 1 cat, 2 elk); read "
    )
    assert second.startswith("red, green, blue of training: mean 0.3")
    assert header.endswith("folder images: train 48, test 18")


def test_the_run_keeps_what_inference_needs(here):
    data = load_folder("photos", 24)
    manifest = json.loads(Path("run/manifest.json").read_text("utf-8"))
    assert manifest["dataset"] == "folder" and manifest["image_fit"] == "crop"
    assert manifest["image_shape"] == [3, 24, 24]
    assert manifest["classes"] == list(NAMES) == list(data.class_names)
    assert manifest["mean"] == list(data.mean) and manifest["std"] == list(data.std)
    recipe = read_recipe("run/recipe.yml")
    assert (recipe["dataset"], recipe["image_size"]) == ("folder", 24)
    digest = data_digest(data.train_images, data.train_labels)
    assert digest in Path("run/recipe.yml").read_text("utf-8")


def evaluated(*more):
    return json.loads(
        CliRunner()
        .invoke(CLASSIFY, [*OWN, "--weights-dir", "run", "--json", *more])
        .stdout
    )


def test_the_test_images_are_classified_as_in_training():
    with open("run/metrics.csv") as file:
        *_, last = csv.DictReader(file)
    values = evaluated()
    assert values["accuracy"] == float(last["test_accuracy"]) > 0.6
    assert values["loss"] == pytest.approx(float(last["test_loss"]), rel=1e-6)
    assert [row["class"] for row in values["per_class"]] == list(NAMES)


def test_a_folder_of_folders_is_classified_as_the_same_images(tmp_path):
    words = ["--weights-dir", "run", "--images"]
    values = json.loads(call(CLASSIFY, *words, "photos/test", "--json"))
    files = [p["file"] for p in values["predictions"]]
    names = sorted(p.as_posix() for p in Path("photos/test").rglob("*.png"))
    assert files == names and len(files) == 18
    assert (values["correct"], values["total"]) == (evaluated()["correct"], 18)
    *lines, last = call(CLASSIFY, *words, "photos/test").splitlines()
    assert len(lines) == 18
    share = values["correct"] / 18
    assert last == (
        f"accuracy {share:.2%} ({values['correct']} of 18), by the folders' names"
    )
    shutil.copy(files[0], tmp_path / "other.png")  # not in the folder of a class
    output = call(CLASSIFY, *words, files[1], tmp_path / "other.png")
    assert "accuracy" not in output and len(output.splitlines()) == 2


def test_a_part_of_the_classes_keeps_its_labels(tmp_path):
    shutil.copytree("photos", tmp_path / "photos")
    for part in ("train", "test"):
        shutil.rmtree(tmp_path / "photos" / part / "bär")
    values = evaluated("--data-dir", str(tmp_path / "photos"))
    whole = evaluated()
    assert values["per_class"][1:] == whole["per_class"][1:]
    assert values["per_class"][0]["total"] == 0
    (tmp_path / "photos" / "test" / "cat").rename(tmp_path / "photos" / "test" / "cow")
    output = call(
        CLASSIFY,
        *("--dataset", "folder", "--data-dir", tmp_path / "photos"),
        *("--weights-dir", "run"),
        status=2,
    )
    assert output == (
        f"Error: {tmp_path / 'photos'}: has classes that the model does not know: cow; "
        "it knows bär, cat, elk\n"
    )


def test_resume_and_another_size(tmp_path):
    words = [*OWN, *LINEAR, "--weights-dir", tmp_path / "run"]
    call(TRAIN, *words, "--epochs", 3, "--max-steps", 4)
    call(TRAIN, *words, "--epochs", 3, "--resume")
    manifests = [
        json.loads((folder / "manifest.json").read_text("utf-8"))
        for folder in (Path("run"), tmp_path / "run")
    ]
    assert manifests[0] == manifests[1]  # with the checksums of all tensors
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save("photos/train/cat/new.png")
    try:
        output = call(TRAIN, *words, "--epochs", 4, "--resume", status=2)
    finally:
        os.unlink("photos/train/cat/new.png")
    assert "the training images (sha256) was" in output


def test_validation_images_of_the_users_own(tmp_path):
    shutil.copytree("photos", tmp_path / "photos")
    shutil.copytree("photos/test", tmp_path / "photos" / "val")
    words = ["--dataset", "folder", "--data-dir", tmp_path / "photos", *LINEAR]
    words += ["--epochs", 1, "--weights-dir", tmp_path / "run"]
    output = call(TRAIN, *words, "--val-split", 5, status=2)
    said = f"{tmp_path / 'photos'} has images for validation of its own."
    assert f"Error: Invalid value for --val-split: {said}" in output
    call(TRAIN, *words)
    with open(tmp_path / "run" / "metrics.csv") as file:
        (row,) = csv.DictReader(file)
    assert row["val_loss"] == row["test_loss"] and row["val_accuracy"]


def test_a_network_that_takes_no_such_images(tmp_path):
    words = [*OWN, "--model", "linear3x24x24", "--weights-dir", tmp_path / "run"]
    output = call(TRAIN, *words, "--threads", 1, status=2)
    last = output.splitlines()[-1]
    assert last.startswith("Error: linear3x24x24 takes no images of 3 x 32 x 32 (")
    assert not (tmp_path / "run").exists()


def test_a_network_whose_backward_takes_no_such_images():
    """As AlexNet's with 28 x 28 pixels: a row is left over when pooling."""

    def backward(*args):
        raise ValueError("cannot reshape")

    network = EXAMPLE.network._replace(backward=backward)
    config = network.models["linear3x24x24"]
    data = load_folder("photos", 24)
    check_image_shape(EXAMPLE.network, config, data)
    with pytest.raises(InputError) as caught:
        check_image_shape(network, config, data)
    assert str(caught.value) == (
        "linear3x24x24 takes no images of 3 x 24 x 24 (cannot reshape)"
    )


def test_the_size_is_for_folders(tmp_path):
    output = call(TRAIN, "--dataset", "synthetic", "--image-size", 24, status=2)
    assert output.endswith(
        "Error: --image-size is for --dataset folder; the images of synthetic have a "
        "size.\n"
    )


def test_advice_about_other_data():
    words = ["--weights-dir", "run", "--data-dir", "nowhere"]
    output = call(CLASSIFY, *words, status=2)
    assert output == (
        "Error: nowhere: no such folder. These weights were trained on a folder of "
        "images: --dataset folder --data-dir DIR\n"
    )
    output = call(CLASSIFY, *words, "--dataset", "folder", status=2)
    assert output == (
        "Error: nowhere: no such folder; --data-dir names the folder that has "
        "train/CLASS/*.png or CLASS/*.png\n"
    )


def test_a_sheet_of_augmented_photos(tmp_path):
    sheet = tmp_path / "sheet.png"
    words = ["--images", 2, "--columns", 1, "--scale", 1, "--output", sheet]
    call(augmentation.main, *OWN, "--image-size", 24, *words, "--no-augment")
    first = load_folder("photos", 24).train_images[0].transpose(1, 2, 0)
    np.testing.assert_array_equal(np.asarray(Image.open(sheet))[2:26, 2:26], first)


def test_unreadable_images_are_all_named(tmp_path):
    shutil.copytree("photos", tmp_path / "photos")
    bad = [tmp_path / "photos" / "train" / "cat" / f"{i}.png" for i in range(7)]
    for path in bad:
        path.write_bytes(b"no image")
    words = ["--dataset", "folder", "--data-dir", tmp_path / "photos", *LINEAR]
    lines = call(TRAIN, *words, "--weights-dir", tmp_path / "run", status=2)
    *lines, last = lines.splitlines()
    assert [line.split(": ")[1] for line in lines] == list(map(str, bad))
    assert all(line.startswith("Error: ") and "not an image" in line for line in lines)
    names = ", ".join(map(str, bad[:5]))
    assert last == f"Error: 7 images cannot be read: {names} and 2 more"


def test_a_signal_stops_the_reading(tmp_path, monkeypatch):
    decode = folder.decode

    def interrupted(path, *how):
        os.kill(os.getpid(), signal.SIGTERM)
        return decode(path, *how)

    monkeypatch.setattr(folder, "CHUNK", 48)
    monkeypatch.setattr(folder, "decode", interrupted)
    monkeypatch.setattr(os, "_exit", lambda status: None)  # of the second signal
    words = [*OWN, *LINEAR, "--weights-dir", tmp_path / "run"]
    output = call(TRAIN, *words, status=143)
    assert output.splitlines()[-1] == "stopped by SIGTERM: nothing is trained yet"
    assert not (tmp_path / "run").exists()


def test_photos_are_prepared_in_inference_as_in_training(monkeypatch):
    """Cropped, not stretched: else a class at the border would look like another."""
    seen = []
    monkeypatch.setattr(
        "odyssey.training.classification.read_image",
        lambda path, *how: seen.append(how) or read_image(path, *how),
    )
    call(CLASSIFY, "--weights-dir", "run", "--images", "photos/test/cat/01.png")
    assert seen == [((3, 24, 24), "crop")]
