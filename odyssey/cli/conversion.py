"""The work of ``odyssey convert``: read, find the model, rename, write."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from odyssey import bfloat16
from odyssey.cli.example import Example
from odyssey.cli.find_example import (
    example_named,
    example_of,
    find_example,
    most_like,
)
from odyssey.cli.next_steps import ODYSSEY as ODYSSEY_COMMAND
from odyssey.cli.next_steps import program
from odyssey.errors import InputError
from odyssey.formats.files import is_folder, read_tensors, write_tensors
from odyssey.formats.hex_folder import KIND, OTHER_METADATA, metadata_of
from odyssey.formats.names import NamesError, from_odyssey, to_odyssey
from odyssey.formats.renaming import COUNTERS
from odyssey.formats.safetensors import FORMAT
from odyssey.formats.tensor_file import ODYSSEY, FormatError, TensorFile
from odyssey.network import Config
from odyssey.training.origin import UNKNOWN_IMAGES
from odyssey.training.saved_model import has_other_names, load_model
from odyssey.weights.checkpoint import is_checkpoint, list_checkpoints
from odyssey.weights.files import WeightsError
from odyssey.weights.folder import has_manifest
from odyssey.weights.model import save_weights
from odyssey.weights.tensor_set import summary, weight_files

#: Names that tensors get, besides the styles of a network's `ForeignNames`.
OURS, KEPT = "odyssey", "keep"
#: How a file is read elsewhere, by its suffix.
READ_BY = {
    ".safetensors": "safetensors.torch.load_file({})",
    ".npz": "numpy.load({})",
}
READ_BY_TORCH = "model.load_state_dict(torch.load({}, weights_only=True))"


class Known(NamedTuple):
    """Tensors that are a model's, under Odyssey's names."""

    tensors: dict[str, np.ndarray]
    example: Example
    config: Config

    @property
    def name(self) -> str:
        """Return the model's name, with the options that are stated."""
        network = self.example.network
        return network.name_of(self.config) + network.stated_options(self.config)


class Converted(NamedTuple):
    """What was done, for the lines that a program prints."""

    known: Known | None
    tensors: Mapping[str, np.ndarray]  # that were written
    names: str  # `OURS`, `KEPT` or a style
    notes: list[str]


def refuse_target(source: str, target: str, force: bool) -> None:
    """Raise if a target is the source, not to be replaced, or cannot be made."""
    folder, parent = Path(target), os.path.dirname(os.path.abspath(target))
    if is_folder(target) and folder.exists() and not folder.is_dir():
        raise InputError(
            f"{target}: is a file; a folder of hex files cannot take its place"
        )
    if not is_folder(target) and not os.path.isdir(parent):
        raise InputError(f"{target}: there is no folder {parent}")
    if not os.path.lexists(target):
        return
    if os.path.exists(target) and os.path.samefile(source, target):
        raise InputError(f"{target}: is what is to be read; name another file")
    if force:
        return
    if not is_folder(target):
        raise InputError(f"{target}: is there already; --force replaces it")
    if folder.is_dir() and (has_manifest(folder) or weight_files(folder)):
        raise InputError(f"{target}: holds weights already; --force replaces them")


def open_source(
    source: str, example: Example | None = None
) -> tuple[TensorFile, Known | None]:
    """Read a file, or a folder of weights, of a run or of a checkpoint.

    Returns
    -------
    file : its tensors
    known : its model, if it is a folder that ``example`` wrote, or one of Odyssey's
    """
    folder = Path(source)
    if not folder.is_dir():
        return read_tensors(source), None
    if has_other_names(folder) and not is_checkpoint(folder):
        return read_tensors(source), None
    if not (weight_files(folder) or has_manifest(folder) or list_checkpoints(folder)):
        return read_tensors(source), None
    try:
        example = example or example_of(source)
    except InputError:  # a network of the user's own
        return read_tensors(source), None
    loaded = load_model(example.network, folder)
    tensors = {**loaded.params, **(loaded.state if loaded.has_statistics else {})}
    file = TensorFile(KIND, tensors, metadata_of(loaded.metadata))
    return file, Known(tensors, example, loaded.config)


