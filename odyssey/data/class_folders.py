"""Find images that lie in a folder for each class.

    train/cat/1.png  train/dog/2.jpg  test/cat/3.png ...    with a test set
    cat/1.png  dog/2.jpg ...                                one image in five is one
    train/1.png ...  trainLabels.csv                        as Kaggle has CIFAR-10

``val/`` beside ``train/`` and ``test/`` holds images for validation; without ``test/``
it is the test set.  The names of folders are the names of the classes, and their order
by code points is that of the labels, as in torchvision's ``ImageFolder``.

Nothing depends on the order in which a file system lists its files.  Images are in the
order of the SHA-256 of their names: that mixes the classes, so that the first N images
are a sample of all of them.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from odyssey.data.dataset import DataError
from odyssey.data.image_files import is_image
from odyssey.data.image_listing import entries, image_files, some
from odyssey.data.label_table import LABEL_TABLES, read_label_table
from odyssey.data.layouts import not_a_folder, other_layout
from odyssey.errors import remedy

TITLE = "images in a folder for each class"

#: What the folders of the parts are called, in small letters.
TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "testing")
VAL_NAMES = ("val", "valid", "validation", "dev")

ONE_IN = 5  # the share of the images that is the test set if there is no other


class Labelled(NamedTuple):
    """An image file and the label that it has."""

    path: str
    label: int


class ClassFolders(NamedTuple):
    """The images of a folder: files and labels of each part."""

    classes: tuple[str, ...]  # the label is the index
    train: list[Labelled]
    val: list[Labelled]
    test: list[Labelled]
    notes: list[str]  # what a reader of the result should know


def find_class_folders(
    data_dir: str | os.PathLike, classes: Sequence[str] | None = None
) -> ClassFolders:
    """Return the images of a folder by part and class; none of them is opened.

    Parameters
    ----------
    data_dir : the folder, see the module
    classes : the names of the classes, in order; by default those of the folders

    Raises
    ------
    DataError
        If no images are found, or the parts have different classes.
    """
    root = Path(data_dir)
    if not root.is_dir():
        reason = not_a_folder(root) if root.exists() else "no such folder"
        raise DataError(f"{root}: {reason}{remedy('own images')}")
    train, val, test = (
        _part(root, names) for names in (TRAIN_NAMES, VAL_NAMES, TEST_NAMES)
    )
    finder = _Finder(root)
    if train is None:
        if other := val or test:
            raise DataError(f"{root}: has {other.name}/, but no train/")
        found = {"train": finder.by_folder(root)}
        inner = [root / name for name in found["train"]]
        if len(inner) == 1 and _part(inner[0], TRAIN_NAMES):
            raise DataError(
                f"{root}: has no train/, but {inner[0]} has{remedy('own images')}"
            )
    else:
        found = {"train": finder.by_folder(train)}
        table = _label_table(root)
        if table and not any(found["train"].values()):
            finder.passed_over.clear()
            found = {"train": finder.by_table(train, table)}
    if not any(found["train"].values()):
        raise DataError(_nothing_found(root, train or root))
    for part, folder in (("val", val), ("test", test)):
        if train is not None and folder is not None:
            by_class = finder.by_folder(folder)
            if any(by_class.values()):
                found[part] = by_class
            else:
                finder.notes.append(
                    f"{folder.name}/ has no images in folders of classes, so no "
                    "labels: it is not used"
                )
    if "test" not in found and "val" in found:
        assert val is not None  # it has images
        found["test"] = found.pop("val")
        finder.notes.append(f"{val.name}/ is the test set, as there is no other")
    if classes is None:
        classes = finder.agreed(found)
    else:
        _check_known(root, found, classes)
    numbers = {name: label for label, name in enumerate(classes)}
    if "test" not in found:
        found["train"], found["test"] = _split(found["train"])
        finder.notes.append(
            f"no test set: it is one image in {ONE_IN} of each class, chosen by the "
            "SHA-256 of their names"
        )
    parts = {
        part: [
            Labelled(image.path, numbers[name])
            for image, name in sorted(
                (image, name) for name, images in by_class.items() for image in images
            )
        ]
        for part, by_class in found.items()
    }
    if not parts["test"]:
        raise DataError(f"{root}: too few images for a test set")
    finder.say_what_is_left_out()
    return ClassFolders(
        tuple(classes),
        parts["train"],
        parts.get("val", []),
        parts["test"],
        finder.notes,
    )


class _Image(NamedTuple):
    """An image file; the order is that of `key`, which mixes the classes."""

    key: bytes
    path: str


_Classes = dict[str, list[_Image]]  # the images of each class


class _Finder:
    """Finds the images of each class, and takes notes."""

    def __init__(self, root: Path) -> None:
        self.root, self.notes = root, list[str]()
        self.passed_over: Counter = Counter()

    def by_folder(self, folder: Path) -> _Classes:
        """Return the images of a part by the folder that they lie in."""
        found: _Classes = {}
        loose = 0
        for name, is_folder, path in entries(os.fspath(folder)):
            if is_folder:
                _check_name(path, name)
                images = image_files(path, self.passed_over)
                found.setdefault(name, []).extend(
                    _image(f"{name}/{below}", place) for below, place in images
                )
            else:
                loose += is_image(name)
        if loose and any(found.values()):
            self.notes.append(
                f"{loose:,} images in {folder} itself have no class: they are left out"
            )
        return found

    def by_table(self, folder: Path, table: Path) -> _Classes:
        """Return the images in a folder by the labels that a table gives them."""
        images = list(image_files(folder, self.passed_over))
        found: _Classes = {}
        for name, path, class_name in read_label_table(table, images, folder):
            _check_name(table, class_name)
            found.setdefault(class_name, []).append(_image(name, path))
        return found

    def agreed(self, found: dict[str, _Classes]) -> list[str]:
        """Return the classes that all parts have, in order."""
        train = found["train"]
        for part, by_class in found.items():
            if more := sorted(name for name in by_class if name not in train):
                raise DataError(
                    f"{self.root}: {part} has classes that train has not: {some(more)}"
                )
            if less := sorted(n for n in train if n not in by_class and train[n]):
                raise DataError(
                    f"{self.root}: {part} has no folder of the classes {some(less)} "
                    "(an empty one says that this is meant)"
                )
        empty = sorted(name for name in train if not train[name])
        for part, by_class in found.items():
            if wrong := [name for name in empty if by_class.get(name)]:
                raise DataError(
                    f"{self.root}: train has no images of {some(wrong)}, {part} has"
                )
        if empty:
            self.notes.append(f"empty folders are no classes: {some(empty)}")
        names = sorted(name for name in train if train[name])
        if len(names) < 2:
            raise DataError(
                f"{self.root}: only one class, {names[0]}; there must be a folder for "
                "each of at least two"
            )
        return names

    def say_what_is_left_out(self) -> None:
        """Note the files that are no images."""
        if count := self.passed_over.total():
            kinds = some(sorted(self.passed_over), 5)
            self.notes.append(f"{count:,} other files are left out ({kinds})")


def _image(name: str, path: str) -> _Image:
    return _Image(hashlib.sha256(os.fsencode(name)).digest(), path)


def _split(by_class: _Classes) -> tuple[_Classes, _Classes]:
    """Return images to train on and to test on, of each class one in `ONE_IN`.

    A class of two to four images has one of them in the test set.
    """
    train, test = {}, {}
    for name, images in by_class.items():
        count = max(len(images) // ONE_IN, min(len(images) - 1, 1))
        ordered = sorted(images)
        test[name], train[name] = ordered[:count], ordered[count:]
    return train, test


def _part(root: Path, names: Sequence[str]) -> Path | None:
    """Return the folder of a part by its usual names, None if there is none."""
    found = [
        Path(path)
        for name, is_folder, path in entries(os.fspath(root))
        if is_folder and name.lower() in names
    ]
    if len(found) > 1:
        both = " and ".join(f"{folder.name}/" for folder in found)
        raise DataError(f"{root}: has {both}, which are the same part")
    return found[0] if found else None


def _label_table(root: Path) -> Path | None:
    """Return the table of labels beside ``train/``, None if there is none."""
    for name, is_folder, path in entries(os.fspath(root)):
        if not is_folder and name.lower() in LABEL_TABLES:
            return Path(path)
    return None


def _check_name(place: str | os.PathLike, name: str) -> None:
    if not name.isprintable():
        raise DataError(f"{place}: the name of a class cannot be printed: {name!a}")


def _check_known(
    root: Path, found: dict[str, _Classes], classes: Sequence[str]
) -> None:
    """Raise if there are images of classes that are not known."""
    names = {name for by_class in found.values() for name in by_class if by_class[name]}
    if unknown := sorted(names.difference(classes)):
        raise DataError(
            f"{root}: has classes that the model does not know: {some(unknown)}; it "
            f"knows {some(list(classes))}"
        )


def _nothing_found(root: Path, folder: Path) -> str:
    """Return what is wrong with a folder without images in folders of classes."""
    if other := other_layout(root, TITLE):
        return f"{root}: {other}"
    return (
        f"{folder}: no images in folders of classes, such as "
        f"{os.path.join('cat', '1.png')}{remedy('own images')}"
    )
