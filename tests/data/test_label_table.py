"""Images with a table of labels, as Kaggle has those of CIFAR-10."""

import os

import pytest

from odyssey.data.class_folders import find_class_folders
from odyssey.data.dataset import DataError

pytest.importorskip("PIL")


def named(root, labelled):
    """Return the images as a set of path below the root and label."""
    return {(os.path.relpath(path, root), label) for path, label in labelled}


KAGGLE = ("train/1.png", "train/2.png", "train/3.png", "train/10.png", "train/4.png")
TABLE = b"\xef\xbb\xbfid,label\r\n1,frog\r\n2,truck\r\n3,truck\r\n10,frog\r\n4,frog\r\n"


def test_images_with_a_table_of_labels_as_kaggle_has_them(tmp_path, write):
    write(*KAGGLE, "test/1.png", "test/2.png", "sampleSubmission.csv")
    write("trainLabels.csv", content=TABLE)
    found = find_class_folders(tmp_path)
    assert found.classes == ("frog", "truck")
    assert named(tmp_path, found.train + found.test) == {
        ("train/1.png", 0),
        ("train/2.png", 1),
        ("train/3.png", 1),
        ("train/10.png", 0),
        ("train/4.png", 0),
    }
    assert [len(found.train), len(found.test)] == [3, 2]
    assert found.notes[0] == (
        "test/ has no images in folders of classes, so no labels: it is not used"
    )


def test_a_table_without_heads_that_names_files(tmp_path, write):
    write(*KAGGLE)
    (tmp_path / "train" / "1.jpg").touch()
    rows = "1.png,a\n1.jpg,b\n2.png,a\n3.png,b\n10.png,b\n4.png,b\n"
    (tmp_path / "labels.csv").write_text(rows)
    found = find_class_folders(tmp_path)
    images = named(tmp_path, found.train + found.test)
    assert len(images) == 6
    assert {("train/1.png", 0), ("train/1.jpg", 1)} < images


@pytest.mark.parametrize(
    "table, said",
    [
        (TABLE + b"11,frog\n", "has 1 id (11) without an image in {train}"),
        (TABLE + b"4,truck\n", "has 4 twice"),
        (TABLE[:-17], "has no row for 2 images (10.png, 4.png) of {train}"),
        (b"id,label\n1,frog,x\n", "row 2 has not the two columns id and label: "),
        (b"id,label\n1,\n", "row 2 has not the two columns id and label: ['1', '']"),
        (b'id,label\n1,"frog', "not a table of comma-separated text: "),
        (b"id,label\n1,fr\xf6g\n", "not a table of comma-separated text: "),
        (b"<html>log in", "a web page (HTML)"),
    ],
)
def test_a_table_that_does_not_fit(tmp_path, write, table, said):
    write(*KAGGLE)
    write("trainLabels.csv", content=table)
    with pytest.raises(DataError) as caught:
        find_class_folders(tmp_path)
    said = said.format(train=tmp_path / "train")
    assert str(caught.value).startswith(f"{tmp_path / 'trainLabels.csv'}: {said}")
