"""Which images a folder holds, in which classes and parts; no image is opened here."""

import os
import unicodedata

import pytest

from odyssey.cli import remedies as remedies  # the words that name options
from odyssey.data.class_folders import find_class_folders
from odyssey.data.dataset import DataError

pytest.importorskip("PIL")


def said_of(root, **options):
    """Return the error of a folder, without the path."""
    with pytest.raises(DataError) as caught:
        find_class_folders(root, **options)
    message = str(caught.value)
    assert message.startswith(f"{root}")
    return message.removeprefix(f"{root}").removeprefix(": ")


def named(root, labelled):
    """Return the images as a set of path below the root and label."""
    found = {(os.path.relpath(path, root), label) for path, label in labelled}
    assert len(found) == len(labelled)
    return found


def test_train_and_test(tmp_path, write):
    write("train/dog/2.jpg", "train/Cat/1.png", "train/dog/more/5.PNG")
    write("test/dog/3.webp", "test/Cat/1.png", "README.md")
    found = find_class_folders(tmp_path)
    assert found.classes == ("Cat", "dog")  # by code points: capitals come first
    assert named(tmp_path, found.train) == {
        ("train/Cat/1.png", 0),
        ("train/dog/2.jpg", 1),
        ("train/dog/more/5.PNG", 1),
    }
    assert named(tmp_path, found.test) == {
        ("test/Cat/1.png", 0),
        ("test/dog/3.webp", 1),
    }
    assert found.val == [] and found.notes == []


@pytest.mark.parametrize("name", ["val", "valid", "Validation", "dev"])
def test_images_for_validation(tmp_path, write, name):
    write(f"{name}/a/4.png", f"{name}/b/5.png", "Train/a/1.png", "Train/b/2.png")
    found = find_class_folders(tmp_path)
    assert named(tmp_path, found.test) == {
        (f"{name}/a/4.png", 0),
        (f"{name}/b/5.png", 1),
    }
    assert found.val == []
    assert found.notes == [f"{name}/ is the test set, as there is no other"]
    write("testing/a/6.png", "testing/b/7.png")
    found = find_class_folders(tmp_path)
    assert named(tmp_path, found.val) == {
        (f"{name}/a/4.png", 0),
        (f"{name}/b/5.png", 1),
    }
    assert len(found.test) == 2 and found.notes == []


def test_without_a_test_set_one_image_in_five_is_it(tmp_path, write):
    write(*(f"{name}/{i}.png" for name in ("a", "b") for i in range(25)))
    write(*(f"c/{i}.png" for i in range(3)), "d/0.png")
    found = find_class_folders(tmp_path)
    counts = [[label for _, label in part].count for part in (found.train, found.test)]
    assert [[count(label) for label in range(4)] for count in counts] == [
        [20, 20, 2, 1],
        [5, 5, 1, 0],
    ]
    assert not {path for path, _ in found.train} & {path for path, _ in found.test}
    assert found.notes == [
        "no test set: it is one image in 5 of each class, chosen by the SHA-256 of "
        "their names"
    ]
    write("a/new.png")  # an image more leaves the others where they are
    more = find_class_folders(tmp_path)
    assert len(set(found.test) - set(more.test)) <= 1


def test_the_order_mixes_the_classes_and_is_that_of_the_names(tmp_path, monkeypatch):
    for order in (1, -1):  # the order in which the files are made, and listed
        root = tmp_path / str(order)
        for name in "abcd"[::order]:
            (root / "train" / name).mkdir(parents=True)
            (root / "test" / name).mkdir(parents=True)
            for i in range(10)[::order]:
                (root / "train" / name / f"{i}.png").touch()
                (root / "test" / name / f"{i}.png").touch()
    scandir = os.scandir

    class Reversed:
        def __init__(self, path):
            with scandir(path) as entries:
                self.entries = sorted(entries, key=lambda e: e.name, reverse=True)

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *exc_info):
            pass

    first = find_class_folders(tmp_path / "1")
    monkeypatch.setattr(os, "scandir", Reversed)
    second = find_class_folders(tmp_path / "-1")
    for part in ("train", "test"):
        images = [
            [(os.path.relpath(path, tmp_path / root), label) for path, label in found]
            for root, found in (
                ("1", getattr(first, part)),
                ("-1", getattr(second, part)),
            )
        ]
        assert images[0] == images[1] and len(images[0]) == 40
        assert {label for _, label in images[0][:12]} == {0, 1, 2, 3}


def test_what_is_no_image_of_a_class_is_left_out(tmp_path, write):
    write("a/1.png", "a/2.png", "b/1.png", "b/2.png")
    usual = find_class_folders(tmp_path)
    write("a/Thumbs.db", "a/.DS_Store", "b/._1.png", "b/notes", "b/labels.txt")
    write(".hidden/1.png", "__MACOSX/a/1.png", "a/@eaDir/1.png", "loose.png")
    (tmp_path / "empty").mkdir()
    found = find_class_folders(tmp_path)
    assert found[:4] == usual[:4]
    assert found.notes == [
        f"1 images in {tmp_path} itself have no class: they are left out",
        "empty folders are no classes: empty",
        usual.notes[0],
        "3 other files are left out (.db, .txt, no suffix)",
    ]


