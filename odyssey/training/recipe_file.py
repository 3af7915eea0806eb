"""Recipes as YAML files: read strictly, and written so that they read back equal.

A recipe file is one flat mapping from names of options, with underscores, to values::

    description: 26 epochs, a triangle of the learning rate
    epochs: 26
    lr: 0.2
    nesterov: true
    lr_milestones: [100, 150]

YAML 1.1, which PyYAML reads, has surprises: ``1e-4`` is text, ``010`` is 8 and
``1:30`` is 90.  Here only decimal numbers are numbers; everything else stays text,
which is refused if a number is expected.  The values of an option are checked by its
command, see `odyssey.cli.config_option`.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import odyssey
from odyssey.errors import InputError, os_reason, remedy
from odyssey.weights.checkpoint import CHECKPOINTS
from odyssey.weights.files import WeightsError, file_size

MAX_BYTES = 65_536  # far more than a recipe needs
SUFFIXES = (".yml", ".yaml")

#: Fields that count epochs, with the least value of each.
EPOCH_COUNTS = {"lr_decay_epochs": 1, "lr_restart_epochs": 1, "lr_warmup_epochs": 0}

#: What YAML 1.1 takes for true and false.
TRUTH_VALUES = dict.fromkeys(("true", "yes", "on"), True)
TRUTH_VALUES |= dict.fromkeys(("false", "no", "off"), False)

_STANDARD_TAG = "tag:yaml.org,2002:"
_KINDS = {  # for each form of a node, the types that YAML finds without a tag
    "mapping": ("map",),
    "sequence": ("seq",),
    "scalar": ("str", "null", "bool", "int", "float", "timestamp", "merge", "value"),
}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,99})")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?")
_EXPONENT = re.compile(r"([-+]?[0-9]+)(\.[0-9]*)?[eE]([-+]?)([0-9]+)")


def find_recipe(name: str, folder: Path) -> Path:
    """Return the path of the recipe file ``name``.

    A name without a path is that of a recipe in ``folder``; the suffix may be omitted.
    With a suffix, a file of that name in the working directory comes first.
    """
    path = Path(name)
    if path.name != name:
        return path
    if path.suffix not in SUFFIXES:
        return folder / f"{name}.yml"
    return path if path.exists() else folder / name


def recipe_names(folder: Path) -> list[str]:
    """Return the names by which `find_recipe` knows the recipes of ``folder``."""
    return sorted(path.stem for path in folder.glob("*.yml"))


def recipe_beside(weights_dir: str | os.PathLike) -> str | None:
    """Return the text of the recipe of the run that made weights, None without one.

    Parameters
    ----------
    weights_dir : folder of a run, of its checkpoints or of one of them
    """
    folder = Path(weights_dir).resolve()
    for place in (folder, folder.parent):
        if place.name == CHECKPOINTS:
            folder = place.parent
    path = folder / "recipe.yml"
    try:
        if file_size(path) > MAX_BYTES:
            return None
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, WeightsError):
        return None


def read_recipe(path: str | os.PathLike) -> dict[str, Any]:
    """Return a recipe file's options: None, bool, int, float, str or a list of these.

    Nothing in the file is executed, whatever its tags say.

    Raises
    ------
    InputError
        Without PyYAML, or if the file cannot be read, is no flat mapping, or has a key
        twice.
    """
    try:
        import yaml
    except ImportError:
        raise InputError(
            "a recipe file needs PyYAML: pip install pyyaml "
            "(the extra odyssey-by-hand[yaml])"
        ) from None
    try:
        root = yaml.compose(_content(path), yaml.SafeLoader)
        return dict(_items(root))
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        reason = f"{line}{error.problem or error.context}"
    except (yaml.YAMLError, WeightsError, ValueError) as error:
        reason = " ".join(str(error).split()).removeprefix(f"{path}: ")
    except RecursionError:
        reason = "lists are nested too deeply"
    except OSError as error:
        raise InputError(os_reason(error)) from None
    raise InputError(f"{os.fspath(path)}: {reason}")


def _content(path: str | os.PathLike) -> bytes:
    """Return the content of a file; refuse one that is too large for a recipe."""
    file_size(path)  # refuses a pipe: reading it may hang
    with open(path, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"no recipe, it has more than {MAX_BYTES:,} bytes")
    return content


def _items(root: Any) -> Iterator[tuple[str, Any]]:
    """Yield the keys and values of a file from the tree of YAML's composer."""
    if root is None or _kind(root) != "map":
        raise ValueError("must have lines of the form 'option: value'")
    lines: dict[str, int] = {}  # the line of each key
    for key, value in root.value:
        line = key.start_mark.line + 1
        if key.id != "scalar":
            raise ValueError(f"line {line}: a key must be the name of an option")
        if key.value in lines:
            raise ValueError(
                f"{key.value} is there twice, in lines {lines[key.value]} and {line}"
            )
        lines[key.value] = line
        try:
            if _kind(value) == "seq":
                yield key.value, [_scalar(item) for item in value.value]
            else:
                yield key.value, _scalar(value)
        except ValueError as error:
            raise ValueError(f"line {line}: {key.value}: {error}") from None


