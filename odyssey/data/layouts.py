"""Recognise folders in other formats than the one expected, and say what to do.

None of them is read here.  Images in a folder for each class are another data set, see
`odyssey.data.folder`.  Those from any other source can be written to IDX files, which
is easy (`odyssey.data.idx`).
"""

import itertools
import os
from pathlib import Path

from odyssey.data.file_kinds import kind_of_file
from odyssey.errors import remedy

MAX_ENTRIES = 1000  # of a folder that are read

_UNREAD = (
    "a form that is not read; odyssey/data/idx.py shows how to write IDX files instead"
)
_ARCHIVES = {  # by name, the data set in them
    "cifar-10-python": "cifar10",
    "cifar-10-binary": "cifar10",
    "cifar-10-batches-py": "cifar10",
    "cifar-100-python": "cifar100",
    "cifar-100-binary": "cifar100",
}
#: A folder that has all names of one of these sets holds the data set.
_PUBLISHED = {
    "CIFAR-10": (
        {"cifar-10-batches-py"},
        {"cifar-10-batches-bin"},
        {"data_batch_1", "test_batch"},
        {"data_batch_1.bin", "test_batch.bin"},
    ),
    "CIFAR-100": (
        {"cifar-100-python"},
        {"cifar-100-binary"},
        {"train", "test", "meta"},
        {"train.bin", "test.bin"},
    ),
}
_KAGGLE = {"trainLabels.csv", "sampleSubmission.csv", "train.7z", "test.7z"}
_IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}

#: Other formats in which data sets are published, by the suffix of a file.
_FORMS = {
    ".npz": "arrays of NumPy",
    ".npy": "an array of NumPy",
    ".parquet": "a table in Parquet's format, as from Hugging Face",
    ".arrow": "a table in Arrow's format, as from Hugging Face",
    ".tfrecord": "TensorFlow's records",
    ".h5": "HDF5",
    ".hdf5": "HDF5",
    ".mat": "Matlab's form",
}


def other_layout(root: Path, title: str = "CIFAR-10") -> str:
    """Return what a folder holds in place of a data set and what to do, "" if unknown.

    Only names are read, not contents: two levels deep, at most a thousand in a folder.

    Parameters
    ----------
    root : the folder
    title : of the data set that was expected
    """
    entries, folders = _entries(root), subfolders(root)
    for name in entries:
        if _is_archive(name):
            return f"holds {name}, still packed; {_how_to_unpack(root / name)}"
    for other, signs in _PUBLISHED.items():
        if other != title and any(names <= entries.keys() for names in signs):
            return f"holds {other}, not {title}{remedy(f'holds {other}')}"
    if found := [name for name in entries if name in _KAGGLE]:
        holds = f"holds CIFAR-10 as Kaggle has it ({', '.join(found)})"
        if not entries.get("train"):
            return f"{holds}, still packed; a program for 7-Zip archives unpacks it"
        how = remedy("holds labelled images") or f", {_UNREAD}"
        return f"{holds}{how}; the published files have labels for the test images too"
    for folder in (root / "train", root):
        classes = [path for path in subfolders(folder) if _image_in(path)]
        if len(classes) > 1:
            first = classes[0].relative_to(root)
            return (
                f"holds images in a folder for each class ({first}{os.sep}, ...)"
                f"{remedy('holds labelled images') or ', ' + _UNREAD}"
            )
    for folder in (root, *folders):
        for name in _entries(folder):
            if form := _form(name):
                place = (folder / name).relative_to(root)
                return f"holds {place}, {form}, {_UNREAD}"
    for folder in (root, *folders):
        if name := _image_in(folder):
            place = (folder / name).relative_to(root)
            return f"holds images without labels ({place}){remedy('unlabelled images')}"
    return ""


def subfolders(folder: Path) -> list[Path]:
    """Return the subfolders of a folder, sorted by name."""
    return [folder / name for name, is_folder in _entries(folder).items() if is_folder]


def not_a_folder(path: Path) -> str:
    """Return what kind of file was given as data folder, and what to do."""
    if _is_archive(path.name):
        return f"an archive, not a folder; {_how_to_unpack(path)}"
    if form := _form(path.name):
        return f"{form}, {_UNREAD}"
    return f"{kind_of_file(path) or 'a file'}, not the folder that the data lies in"


def _entries(folder: Path) -> dict[str, bool]:
    """Return the sorted names in a folder, and whether each is a folder."""
    try:
        with os.scandir(folder) as found:
            entries = list(itertools.islice(found, MAX_ENTRIES))
        return {e.name: e.is_dir() for e in sorted(entries, key=lambda e: e.name)}
    except OSError:
        return {}


def _image_in(folder: Path) -> str:
    """Return the name of an image file in a folder, "" if there is none."""
    for name, is_folder in _entries(folder).items():
        if not is_folder and Path(name).suffix.lower() in _IMAGES:
            return name
    return ""


def _form(name: str) -> str:
    """Return the format of a file with this name, "" if it is not in `_FORMS`."""
    suffix = ".tfrecord" if ".tfrecord" in name else Path(name).suffix.lower()
    return _FORMS.get(suffix, "")


def _is_archive(name: str) -> bool:
    """Tell whether this is the name of a published archive."""
    stem, _, suffix = name.partition(".")
    return stem in _ARCHIVES and suffix in ("tar.gz", "tgz", "tar")


def _how_to_unpack(archive: Path) -> str:
    """Return the command that unpacks an archive; no sum of a ``.tar`` is known."""
    if archive.suffix == ".tar":
        return f"tar -xf {archive.name} unpacks it"
    dataset = _ARCHIVES[archive.name.partition(".")[0]]
    how = remedy(f"archive of {dataset}", file=archive.name)
    return how or "it is to be unpacked"