def test_photos_that_may_be_unreadable_are_not_left_out(tmp_path, write):
    write("a/1.png", "a/2.HEIC", "b/1.png", "b/2.dng")
    found = find_class_folders(tmp_path)
    assert len(found.train) + len(found.test) == 4


def test_names_in_either_form_of_unicode_are_the_same(tmp_path, write):
    composed, decomposed = (unicodedata.normalize(f, "bär") for f in ("NFC", "NFD"))
    assert composed != decomposed
    write(f"train/{decomposed}/1.png", "train/zebra/1.png")
    write(f"test/{composed}/1.png", "test/zebra/1.png")
    found = find_class_folders(tmp_path)
    assert found.classes == (composed, "zebra")
    assert sorted(label for _, label in found.test) == [0, 1]


def test_the_parts_must_have_the_same_classes(tmp_path, write):
    write("train/cat/1.png", "train/dog/1.png", "train/cow/1.png", "test/cow/1.png")
    write("test/Cat/1.png", "test/dog/1.png")
    assert said_of(tmp_path) == "test has classes that train has not: Cat"
    (tmp_path / "test" / "Cat").rename(tmp_path / "test" / "cow" / "Cat")
    assert said_of(tmp_path) == (
        "test has no folder of the classes cat (an empty one says that this is meant)"
    )
    (tmp_path / "test" / "cat").mkdir()
    found = find_class_folders(tmp_path)
    assert found.classes == ("cat", "cow", "dog")
    assert {label for _, label in found.test} == {1, 2}
    (tmp_path / "train" / "cow" / "1.png").unlink()
    assert said_of(tmp_path) == "train has no images of cow, test has"


def test_known_classes_give_the_labels(tmp_path, write):
    write("train/cow/1.png", "train/dog/1.png", "test/cow/1.png", "test/dog/1.png")
    found = find_class_folders(tmp_path, ["dog", "cat", "cow"])
    assert found.classes == ("dog", "cat", "cow")
    assert named(tmp_path, found.test) == {("test/dog/1.png", 0), ("test/cow/1.png", 2)}
    assert said_of(tmp_path, classes=["dog", "cat"]) == (
        "has classes that the model does not know: cow; it knows dog, cat"
    )


DATA_DIR = "; --data-dir names the folder that has train/CLASS/*.png or CLASS/*.png"


@pytest.mark.parametrize(
    "names, said",
    [
        (["a/1.png"], "only one class, a; there must be a folder for each of at least"),
        (["test/a/1.png", "test/b/1.png"], "has test/, but no train/"),
        (
            ["val/a/1.png", "valid/a/1.png", "train/a/1.png"],
            "has val/ and valid/, which are the same part",
        ),
        (["a/1.png", "b/1.png"], "too few images for a test set"),
        (
            ["notes.txt"],
            f"no images in folders of classes, such as cat/1.png{DATA_DIR}",
        ),
        (
            ["photos/train/a/1.png", "photos/train/b/1.png"],
            "has no train/, but {root}/photos has; --data-dir names the folder",
        ),
        (
            ["cifar-10-batches-py/data_batch_1"],
            "holds CIFAR-10, not images in a folder for each class; --dataset cifar10 "
            "reads it",
        ),
        (
            ["train.7z", "trainLabels.csv"],
            "holds CIFAR-10 as Kaggle has it (train.7z, trainLabels.csv), still packed",
        ),
        (
            ["1.png", "2.png"],
            "holds images without labels (1.png); inference.py --images classifies",
        ),
    ],
)
def test_folders_without_such_images(tmp_path, write, names, said):
    write(*names)
    assert said_of(tmp_path).startswith(said.format(root=tmp_path))


def test_a_file_or_nothing_in_place_of_the_folder(tmp_path, write):
    assert said_of(tmp_path / "none") == f"no such folder{DATA_DIR}"
    write("photos.zip", content=b"PK\3\4" + bytes(40))
    assert said_of(tmp_path / "photos.zip") == (
        f"a ZIP archive, not the folder that the data lies in{DATA_DIR}"
    )


def test_a_link_that_leads_round_in_a_circle(tmp_path, write):
    write("a/1.png", "b/1.png")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    with pytest.raises(DataError, match="folders in each other; perhaps a link leads"):
        find_class_folders(tmp_path)


def test_a_name_that_cannot_be_printed(tmp_path, write):
    write("a/1.png", "b\x07c/1.png")
    with pytest.raises(DataError, match=r"cannot be printed: 'b\\x07c'$"):
        find_class_folders(tmp_path)
