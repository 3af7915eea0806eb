"""A folder of weights: one hex file a tensor, and a manifest that says what belongs.

A new set takes the place of an old one in three moves, so that at every moment one of
them loads whole and never a mixture:

1. the new set is written, with its manifest, to ``.tmp-weights-.../`` in the folder,
   and flushed to disk; until the next move the old set counts;
2. one rename to ``.new-weights/`` marks it complete; from here on the new set counts;
3. its files are moved over the old ones, old files that have no successor are removed,
   and the manifest is moved last.

A ``.new-weights/manifest.json`` that is found means that move 3 was cut short.  It
governs: each tensor is in ``.new-weights/`` or, if already moved, in the folder itself.
Readers can read it like that, which they do where they may not write, and else finish
the move first.  A lock on the folder tells a crashed writer from one still at work.
"""

import contextlib
import os
import shutil
import warnings
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from odyssey.weights.changed_files import summed_up
from odyssey.weights.files import (
    TEMPORARY,
    WeightsError,
    directory_lock,
    discard,
    fsync_directory,
    make_directory,
    remove_leftovers,
    temporary_directory,
)
from odyssey.weights.hexfile import load_tensor_with_name
from odyssey.weights.manifest import (
    MANIFEST,
    check_names,
    decode_manifest,
    read_manifest_bytes,
)
from odyssey.weights.tensor_set import (
    check_set,
    read_set,
    summary,
    weight_files,
    write_set,
)

PENDING = ".new-weights"


class ListedFolder(NamedTuple):
    """The tensors of a folder by name, and the manifest that lists them."""

    tensors: dict[str, np.ndarray]
    manifest: dict[str, Any]


class LoadedFolder(NamedTuple):
    """The tensors of a folder by name, and its manifest if it has one."""

    tensors: dict[str, np.ndarray]
    manifest: dict[str, Any] | None

    def __repr__(self) -> str:
        listed = "without" if self.manifest is None else "with"
        return f"LoadedFolder({summary(self.tensors)}, {listed} a manifest)"


def save_folder(
    tensors: Mapping[str, np.ndarray],
    directory: str | os.PathLike,
    *,
    metadata: Mapping[str, Any],
) -> None:
    """Write a set of tensors to a folder, in place of the set that is there.

    Other files in the folder are left alone; a ``*.weights`` that neither the old
    manifest nor the new set knows is renamed to ``*.weights.old``.  Until the new set
    is complete the disk holds both.

    Parameters
    ----------
    tensors : by name, at least one; names are 1 to 120 of ``A-Za-z0-9._-``
    directory : made if it does not exist
    metadata : JSON for the manifest: the model and its options

    Raises
    ------
    TypeError, ValueError
        If something cannot be written; nothing is touched then.
    OSError
        If the disk is full or the folder cannot be written.  Staging is where that
        happens, and leaves the old set as it was; should it happen while the new set is
        moved into place, the new set counts, and the next reader moves the rest.
    """
    directory = Path(directory)
    check_set("save_folder", tensors, metadata)
    make_directory(directory)
    with directory_lock(directory):
        for path in [*weight_files(directory), directory / MANIFEST]:
            if path.is_dir():  # no file can be moved over it
                raise WeightsError(f"{path}: a directory where a file belongs")
        remove_leftovers(directory, f"{TEMPORARY}weights-")
        with contextlib.suppress(WeightsError):  # a damaged set is nothing to keep
            _finish(directory)
        with temporary_directory(directory, "weights") as staging:
            write_set(staging, tensors, "weights", metadata)
            pending = directory / PENDING
            if os.path.lexists(pending):
                discard(pending, "weights-old")
            os.rename(staging, pending)
        fsync_directory(directory)
        _finish(directory)


def load_folder(directory: str | os.PathLike) -> LoadedFolder:
    """Read all tensors of a folder, in the order of its manifest.

    A folder without a manifest, such as one made by hand, is read as it is, by name,
    with a warning: nobody can tell whether it is complete.

    Raises
    ------
    WeightsError
        (a ``ValueError``) Names the files that are missing, unexpected or damaged.
    FileNotFoundError
        If there is no such folder.
    """
    loaded = read_folder(Path(directory))
    if loaded.manifest is None:
        warnings.warn(
            f"{directory}: no {MANIFEST}; read {len(loaded.tensors)} tensors as they "
            "are, whether that is all of them cannot be checked",
            stacklevel=2,
        )
    return loaded


def verify_folder(directory: str | os.PathLike) -> None:
    """Raise ``WeightsError`` unless all that the manifest says is there and matches."""
    read_listed(Path(directory), with_tensors=False)


