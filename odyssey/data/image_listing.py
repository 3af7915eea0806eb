"""List the image files of a folder, in an order that no file system decides."""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

from odyssey.data.dataset import DataError
from odyssey.data.image_files import is_image, kinds

#: Folders that other programs make beside images.
PASSED_OVER = ("__MACOSX", "@eaDir", "$RECYCLE.BIN")

MAX_DEPTH = 16  # of folders in folders; a link can lead round in a circle


def entries(folder: str) -> list[tuple[str, bool, str]]:
    """Return name, in Unicode's composed form, and path of what is in a folder.

    The value between them says whether it is a folder.  The order is that of the names.
    What is hidden is left out.

    Raises
    ------
    DataError
        If the folder cannot be read.
    """
    try:
        with os.scandir(folder) as found:
            return sorted(
                (unicodedata.normalize("NFC", entry.name), entry.is_dir(), entry.path)
                for entry in found
                if not entry.name.startswith(".") and entry.name not in PASSED_OVER
            )
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from error


def image_files(
    folder: str | os.PathLike, passed_over: Counter | None = None
) -> list[tuple[str, str]]:
    """Return name and path of each image file in a folder and the folders in it.

    The name is the path from the folder on, with ``/`` between folders; the order is
    that of the names.  Hidden files and folders are left out.

    Parameters
    ----------
    folder : where to look
    passed_over : counts the other files, by suffix

    Raises
    ------
    DataError
        If a folder cannot be read, or is nested too deeply.
    """
    found = []
    for name, path in _files(os.fspath(folder), "", 0):
        if is_image(name):
            found.append((name, path))
        elif passed_over is not None:
            passed_over[os.path.splitext(name)[1].lower() or "no suffix"] += 1
    return sorted(found)


def files_of(path: str | os.PathLike) -> list[str]:
    """Return the image files in a folder and below it, or the file ``path`` itself.

    They are sorted by name; hidden files and folders are left out.

    Raises
    ------
    DataError
        If a folder cannot be read, or holds no image file.
    """
    if not os.path.isdir(path):
        return [os.fspath(path)]
    files = [place for _, place in image_files(path)]
    if not files:
        raise DataError(f"{path}: no image files in this folder ({kinds()})")
    return files


def some(names: Sequence[str], most: int = 10) -> str:
    """Return names in one line; of more than ``most`` the others are counted."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def _files(folder: str, before: str, depth: int) -> Iterator[tuple[str, str]]:
    """Yield name from the first folder on, and path, of all files."""
    if depth > MAX_DEPTH:
        raise DataError(
            f"{folder}: more than {MAX_DEPTH} folders in each other; perhaps a link "
            "leads to a folder above it"
        )
    for name, is_folder, path in entries(folder):
        if is_folder:
            yield from _files(path, f"{before}{name}/", depth + 1)
        else:
            yield before + name, path