def _kind(node: Any) -> str:
    """Return the YAML type of a node; refuse a tag that would create an object."""
    kind = node.tag.removeprefix(_STANDARD_TAG)
    if kind not in _KINDS[node.id]:
        raise ValueError(f"must be a plain value, without the tag {node.tag}")
    return kind


def _scalar(node: Any) -> Any:
    """Return the value of a leaf of the tree."""
    kind, text = _kind(node), node.value
    if node.id != "scalar":
        raise ValueError("must be a value or a list of values")
    if kind == "null":
        return None
    if kind == "bool":
        return TRUTH_VALUES.get(text.lower(), text)
    if kind == "int" and _INT.fullmatch(text):
        return int(text)
    if kind == "float" and (_FLOAT.fullmatch(text) or _INT.fullmatch(text)):
        return float(text)
    return text  # also what YAML 1.1 reads as a date or in another base


def with_point(number: str) -> str:
    """Return a number with an exponent in the form that YAML 1.1 requires: 1.0e-4."""
    if parts := _EXPONENT.fullmatch(number):
        whole, fraction, sign, exponent = parts.groups()
        return f"{whole}{fraction or '.0'}e{sign or '+'}{exponent}"
    return number


def written(value: Any) -> str:
    """Return a value as text for `read_recipe`: JSON, except for numbers like 1e-4."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, float):
        return with_point(repr(value))
    return json.dumps(value, ensure_ascii=False)


def recipe_text(values: Mapping[str, Any]) -> str:
    """Return the text of a run's recipe file; ``values`` is from `Recipe.to_dict`."""
    values = {"model": values["model"], **values}
    digest, init = values.pop("data_sha256"), values.pop("init_sha256", None)
    lines = [
        f"# The recipe of the run in this folder, by odyssey {odyssey.__version__}.",
        *(f"# {advice}" for advice in [remedy("repeat")] if advice),
        f"# Training images: sha256 {digest}",
        *(f"# Initial weights: sha256 {text}" for text in [init] if text),
        *(f"{name}: {written(value)}" for name, value in values.items()),
    ]
    return "\n".join(lines) + "\n"


def rescaled(values: Mapping[str, Any], epochs: int) -> dict[str, Any]:
    """Return a recipe's counts of epochs, rescaled to a run of ``epochs``.

    Milestones, warmup and the epochs between drops or restarts keep their fraction of
    the run, rounded to whole epochs; milestones still rise.  Without ``epochs`` in the
    recipe, nothing is rescaled.
    """
    if "epochs" not in values:
        return {}
    changed: dict[str, Any] = {}
    for name, least in EPOCH_COUNTS.items():
        if name in values:
            changed[name] = max(least, _scaled(values[name], epochs, values["epochs"]))
    if "lr_milestones" in values:
        milestones: list[int] = []
        for milestone in values["lr_milestones"]:
            earliest = milestones[-1] + 1 if milestones else 1
            scaled = _scaled(milestone, epochs, values["epochs"])
            milestones.append(max(earliest, scaled))
        changed["lr_milestones"] = tuple(milestones)
    return changed


def _scaled(count: int, epochs: int, of: int) -> int:
    """Return ``count * epochs / of``, rounded to the nearest integer, halves up."""
    return (2 * count * epochs + of) // (2 * of)
