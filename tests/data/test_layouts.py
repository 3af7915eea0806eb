"""Messages name other files and folders that are given in place of CIFAR-10."""

import os
import re

import numpy as np
import pytest
from tiny_cifar import write_tiny_cifar

from odyssey.cli import remedies as remedies  # the words that name options
from odyssey.data import idx, layouts
from odyssey.data.cifar10 import holds_cifar10, load_cifar10
from odyssey.data.dataset import DataError

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 31035704\n"
TO_IDX = "a form that is not read; odyssey/data/idx.py shows how to write IDX files"


def write(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def said_of(root):
    """Return the error of loading a folder, without the path."""
    with pytest.raises(DataError) as caught:
        load_cifar10(root)
    message = str(caught.value)
    assert message.startswith(f"{root}: ")
    assert "\n" not in message and len(message) < len(str(root)) + 300
    assert not holds_cifar10(root)
    return message[len(f"{root}: ") :]


@pytest.mark.parametrize(
    "names, said",
    [
        (
            ["train/cat/1.png", "train/dog/1.PNG", "test/cat/2.png", "readme"],
            f"holds images in a folder for each class (train{os.sep}cat{os.sep}, ...); "
            "--dataset folder reads it",
        ),
        (
            ["cat/1.jpeg", "dog/1.jpeg"],
            f"holds images in a folder for each class (cat{os.sep}, ...); "
            "--dataset folder reads it",
        ),
        (
            ["trainLabels.csv", "train/1.png", "test/1.png", "sampleSubmission.csv"],
            "holds CIFAR-10 as Kaggle has it (sampleSubmission.csv, trainLabels.csv); "
            "--dataset folder reads it; the published files have labels for the test "
            "images too",
        ),
        (
            ["train.7z", "test.7z"],
            "holds CIFAR-10 as Kaggle has it (test.7z, train.7z), still packed; a "
            "program for 7-Zip archives unpacks it",
        ),
        (["cifar10.npz"], f"holds cifar10.npz, arrays of NumPy, {TO_IDX}"),
        (
            ["plain_text/train-00000-of-00001.parquet", "README.md"],
            f"holds plain_text{os.sep}train-00000-of-00001.parquet, "
            f"a table in Parquet's format, as from Hugging Face, {TO_IDX}",
        ),
        (
            ["train/data-00000-of-00001.arrow", "train/state.json"],
            f"holds train{os.sep}data-00000-of-00001.arrow, a table in Arrow's format, "
            f"as from Hugging Face, {TO_IDX}",
        ),
        (
            ["3.0.2/cifar10-train.tfrecord-00000-of-00001"],
            f"holds 3.0.2{os.sep}cifar10-train.tfrecord-00000-of-00001, TensorFlow's "
            f"records, {TO_IDX}",
        ),
        (
            ["cifar-10-batches-mat/data_batch_1.mat"],
            f"holds cifar-10-batches-mat{os.sep}data_batch_1.mat, Matlab's form, "
            f"{TO_IDX}",
        ),
        (
            ["cifar-10-python.tar.gz"],
            "holds cifar-10-python.tar.gz, still packed; python -m odyssey "
            "download --from-file cifar-10-python.tar.gz unpacks it",
        ),
        (
            ["cifar-10-python.tar"],
            "holds cifar-10-python.tar, still packed; tar -xf cifar-10-python.tar "
            "unpacks it",
        ),
        (
            ["cifar-100-python.tgz"],
            "holds cifar-100-python.tgz, still packed; python -m odyssey download "
            "--dataset cifar100 --from-file cifar-100-python.tgz unpacks it",
        ),
        (
            ["cifar-100-python/train"],
            "holds CIFAR-100, not CIFAR-10; --dataset cifar100 reads it",
        ),
        (
            ["train", "test", "meta"],
            "holds CIFAR-100, not CIFAR-10; --dataset cifar100 reads it",
        ),
        (["x/a.png"], f"holds images without labels (x{os.sep}a.png); inference.py "),
        (
            ["notes.txt", "x/notes.txt"],
            "no CIFAR-10 here; expected cifar-10-batches-py",
        ),
        ([], "no CIFAR-10 here; expected cifar-10-batches-py/, cifar-10-batches-bin/"),
    ],
)
def test_other_layouts(tmp_path, names, said):
    write(tmp_path, *names)
    assert said_of(tmp_path).startswith(said)


def test_a_folder_too_high(tmp_path):
    write_tiny_cifar(tmp_path / "more" / "data")
    assert said_of(tmp_path / "more") == (
        f"no CIFAR-10 here, but in {tmp_path / 'more' / 'data'}"
    )
    assert load_cifar10(tmp_path / "more" / "data").test_images.shape[0] == 20


def test_folders_with_many_files_are_not_listed_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(layouts, "MAX_ENTRIES", 3)
    write(tmp_path, *(f"{i}.png" for i in range(9)))
    assert said_of(tmp_path).startswith("holds images without labels (")
    assert len(layouts._entries(tmp_path)) == 3


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("data_batch_1", b"\x80\x02", "a file, not the folder that the data lies in"),
        ("data", POINTER, "a pointer of Git LFS, not the file itself; git lfs pull"),
        ("index.html", b"<!doctype html>", "a web page (HTML), not the folder"),
        ("cifar10.npz", b"PK", f"arrays of NumPy, {TO_IDX}"),
        (
            "x.parquet",
            b"PAR1",
            f"a table in Parquet's format, as from Hugging Face, {TO_IDX}",
        ),
        (
            "cifar-10-binary.tar.gz",
            b"\x1f\x8b",
            "an archive, not a folder; python -m odyssey download --from-file",
        ),
    ],
)
def test_a_file_in_place_of_the_folder(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    assert said_of(path).startswith(said)


def test_links_and_pipes_in_place_of_the_folder(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert said_of(tmp_path / "link") == "a link that leads nowhere"
    os.mkfifo(tmp_path / "pipe")
    assert said_of(tmp_path / "pipe") == "a file, not the folder that the data lies in"
    assert said_of(tmp_path / "link" / "below") == "no such folder"
    write(tmp_path, "file")
    assert said_of(tmp_path / "file" / "x") == "cannot be opened: Not a directory"


OTHERS = {
    POINTER: "a pointer of Git LFS, not the file itself; git lfs pull fetches that",
    b"\xef\xbb\xbf \n<!DocType HTML PUBLIC>": "a web page (HTML)",
    b"<html>": "a web page (HTML)",
    b"\x1f\x8b\x08" + bytes(30): "gzip data (.gz)",
    b"PK\3\4" + bytes(26) + b"x_train.npy" + bytes(30): "NumPy arrays (.npz)",
    b"PK\3\4" + bytes(40): "a ZIP archive",
    b"PAR1" + bytes(40): "a table in Parquet's format",
    b"\x89HDF\r\n\x1a\n" + bytes(40): "a file of HDF5 (.h5)",
    b"\x93NUMPY\1\0" + bytes(40): "a NumPy array (.npy)",
    b"x" * 257 + b"ustar\x0000": "a tar archive that is not compressed",
}


@pytest.mark.parametrize("form", ["python", "binary", "idx"])
@pytest.mark.parametrize("content", OTHERS)
def test_other_files_in_place_of_a_batch(tmp_path, form, content):
    write_tiny_cifar(tmp_path, form, records=2)
    for path in (p for p in tmp_path.rglob("*") if p.is_file()):
        if "meta" in path.name:
            continue
        whole = path.read_bytes()
        path.write_bytes(content)
        with pytest.raises(DataError) as caught:
            load_cifar10(tmp_path)
        assert str(caught.value) == f"{path}: {OTHERS[content]}"
        path.write_bytes(whole)


def test_class_names_that_are_a_pointer(tmp_path):
    write_tiny_cifar(tmp_path, records=2)
    path = tmp_path / "cifar-10-batches-py" / "batches.meta"
    path.write_bytes(POINTER)
    match = re.escape(f"{path}: {OTHERS[POINTER]}; using the standard class names")
    with pytest.warns(UserWarning, match=match):
        load_cifar10(tmp_path)


def test_own_images_as_idx_files_as_the_module_shows(tmp_path, monkeypatch):
    """The code in the documentation writes files that can be read."""
    rng = np.random.default_rng(0)
    arrays = {"np": np}
    for part, count in (("train", 30), ("test", 20)):
        arrays[f"{part}_images"] = rng.integers(0, 256, (count, 32, 32, 3), np.uint8)
        arrays[f"{part}_labels"] = rng.integers(0, 10, count)
    lines = idx.__doc__.split("::\n")[1].splitlines()
    code = "\n".join(line[4:] for line in lines if line.startswith("    ") or not line)
    monkeypatch.chdir(tmp_path)
    exec(code, arrays)
    data = load_cifar10(tmp_path)
    for part, images, labels in (
        ("train", data.train_images, data.train_labels),
        ("test", data.test_images, data.test_labels),
    ):
        np.testing.assert_array_equal(
            images.transpose(0, 2, 3, 1), arrays[f"{part}_images"]
        )
        np.testing.assert_array_equal(labels, arrays[f"{part}_labels"])