def convert(
    file: TensorFile,
    known: Known | None,
    source: str,
    target: str,
    *,
    example: Example | None = None,
    model: str | None = None,
    names: str | None = None,
    advance: Callable[[int], object] | None = None,
) -> Converted:
    """Write the tensors of a file to ``target``, under the names that are wanted.

    Parameters
    ----------
    file, known : as `open_source` returns them
    source, target : the file that was read, and the one to write
    example : that of the model; None to look among those of Odyssey
    model : the model's name; None to recognise it by its shapes
    names : `OURS`, `KEPT` or a style; None for Odyssey's in a folder, and in a file for
        the usual style if the tensors are a model's of Odyssey
    advance : called with the bytes of each tensor of a folder that is on disk

    Raises
    ------
    InputError
        If the model has no such names.
    FormatError
        If the tensors are not those of ``model``, or the target cannot hold them.
    OSError
        If the target cannot be written; what was there is as it was.
    """
    folder, usual = is_folder(target), None
    asked = bool(example or model or names not in (None, KEPT))
    if names is None:
        names = OURS if folder else usual if known or asked else KEPT
    notes: list[str] = []
    another_tool_s = known is None
    if known is None and (asked or names != KEPT):
        try:
            known, notes = recognise(file, source, example, model)
        except WeightsError as error:
            if asked:
                raise
            names = KEPT
            reason = "" if isinstance(error, NamesError) else f": {error}"
            notes = [
                f"names are kept, as no example has such a model{reason}; --model NAME "
                "lists what does not fit"
            ]
    if known is None:
        tensors, widened = _widened(file.tensors) if folder else (file.tensors, [])
        notes += [*widened, *write_tensors(target, tensors, file.metadata)]
        return Converted(None, tensors, KEPT, notes)
    names, tensors = _named(file, known, names)
    own = file.metadata.get(ODYSSEY, {})
    own = dict(own) if isinstance(own, dict) else {}
    if another_tool_s and not own:
        own = dict(UNKNOWN_IMAGES)
    other = {k: v for k, v in file.metadata.items() if k != ODYSSEY}
    if all(other.get(key) == value for key, value in FORMAT.items()):
        other = {k: v for k, v in other.items() if k not in FORMAT}  # is written anew
    network, config = known.example.network, known.config
    if folder and names == OURS:
        header = {**own, **({OTHER_METADATA: other} if other else {})}
        params, state = (
            {name: tensors[name] for name in shapes if name in tensors}
            for shapes in (
                network.parameter_shapes(config),
                network.state_shapes(config),
            )
        )
        save_weights(network, params, state, config, target, header, advance=advance)
    else:
        described = {**own, "model": network.name_of(config), **config._asdict()}
        notes += write_tensors(target, tensors, {**other, ODYSSEY: described})
    return Converted(known, tensors, names, notes)


def recognise(
    file: TensorFile,
    source: str,
    example: Example | None = None,
    model: str | None = None,
) -> tuple[Known, list[str]]:
    """Return a file's tensors as those of a model, and what was changed in them.

    Raises
    ------
    WeightsError
        If they are of no model of an example, or not of ``model``; says all that is
        missing, unexpected or of another shape.
    """
    own = file.metadata.get(ODYSSEY)
    if not isinstance(own, dict) or model is not None:
        own = None
    if example is None and model is not None:
        example = find_example(model, "--model")
    if example is None and own and "model" in own:
        name = own["model"]
        example = example_named(name)
        if example is None:
            raise FormatError(
                f"{source}: weights of the model {name!r:.80}, which no example has"
            )
    if example is None:
        example = most_like(file.tensors, source)
    renamed = to_odyssey(
        example.network, file.tensors, source, model=model, manifest=own
    )
    notes = list(renamed.notes)
    kinds = [n.rpartition(".")[2] for n in file.tensors]
    counts = {kind: kinds.count(kind) for kind in COUNTERS if kind in kinds}
    if counters := sum(counts.values()):
        notes.append(f"{counters} counters are left out ({', '.join(counts)})")
    return Known(renamed.tensors, example, renamed.config), notes


def _named(
    file: TensorFile, known: Known, names: str | None
) -> tuple[str, dict[str, np.ndarray]]:
    """Return tensors under the names that are wanted, and what these are called.

    None means the usual style of the network.
    """
    foreign = known.example.network.foreign
    styles = foreign.styles if foreign else ()
    if names is None:
        names = styles[0] if styles else OURS
    if names == KEPT:
        return names, file.tensors
    if names == OURS:
        return names, known.tensors
    if names not in styles:
        choices = ", ".join((OURS, KEPT, *styles))
        raise InputError(f"{known.name} has no names {names!r}, but {choices}")
    network = known.example.network
    return names, from_odyssey(network, known.tensors, known.config, names)


def next_steps(done: Converted, target: str) -> list[tuple[str, ...]]:
    """Return the commands that use what was written, each as its words."""
    path = os.fspath(Path(target))  # without a slash at its end
    if not is_folder(target):
        return [(*ODYSSEY_COMMAND, "info", path)]
    steps = [(*ODYSSEY_COMMAND, "verify", path)]
    if done.known and done.names == OURS:
        words = program(done.known.example.folder / "inference.py")
        return [*steps, (*words, "--weights-dir", path, "--images", "PHOTO.png")]
    return [*steps, (*ODYSSEY_COMMAND, "info", path)]


def opened_by(target: str) -> str:
    """Return the line that says how other programs open a file; "" for a folder."""
    if is_folder(target):
        return ""
    call = READ_BY.get(Path(target).suffix.lower(), READ_BY_TORCH)
    return f"opens in Python with {call.format(repr(target))}"


def written(done: Converted, target: str) -> str:
    """Return the line about what was written."""
    model = f"{done.known.name}, " if done.known else ""
    return f"{target}: {model}{summary(done.tensors)}"


def _widened(
    tensors: Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return tensors with those of 16 bits as float32, which is exact, and a note."""
    halves = [
        name
        for name, tensor in tensors.items()
        if tensor.dtype == np.float16 or bfloat16.is_bfloat16(tensor.dtype)
    ]
    wide = {n: t.astype(np.float32) if n in halves else t for n, t in tensors.items()}
    note = f"{len(halves)} tensors of 16 bits are widened to float32, which is exact"
    return wide, [note] if halves else []
