"""Tensors under other tools' names, and the same under Odyssey's.

    to_odyssey      other names to those here; the network is found from the shapes
    from_odyssey    the names here to those of torchvision, or of another style
    find_network    which of several families a file's tensors are of

Prefixes that wrappers add (``module.`` and ``_orig_mod.`` of PyTorch) and counters of
batches are left out.  What does not fit is said at once: each tensor that is missing,
that no network here has, or that has another shape, with the name most like it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from odyssey.foreign import Tensors
from odyssey.formats.misfits import NamesError, misfits_of
from odyssey.formats.renaming import Renamed, renamed, their_name
from odyssey.formats.tensor_file import FormatError
from odyssey.network import Config, Network
from odyssey.weights.files import WeightsError

__all__ = ["NamesError", "Renamed", "find_network", "from_odyssey", "to_odyssey"]


def to_odyssey(
    network: Network,
    tensors: Mapping[str, np.ndarray],
    where: str,
    *,
    model: str | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> Renamed:
    """Return a file's tensors under the names of a network here.

    Parameters
    ----------
    network : the family
    tensors : by their names in the file; names without a dot are Odyssey's own
    where : the file, for messages
    model : the name of the network; None to recognise it from the shapes
    manifest : what the file says about the model, if Odyssey wrote it

    Returns
    -------
    renamed : float16 and bfloat16 are widened to float32, which is exact

    Raises
    ------
    NamesError
        If tensors are missing, unexpected or of another shape.
    FormatError
        If two tensors have one name, or the network cannot be told or is not possible
        here.
    """
    found, origins = renamed(network, tensors, where, model, manifest)
    misfits = misfits_of(network, found, origins, manifest)
    if not misfits.number:
        shapes = network.tensor_shapes(found.config)
        ordered = {
            name: found.tensors[name] for name in shapes if name in found.tensors
        }
        return found._replace(tensors=ordered)
    name = network.name_of(found.config) + network.stated_options(found.config)
    raise NamesError(
        f"{where}: not the tensors of {name}: {misfits.numbers()}",
        misfits.lines(network, found, origins),
    )


def find_network(
    networks: Iterable[Network], tensors: Mapping[str, np.ndarray], where: str
) -> Network:
    """Return the family that has the fewest problems with a file's tensors."""
    fewest: tuple[int, Network] | None = None
    reason: WeightsError | None = None
    for network in networks:
        try:
            found, origins = renamed(network, tensors, where)
            number = misfits_of(network, found, origins, None).number
        except WeightsError as error:
            reason = error
            continue
        if fewest is None or number < fewest[0]:
            fewest = number, network
    if fewest is None:
        raise reason or FormatError(f"{where}: no network to compare it with")
    return fewest[1]


def from_odyssey(
    network: Network, tensors: Tensors, config: Config, style: str | None = None
) -> Tensors:
    """Return a network's tensors under the names of another tool.

    Parameters
    ----------
    network : the family
    tensors : parameters and running statistics
    config : the network's options
    style : of ``network.foreign.styles``; None for the first, torchvision's if it has
        such a network

    Raises
    ------
    ValueError
        If there is no table for the network, or no such style.
    """
    foreign = network.foreign
    style = foreign.styles[0] if foreign and style is None else style
    if foreign is None or style not in foreign.styles:
        known = ", ".join(foreign.styles) if foreign else "none"
        raise ValueError(
            f"from_odyssey: style must be one of {network.family}'s ({known}), "
            f"got {style!r}"
        )
    modules = foreign.modules(config, style)
    released = foreign.release(dict(tensors), config, style)
    return {their_name(name, modules): tensor for name, tensor in released.items()}
