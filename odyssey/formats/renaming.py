"""A file's tensors under Odyssey's names, as far as their names are known."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from odyssey.foreign import Modules, Shapes, Tensors
from odyssey.formats.tensor_file import FormatError
from odyssey.network import Config, Network
from odyssey.weights.model import config_of

WRAPPERS = ("module", "_orig_mod")  # DataParallel's, torch.compile's
COUNTERS = ("num_batches_tracked", "n_averaged")  # not used in inference
WEIGHT_KINDS = {1: "gamma", 2: "weights", 4: "kernel"}  # by number of axes
THEIR_KINDS = {
    "kernel": "weight",
    "weights": "weight",
    "gamma": "weight",
    "bias": "bias",
    "beta": "bias",
    "running_mean": "running_mean",
    "running_var": "running_var",
}
_OURS = re.compile(rf"(.+)_({'|'.join(THEIR_KINDS)})")


class Renamed(NamedTuple):
    """Tensors under Odyssey's names, and the network that they are of."""

    tensors: Tensors  # float32 or float64, those of `Network` in its order
    config: Config
    notes: tuple[str, ...]  # what was changed, besides names: one line each


def renamed(
    network: Network,
    tensors: Mapping[str, np.ndarray],
    where: str,
    model: str | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> tuple[Renamed, dict[str, str]]:
    """Return tensors renamed as far as their names are known, and their old names.

    The others keep the name that they have in the file.
    """
    called, linear = stripped(tensors, where), _linear(network)
    layers: dict[str, str] = {}
    names = dict(zip(called, called, strict=True))  # those in the file: those here
    if any("." in name for name in called):
        if network.foreign is None:
            raise FormatError(
                f"{where}: names of another tool, and {network.family} has no table of "
                "them"
            )
        modules = _modules({name: tensors[old].shape for name, old in called.items()})
        layers = _once(network.foreign.layers(modules))
        names = {name: _our_name(name, modules, layers, linear) for name in called}
    theirs: dict[str, str] = {}
    for name, new in names.items():
        if new in theirs:
            raise FormatError(
                f"{where}: {theirs[new]} and {called[name]} are both {new}"
            )
        theirs[new] = called[name]
    ours = {new: tensors[old] for new, old in theirs.items()}
    for name in ours.keys() & linear:
        if ours[name].shape[2:] == (1, 1):  # a 1x1 convolution of pooled features
            ours[name] = ours[name][:, :, 0, 0]
    ours, notes = _one_dtype(ours)
    config = _config(network, ours, where, model, manifest)
    if layers and network.foreign is not None:
        try:
            ours, changes = network.foreign.adopt(ours, config, layers)
        except ValueError as error:
            raise FormatError(f"{where}: {error}") from None
        notes += changes
    return Renamed(ours, config, tuple(notes)), theirs


def stripped(names: Iterable[str], where: str) -> dict[str, str]:
    """Return names without wrappers' prefixes, each with the name in the file.

    A first part that all names share is a prefix too.  Counters are left out.
    """
    parts = {
        name: [part for part in name.split(".") if part not in WRAPPERS]
        for name in names
        if name.rpartition(".")[2] not in COUNTERS
    }
    while parts and all(len(p) > 2 for p in parts.values()):
        if len({p[0] for p in parts.values()}) > 1:
            break
        parts = {name: p[1:] for name, p in parts.items()}
    found: dict[str, str] = {}
    for name, p in parts.items():
        plain = ".".join(p) or name
        if plain in found:
            raise FormatError(f"{where}: {found[plain]} and {name} are both {plain}")
        found[plain] = name
    return found


def _modules(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Return the modules of dotted names, each with the shape of its weight, or ().

    A batch norm that lacks its weight has running statistics of the same shape.
    """
    parents = dict.fromkeys(name.rpartition(".")[0] for name in shapes)
    means = {name: shapes.get(f"{name}.running_mean", ()) for name in parents}
    return {name: shapes.get(f"{name}.weight", means[name]) for name in parents}


def _once(layers: dict[str, str]) -> dict[str, str]:
    """Return the table without modules whose layer another one has already."""
    first = {layer: module for module, layer in reversed(list(layers.items()))}
    return {module: layer for module, layer in layers.items() if first[layer] == module}


def _our_name(
    name: str, modules: Modules, layers: Mapping[str, str], linear: set[str]
) -> str:
    """Return the name of a tensor here; of an unknown one that in the file."""
    module, _, kind = name.rpartition(".")
    layer, shape = layers.get(module), modules[module]
    if layer is None or kind not in THEIR_KINDS.values():
        return name
    if kind == "weight":
        if f"{layer}_weights" in linear:
            return f"{layer}_weights"
        kind = WEIGHT_KINDS.get(len(shape), "")
        return f"{layer}_{kind}" if kind else name
    if kind == "bias" and len(shape) == 1:
        kind = "beta"
    return f"{layer}_{kind}"


def _linear(network: Network) -> set[str]:
    """Return the names of the weights of linear layers; no option changes them."""
    usual = network.parameter_shapes(network.models[network.usual])
    return {name for name in usual if name.endswith("_weights")}


def their_name(name: str, modules: Mapping[str, str]) -> str:
    """Return a tensor's name with the module of its layer: conv1.weight."""
    parts = _OURS.fullmatch(name)
    assert parts is not None, name
    return f"{modules[parts[1]]}.{THEIR_KINDS[parts[2]]}"


def _config(
    network: Network,
    tensors: Tensors,
    where: str,
    model: str | None,
    manifest: Mapping[str, Any] | None,
) -> Config:
    """Return the network's options: those of the manifest, or that the shapes show.

    The name ``model`` decides about the options that it tells, such as the blocks.
    """
    if manifest is not None and "model" in manifest:
        return config_of(network, tensors, manifest, where)
    if model is None:
        return config_of(network, tensors, None, where)
    config = network.recognize({name: t.shape for name, t in tensors.items()})
    wanted, told = network.models[model], {}
    for option, value in config._asdict().items():
        if network.name_of(wanted._replace(**{option: value})) != model:
            told[option] = getattr(wanted, option)
    return config._replace(**told)


def _one_dtype(tensors: Tensors) -> tuple[Tensors, list[str]]:
    """Return tensors in one dtype, float32 or float64; a line says what was widened.

    What is no floating-point number stays as it is.
    """
    halves = {
        name: str(t.dtype)
        for name, t in tensors.items()
        if str(t.dtype) in ("float16", "bfloat16")
    }
    tensors = {
        name: t.astype(np.float32) if name in halves else t
        for name, t in tensors.items()
    }
    notes = [
        f"{count} tensors of {dtype} are widened to float32"
        for dtype, count in Counter(halves.values()).items()
    ]
    doubles = sum(t.dtype == np.float64 for t in tensors.values())
    singles = [name for name, t in tensors.items() if t.dtype == np.float32]
    if doubles and singles:
        tensors |= {name: tensors[name].astype(np.float64) for name in singles}
        notes.append(
            f"{len(singles)} tensors of float32 are widened to float64, as others"
        )
    return tensors, notes
