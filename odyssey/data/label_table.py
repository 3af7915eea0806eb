"""The table of labels that lies beside images, as Kaggle has it for CIFAR-10.

    id,label
    1,frog
    2,truck

An id is the name of an image file, with or without its suffix.
"""

import csv
import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from odyssey.data.dataset import DataError, read_file

#: Names of such files, in small letters.
LABEL_TABLES = ("trainlabels.csv", "train_labels.csv", "labels.csv")
MAX_BYTES = 256 * 2**20  # of the file; that of CIFAR-10 has 0.6 MB


def read_label_table(
    path: Path, images: Sequence[tuple[str, str]], folder: str | os.PathLike
) -> Iterator[tuple[str, str, str]]:
    """Yield name, path and class of each image, in the order of the table.

    Parameters
    ----------
    path : the table
    images : name and path of every image
    folder : where the images are, for messages

    Raises
    ------
    DataError
        If the table is damaged, or is not about the same images.
    """
    rows = _rows(path)
    by_name = {name: (name, place) for name, place in images}
    stems = [os.path.splitext(name)[0] for name, _ in images]
    by_stem = dict(zip(stems, by_name.values(), strict=True))
    if len(by_stem) < len(stems):
        twice = next(stem for stem in stems if stems.count(stem) > 1)
        by_stem = {}  # only whole names tell them apart
        if rows and rows[-1][0] not in by_name:
            raise DataError(f"{folder}: has several images called {twice}")
    if rows and rows[0][0] not in by_name and rows[0][0] not in by_stem:
        rows = rows[1:]  # the heads of the columns
    labelled: dict[str, tuple[str, str, str]] = {}
    gone = []
    for image_id, class_name in rows:
        image = by_name.get(image_id) or by_stem.get(image_id)
        if image is None:
            gone.append(image_id)
        elif image[0] in labelled:
            raise DataError(f"{path}: has {image_id} twice")
        else:
            labelled[image[0]] = (*image, class_name)
    if gone:
        raise DataError(
            f"{path}: has {_count(gone, 'id')} without an image in {folder}"
        )
    if rest := [name for name in by_name if name not in labelled]:
        raise DataError(f"{path}: has no row for {_count(rest, 'image')} of {folder}")
    yield from labelled.values()


def _rows(path: Path) -> list[tuple[str, str]]:
    """Return the two columns of a table."""
    try:
        text = read_file(path, MAX_BYTES).decode("utf-8-sig")
        rows = [row for row in csv.reader(text.splitlines(), strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a table of comma-separated text: {error}") from (
            error
        )
    for number, row in enumerate(rows, 1):
        if len(row) != 2 or not row[1].strip():
            raise DataError(
                f"{path}: row {number} has not the two columns id and label: {row!a}"
            )
    named = (unicodedata.normalize("NFC", cell.strip()) for row in rows for cell in row)
    return list(zip(named, named, strict=True))


def _count(names: Sequence[str], what: str) -> str:
    """Return how many there are, with the first names: "4 ids (7, 8, 9 ...)"."""
    dots = " ..." if len(names) > 3 else ""
    plural = "s" if len(names) > 1 else ""
    return f"{len(names):,} {what}{plural} ({', '.join(names[:3])}{dots})"
