"""A folder of weights: a hex file for each tensor, and a manifest that lists them.

A new set replaces an old one in three steps.  At every moment one of the two sets can
be loaded as a whole, and never a mixture:

1. The new set is written, with its manifest, to ``.tmp-weights-.../`` in the folder and
   flushed to disk.  Until the next step the old set is valid.
2. One rename to ``.new-weights/`` marks it complete.  From now on the new set is valid.
3. Its files are moved over the old ones, old files that are not in the new set are
   removed, and the manifest is moved last.

If there is a ``.new-weights/manifest.json``, step 3 was interrupted.  This manifest is
the valid one: each tensor is in ``.new-weights/`` or, if moved already, in the folder
itself.  Readers finish step 3 first, or, if they may not write, read the set from both
places.  A lock on the folder tells whether the writer crashed or is still at work.
"""

import contextlib
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
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
    """The tensors of a folder by name, and its manifest."""

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
    advance: Callable[[int], object] | None = None,
) -> None:
    """Write a set of tensors to a folder, replacing the set that is there.

    Other files in the folder are not touched; a ``*.weights`` that is neither in the
    old manifest nor in the new set is renamed to ``*.weights.old``.  Until the new set
    is complete the disk holds both.

    Parameters
    ----------
    tensors : by name, at least one; names are 1 to 120 of ``A-Za-z0-9._-``
    directory : created if necessary
    metadata : JSON for the manifest: the model and its options
    advance : called with the bytes of each tensor that is on disk, to show progress

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be written; nothing is changed then.
    OSError
        If the disk is full or the folder cannot be written.  In step 1 the old set
        stays valid; in step 3 the new set is valid, and the next reader moves the rest.
    """
    directory = Path(directory)
    check_set("save_folder", tensors, metadata)
    make_directory(directory)
    with directory_lock(directory):
        for path in [*weight_files(directory), directory / MANIFEST]:
            if path.is_dir():  # a file cannot be moved over it
                raise WeightsError(f"{path}: a directory where a file belongs")
        remove_leftovers(directory, f"{TEMPORARY}weights-")
        with contextlib.suppress(WeightsError):  # a damaged set need not be kept
            _finish(directory)
        with temporary_directory(directory, "weights") as staging:
            write_set(staging, tensors, "weights", metadata, advance)
            pending = directory / PENDING
            if os.path.lexists(pending):
                discard(pending, "weights-old")
            os.rename(staging, pending)
        fsync_directory(directory)
        _finish(directory)


def load_folder(directory: str | os.PathLike) -> LoadedFolder:
    """Read all tensors of a folder, in the order of its manifest.

    Without a manifest all ``*.weights`` are read, sorted by name, with a warning: it is
    not known whether they are complete.

    Raises
    ------
    WeightsError
        (a ``ValueError``) If files are missing, unexpected or damaged; names them.
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
    """Raise ``WeightsError`` unless the folder matches its manifest."""
    read_listed(Path(directory), with_tensors=False)


def read_listed(directory: Path, *, with_tensors: bool = True) -> ListedFolder:
    """Read a folder that must have a manifest; see `read_folder`."""
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
        return True  # there is one; reading it will raise the error


def read_manifest(directory: Path) -> dict[str, Any] | None:
    """Return the manifest of a folder, checked, or None; no tensor is looked at."""
    folders, data = _locate(directory)
    return None if data is None else decode_manifest(data, folders[0] / MANIFEST)


def read_folder(directory: Path, *, with_tensors: bool = True) -> LoadedFolder:
    """Read a folder, even while another process is saving; see `load_folder`.

    Without ``with_tensors`` everything is checked too, but no tensor is returned.
    """
    if _locate(directory)[0] != (directory,):
        # If we may not write, or a writer is at work, the set is read as it is.
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
        # Another set was put in place meanwhile: read again.


def _locate(directory: Path) -> tuple[tuple[Path, ...], bytes | None]:
    """Return the folders that hold the valid set, and its manifest or None."""
    pending = directory / PENDING
    places: list[tuple[Path, ...]] = [(directory,)]
    # A link was not made here: moving its files would empty the folder it points to.
    if pending.is_dir() and not pending.is_symlink():
        places.insert(0, (pending, directory))
    for folders in places:
        with contextlib.suppress(FileNotFoundError):
            return folders, read_manifest_bytes(folders[0] / MANIFEST)
    return (directory,), None


def _finish(directory: Path) -> None:
    """Move a complete new set into place; after a crash this can be repeated.

    The caller holds the lock.
    """
    pending = directory / PENDING
    folders, data = _locate(directory)
    if data is None or folders[0] != pending:
        shutil.rmtree(pending, ignore_errors=True)  # it has no manifest: leftovers
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
    """Remove the old set's ``*.weights`` that are not in ``files``; rename others."""
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
            # A file may have been saved without a name.
            if name not in ("", path.stem):
                reason = f"{path}: line 1: name {name!r}, expected {path.stem!r}"
                damaged.append(WeightsError(reason))
    if len(damaged) == 1:
        raise damaged[0]
    if damaged:
        raise WeightsError(f"{directory}: {'; '.join(summed_up(damaged))}")
    return tensors
