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
MOST_PREFIXES = 3  # parts of a name before that of a layer
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


class Origins(NamedTuple):
    """Where tensors come from."""

    names: dict[str, str]  # those in the file, by those here
    layers: dict[str, str]  # those here, by the file's modules; none if it is Odyssey's


def renamed(
    network: Network,
    tensors: Mapping[str, np.ndarray],
    where: str,
    model: str | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> tuple[Renamed, Origins]:
    """Return tensors renamed as far as their names are known, and their origins.

    The others keep the name that they have in the file.
    """
    called = _unwrapped(tensors, where)
    origins = Origins(called, {})
    if any("." in name for name in called):
        origins = _origins(network, called, tensors, where)
    ours = {name: tensors[old] for name, old in origins.names.items()}
    for name in ours.keys() & _linear(network):
        if ours[name].shape[2:] == (1, 1):  # a 1x1 convolution of pooled features
            ours[name] = ours[name][:, :, 0, 0]
    ours, notes = _one_dtype(ours)
    config = _config(network, ours, where, model, manifest)
    if origins.layers and network.foreign is not None:
        try:
            ours, changes = network.foreign.adopt(ours, config, origins.layers)
        except ValueError as error:
            raise FormatError(f"{where}: {error}") from None
        notes += changes
    return Renamed(ours, config, tuple(notes)), origins


def _unwrapped(names: Iterable[str], where: str) -> dict[str, str]:
    """Return the names in a file by names without wrappers' parts.

    Counters are left out.
    """
    parts = {
        name: ".".join(part for part in name.split(".") if part not in WRAPPERS)
        for name in names
        if name.rpartition(".")[2] not in COUNTERS
    }
    return _by_new_name({name: plain or name for name, plain in parts.items()}, where)


def _by_new_name(names: Mapping[str, str], where: str) -> dict[str, str]:
    """Return the old names by the new ones, of which each must be that of one."""
    found: dict[str, str] = {}
    for old, new in names.items():
        if new in found:
            raise FormatError(f"{where}: {found[new]} and {old} are both {new}")
        found[new] = old
    return found


def _origins(
    network: Network,
    called: Mapping[str, str],
    tensors: Mapping[str, np.ndarray],
    where: str,
) -> Origins:
    """Return the origins of tensors with another tool's names.

    A prefix of most names is left out if more layers are known without it: ``model.``
    """
    if network.foreign is None:
        raise FormatError(
            f"{where}: names of another tool, and {network.family} has no table of them"
        )
    modules = _modules({name: tensors[old].shape for name, old in called.items()})
    within: dict[str, dict[str, tuple[int, ...]]] = {"": modules}
    for module, shape in modules.items():
        parts = module.split(".")
        for depth in range(1, min(len(parts), MOST_PREFIXES + 1)):
            prefix = ".".join(parts[:depth]) + "."
            within.setdefault(prefix, {})[module.removeprefix(prefix)] = shape
    layers = {
        prefix: _once(network.foreign.layers(part))
        for prefix, part in within.items()
        if 2 * len(part) > len(modules)
    }
    prefix = max(layers, key=lambda p: len(layers[p]))  # of equals the first: ""
    linear, names = _linear(network), {}
    for name, old in called.items():
        names[old] = name
        if name.startswith(prefix):
            plain = name.removeprefix(prefix)
            ours = _our_name(plain, within[prefix], layers[prefix], linear)
            names[old] = name if ours == plain else ours
    return Origins(_by_new_name(names, where), layers[prefix])


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
