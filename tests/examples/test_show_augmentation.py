"""The sheet of augmented images: its content, and the exit statuses."""

import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tiny_cifar import write_tiny_cifar

from odyssey.cli import augmentation as show_augmentation
from odyssey.data.cifar10 import load_cifar10


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_tiny_cifar(folder)
    return folder


def draw(data_dir, output, *words):
    command = ["--data-dir", data_dir, "--output", output, "--images", 3, "--scale", 1]
    result = CliRunner().invoke(
        show_augmentation.main, [str(word) for word in (*command, *words)]
    )
    return result, np.asarray(Image.open(output)) if output.is_file() else None


def test_originals_on_the_left_augmented_images_beside_them(data_dir, tmp_path):
    nothing = "--columns 2 --padding 0 --flip none".split()
    result, sheet = draw(data_dir, tmp_path / "sheet.png", *nothing)
    assert result.exit_code == 0, result.output
    assert sheet.shape == (3 * 34 + 2, 3 * 34 + 2, 3)
    assert f"{tmp_path / 'sheet.png'}: 104 x 104 pixels" in result.output
    images = load_cifar10(data_dir).train_images[:3].transpose(0, 2, 3, 1)
    for i in range(3):
        for j in range(3):  # nothing happens to the pixels, to the last bit
            top, left = 2 + 34 * i, 2 + 34 * j
            cell = sheet[top : top + 32, left : left + 32]
            np.testing.assert_array_equal(cell, images[i])
    assert (sheet[:2] == 255).all() and (sheet[:, -2:] == 255).all()


@pytest.mark.parametrize(
    "words",
    [
        "--columns 2 --randaugment 2 9 --cutout 8 --flip alternating",
        "--columns 2 --mixup-alpha 1 --cutmix-alpha 1 --seed -1 --epoch 7",
        "--operations --randaugment 1 20",
    ],
)
def test_the_same_options_give_the_same_sheet(data_dir, tmp_path, words):
    result, sheet = draw(data_dir, tmp_path / "one.png", *words.split())
    assert result.exit_code == 0, result.output
    _, again = draw(data_dir, tmp_path / "two.png", *words.split())
    np.testing.assert_array_equal(sheet, again)
    _, plain = draw(data_dir, tmp_path / "three.png", "--columns", 2)
    assert not np.array_equal(sheet, plain)
    if "operations" in words:
        assert sheet.shape[1] == 14 * 34 + 2


@pytest.mark.parametrize(
    "words, status, text",
    [
        ("--randaugment 2 31", 2, "31 is not in the range"),
        ("--mixup-alpha nan", 2, "--mixup-alpha"),
        ("--flip often", 2, "--flip"),
        ("--data-dir nowhere", 2, "nowhere"),
        ("--output no/such/folder/x.png", 1, "no/such/folder"),
    ],
)
def test_exit_statuses(data_dir, tmp_path, words, status, text):
    result, _ = draw(data_dir, tmp_path / "sheet.png", *words.split())
    assert result.exit_code == status
    assert text in result.output and "Traceback" not in result.output
    assert not list(tmp_path.iterdir())


def test_what_to_install_is_said(data_dir, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    result = CliRunner().invoke(
        show_augmentation.main,
        ["--data-dir", str(data_dir), "--output", str(tmp_path / "x.png")],
    )
    assert result.exit_code == 2 and "pip install pillow" in result.output
