"""The content of a run's folder, checked as it is read.

Each function reads one part of the folder.  It raises `Absent`, with the reason, if the
run has not stored the part, and `InputError`, with the file, if the part is damaged.
"""

import io
import math
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from odyssey.errors import InputError, one_line
from odyssey.training.log_lines import Line, Log, describe, read_metrics, read_steps
from odyssey.training.run_folder import ENVIRONMENT, EVALUATION, PROFILE, RunFolder
from odyssey.weights.checkpoint import list_checkpoints
from odyssey.weights.folder import has_manifest, read_listed
from odyssey.weights.manifest import MANIFEST, decode_manifest, read_manifest_bytes
from odyssey.weights.strict_json import parse_json

#: Evaluated parts of the data: their names in files and their titles.
PARTS = {"test": "test images", "val": "validation images"}
MAX_BYTES = 256 << 20


class Absent(Exception):
    """A part that this run has not stored; the message says why."""


class Part(NamedTuple):
    """The predictions for the test or validation images."""

    labels: np.ndarray  # (N,) true classes
    predicted: np.ndarray  # (N,)
    probability: np.ndarray  # (N,) of the predicted class
    mistakes: np.ndarray  # (M,) indices of images, the most probable first
    pictures: np.ndarray  # (M, C, H, W) uint8


class Evaluated(NamedTuple):
    """The predictions for all images that are not trained on."""

    class_names: list[str]
    epoch: int
    parts: dict[str, Part]  # by title, see `PARTS`


def metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of ``metrics.csv``, at least one; some epochs may be missing."""
    lines = _log(folder / "metrics.csv", read_metrics)
    if not lines:
        raise Absent("no epoch is finished yet")
    return [line.values for line in lines]


def learning_rates(folder: Path) -> list[tuple[int, float]]:
    """Return each step and its learning rate, from ``steps.jsonl``."""
    lines = _log(folder / "steps.jsonl", read_steps)
    if not lines:
        raise Absent("no step is done yet")
    return [(line.place, line.values["lr"]) for line in lines]


def _log(path: Path, read: Callable[[bytes], Log]) -> list[Line]:
    """Return the lines of a log; an incomplete last line is left out."""
    _size(path, "it was never written")
    log = read(path.read_bytes())
    if log.damaged:
        raise InputError(f"{path}: damaged: {describe(log.damaged)}")
    return log.lines


def evaluated(folder: Path) -> Evaluated:
    """Return ``evaluation.npz``, see `odyssey.training.keepsakes.encode`."""
    path = folder / EVALUATION
    _size(path, "the run was made by an older version, or has finished no epoch")
    file = io.BytesIO(path.read_bytes())  # errors of the disk are raised here
    with _damage(path):
        with zipfile.ZipFile(file) as members:  # may unpack to far more bytes
            if sum(member.file_size for member in members.infolist()) > MAX_BYTES:
                raise ValueError(f"over {MAX_BYTES} bytes")
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            found = dict(arrays)
        names = found["class_names"]
        _require(names.ndim == 1 and names.dtype.kind == "U", "class_names")
        parts = {
            title: _part(found, name, len(names))
            for name, title in PARTS.items()
            if f"{name}_labels" in found
        }
        _require(len(parts) > 0, "labels")
        return Evaluated(names.tolist(), int(found["epoch"]), parts)


def _part(found: Mapping[str, np.ndarray], part: str, K: int) -> Part:
    values = Part(*(found[f"{part}_{field}"] for field in Part._fields))
    N = values.labels.size
    for name, kind, ndim, stop in (
        ("labels", "iu", 1, K),
        ("predicted", "iu", 1, K),
        ("probability", "f", 1, 1 + 1e-6),
        ("mistakes", "iu", 1, N),
        ("pictures", "u", 4, 256),
    ):
        a = getattr(values, name)
        fits = a.dtype.kind in kind and a.ndim == ndim
        _require(fits and bool(np.all((a >= 0) & (a < stop))), f"{part}_{name}")
    _require(N > 0 and len(values.predicted) == len(values.probability) == N, part)
    fits = len(values.pictures) == len(values.mistakes)
    fits = fits and values.pictures.dtype == np.uint8
    _require(fits and values.pictures.shape[1] in (1, 3), f"{part}_pictures")
    return values


def profile(folder: Path) -> dict[str, Any]:
    """Return ``profile.json``, see `odyssey.training.profile.profile`."""
    path = folder / PROFILE
    why = "the run was made by an older version, or has not reached its end"
    value = _json(path, why)
    with _damage(path):
        numbers = [value["seconds"], value["batch_size"], value["threads"]]
        for row in value["rows"]:
            _require(isinstance(row["name"], str), "name")
            numbers += [seconds for key, seconds in row.items() if key != "name"]
        _require(all(math.isfinite(n) and n >= 0 for n in numbers), "a time")
        _require(value["seconds"] > 0, "seconds")
    return value


def sessions(folder: Path) -> list[dict[str, Any]]:
    """Return the sessions of training, from ``environment.json``."""
    path = folder / ENVIRONMENT
    found = _json(path, "the run was made by an older version, or finished no epoch")
    with _damage(path):
        for session in found["sessions"]:
            _require(
                all(isinstance(word, str) for word in session["command"]), "command"
            )
            _require(isinstance(session["versions"], dict), "versions")
        _require(len(found["sessions"]) > 0, "sessions")
    return found["sessions"]


def recipe(folder: Path) -> dict[str, Any]:
    """Return the recipe of the newest checkpoint, or else of ``recipe.yml``."""
    checkpoints = list_checkpoints(folder)
    if not checkpoints:
        return _recipe_file(RunFolder(folder).recipe)
    path = checkpoints[-1] / MANIFEST
    if not path.exists():
        raise InputError(f"{path}: missing, the checkpoint is damaged")
    manifest = decode_manifest(read_manifest_bytes(path), path)
    with _damage(path):
        found = manifest["metadata"]["recipe"]
        _require(isinstance(found, dict), "recipe")
    return found


def _recipe_file(path: Path) -> dict[str, Any]:
    """Read a file written by `odyssey.training.recipe_file.recipe_text`."""
    text = _text(path, "nor is there a checkpoint, which would tell")
    lines = [line for line in text.split("\n") if line and line[0] != "#"]
    with _damage(path):
        pairs = (line.split(": ", 1) for line in lines)
        return {name: parse_json(value) for name, value in pairs}


def first_filters(folder: Path) -> tuple[str, np.ndarray]:
    """Return the name and values (K, C, R, S) of the kernel applied to the images."""
    if not has_manifest(folder):
        raise Absent(
            "no weights are saved yet: that is every ten epochs, at a stop, at the end"
        )
    for name, tensor in read_listed(folder).tensors.items():
        if tensor.ndim == 4 and tensor.shape[1] in (1, 3) and min(tensor.shape[2:]) > 1:
            if not np.isfinite(tensor).all():
                raise Absent(f"{name} has values that are not finite")
            return name, tensor
    raise Absent("no tensor of the weights is a kernel for images")


def _size(path: Path, why: str) -> None:
    """Raise unless ``path`` is a file of a reasonable size."""
    if not path.exists():
        raise Absent(f"there is no {path.name}: {why}")
    if not path.is_file():
        raise InputError(f"{path}: not a regular file")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: over {MAX_BYTES} bytes")


def _text(path: Path, why: str) -> str:
    _size(path, why)
    with _damage(path):
        return path.read_text(encoding="utf-8")


def _json(path: Path, why: str) -> Any:
    text = _text(path, why)
    with _damage(path):
        return parse_json(text)


def _require(condition: bool, name: str) -> None:
    if not condition:
        raise ValueError(f"bad {name}")


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn the errors of a damaged file into an `InputError` that names it."""
    try:
        yield
    except KeyError as error:
        raise InputError(f"{path}: damaged: no {one_line(str(error), 60)}") from None
    except (
        ArithmeticError,
        AttributeError,
        EOFError,
        MemoryError,
        NotImplementedError,  # a compression that zipfile does not know
        RecursionError,
        RuntimeError,  # a ZIP file with a password
        TypeError,
        ValueError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        reason = one_line(str(error), 160) or type(error).__name__
        raise InputError(f"{path}: damaged: {reason}") from None