def read_listed(directory: Path, *, with_tensors: bool = True) -> ListedFolder:
    """Read a folder that must have a manifest; see :func:`read_folder`."""
    directory.stat()  # FileNotFoundError rather than "no manifest"
    if has_manifest(directory):
        tensors, manifest = read_folder(directory, with_tensors=with_tensors)
        if manifest is not None:
            return ListedFolder(tensors, manifest)
    raise WeightsError(f"{directory}: no {MANIFEST}, cannot be verified")


def has_manifest(directory: Path) -> bool:
    """Tell whether a folder holds a set of tensors with a manifest."""
    try:
        return _locate(directory)[1] is not None
    except (WeightsError, OSError):
        return True  # there is something: what is wrong with it shows when it is read


def read_folder(directory: Path, *, with_tensors: bool = True) -> LoadedFolder:
    """Read a folder, even while another process is saving; see :func:`load_folder`.

    Without ``with_tensors`` all is checked just the same, but no tensor is returned.
    """
    if _locate(directory)[0] != (directory,):
        # Where we may not write, or the writer is still at work, we read it as it is.
        with contextlib.suppress(OSError, WeightsError):
            with directory_lock(directory, wait=False) as held:
                if held:
                    _finish(directory)
    while True:
        folders, data = _locate(directory)
        try:
            if data is None:
                loaded = LoadedFolder(_read_unlisted(directory), None)
            else:
                manifest = decode_manifest(data, folders[0] / MANIFEST)
                loaded = LoadedFolder(
                    read_set(manifest, folders, with_tensors=with_tensors), manifest
                )
        except (WeightsError, FileNotFoundError):
            if _locate(directory) == (folders, data):
                raise
        else:
            if data is not None or _locate(directory)[1] is None:
                return loaded
        # Another set was swapped in while we were reading: begin again.


def _locate(directory: Path) -> tuple[tuple[Path, ...], bytes | None]:
    """Return the folders where the set that counts lies, and its manifest or None."""
    pending = directory / PENDING
    places: list[tuple[Path, ...]] = [(directory,)]
    # A link is no set of ours: moving its files would empty the folder it leads to.
    if pending.is_dir() and not pending.is_symlink():
        places.insert(0, (pending, directory))
    for folders in places:
        with contextlib.suppress(FileNotFoundError):
            return folders, read_manifest_bytes(folders[0] / MANIFEST)
    return (directory,), None


def _finish(directory: Path) -> None:
    """Move a complete new set into place; every step can be done again after a crash.

    The caller holds the lock.
    """
    pending = directory / PENDING
    folders, data = _locate(directory)
    if data is None or folders[0] != pending:
        shutil.rmtree(pending, ignore_errors=True)  # all that is left is an empty one
        return
    files = _files(decode_manifest(data, pending / MANIFEST))
    for file in files:
        with contextlib.suppress(FileNotFoundError):  # moved before the crash
            os.replace(pending / file, directory / file)
    _clear_out(directory, files)
    fsync_directory(directory)
    os.replace(pending / MANIFEST, directory / MANIFEST)
    fsync_directory(directory)
    shutil.rmtree(pending, ignore_errors=True)


def _clear_out(directory: Path, files: set[str]) -> None:
    """Take away the ``*.weights`` that are not among ``files``."""
    try:
        old_manifest = read_manifest_bytes(directory / MANIFEST)
        old_files = _files(decode_manifest(old_manifest, directory / MANIFEST))
    except (WeightsError, FileNotFoundError):
        old_files = set()
    for path in weight_files(directory):
        if path.name in files:
            continue
        if path.name in old_files:
            path.unlink()
        else:  # not ours to delete
            names = (f"{path.name}.old{n or ''}" for n in count())
            free = next(n for n in names if not os.path.lexists(directory / n))
            os.rename(path, directory / free)


def _files(manifest: Mapping[str, Any]) -> set[str]:
    return {entry["file"] for entry in manifest["tensors"].values()}


def _read_unlisted(directory: Path) -> dict[str, np.ndarray]:
    """Read all the ``*.weights`` of a folder without a manifest."""
    paths = weight_files(directory)
    if not paths:
        raise WeightsError(f"{directory}: holds no weights")
    check_names((path.stem for path in paths), str(directory))
    tensors, damaged = {}, []
    for path in paths:
        try:
            name, tensors[path.stem] = load_tensor_with_name(path)
        except WeightsError as error:
            damaged.append(error)
        else:
            # A file saved without a name has nothing against being called as it is.
            if name not in ("", path.stem):
                reason = f"{path}: line 1: name {name!r}, expected {path.stem!r}"
                damaged.append(WeightsError(reason))
    if len(damaged) == 1:
        raise damaged[0]
    if damaged:
        raise WeightsError(f"{directory}: {'; '.join(summed_up(damaged))}")
    return tensors
