"""The names of the speed run's network in airbench94_muon, its source.

    here        there
    whiten      whiten
    g1_conv1    layers.1.conv1
    g1_bn1      layers.1.norm1
    fc          head

There the batch norms have a gamma, which is always 1.
"""

import re

import numpy as np

from odyssey.foreign import ForeignNames, Modules, Tensors
from speedrun_cifar10.architecture import SpeedrunConfig, units

_GROUP = re.compile(r"layers\.([123])\.(conv|norm)([12])", re.ASCII)
_KINDS = {"conv": "conv", "norm": "bn"}


def layers(modules: Modules) -> dict[str, str]:
    """Return the layer of each module that is known."""
    ends = {"whiten": "whiten", "head": "fc"}
    found = {module: layer for module, layer in ends.items() if module in modules}
    for module in modules:
        if place := _GROUP.fullmatch(module):
            found[module] = f"g{place[1]}_{_KINDS[place[2]]}{place[3]}"
    return found


def modules(config: SpeedrunConfig, style: str) -> dict[str, str]:
    """Return the module of each layer of a network."""
    found = {"whiten": "whiten", "fc": "head"}
    for unit in units(config):
        for layer, kind in ((unit.conv, "conv"), (unit.norm, "norm")):
            found[layer] = f"layers.{layer[1]}.{kind}{layer[-1]}"
    return found


def adopt(
    tensors: Tensors, config: SpeedrunConfig, layers: dict[str, str]
) -> tuple[Tensors, list[str]]:
    """Return the tensors without the gammas.

    Raises
    ------
    ValueError
        If a gamma is not 1: there is no such network here.
    """
    gammas = [name for name in tensors if name.endswith("_gamma")]
    if trained := [name for name in gammas if (tensors[name] != 1).any()]:
        raise ValueError(f"{trained[0]} must be 1 throughout, as there is none here")
    return {name: t for name, t in tensors.items() if name not in gammas}, []


def release(tensors: Tensors, config: SpeedrunConfig, style: str) -> Tensors:
    """Return the tensors with gammas of 1."""
    betas = {unit.norm: tensors[f"{unit.norm}_beta"] for unit in units(config)}
    gammas = {f"{norm}_gamma": np.ones_like(beta) for norm, beta in betas.items()}
    return {**tensors, **gammas}


FOREIGN = ForeignNames(layers, modules, adopt, release, styles=("airbench",))
