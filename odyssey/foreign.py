"""How other tools name a network's tensors: the table that stands beside a network.

Elsewhere a tensor's name is that of a module and a kind, here that of a layer and one:

    layer1.0.bn1.running_mean     s1b1_bn1_running_mean

So a table has modules and layers alone.  `odyssey.formats.names` does the rest.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Tensors = dict[str, np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]
Modules = Mapping[str, tuple[int, ...]]  # other tools' modules, shapes of their weights
Lists = Mapping[str, Mapping[int, str]]  # numbered modules: features.0 is conv1
TORCHVISION = "torchvision"  # the style of names that is written


def _adopt(tensors: Tensors, *_: Any) -> tuple[Tensors, list[str]]:
    return tensors, []


def _release(tensors: Tensors, *_: Any) -> Tensors:
    return tensors


class ForeignNames(NamedTuple):
    """The names of a network's layers in other tools, and what else differs there.

    ======================================== ==========================================
    ``layers(modules)``                      the layer of each module that is known
    ``modules(config, style)``               the module of each layer of a network
    ``adopt(tensors, config, layers)``       tensors under their names here, with the
                                             values that the network here needs, and a
                                             line for each change; ``ValueError`` for
                                             what is not possible here.  Tensors may be
                                             missing or of any shape.
    ``release(tensors, config, style)``      the reverse of it
    ======================================== ==========================================
    """

    layers: Callable[[Modules], dict[str, str]]
    modules: Callable[[Any, str], dict[str, str]]
    adopt: Callable[[Tensors, Any, dict[str, str]], tuple[Tensors, list[str]]] = _adopt
    release: Callable[[Tensors, Any, str], Tensors] = _release
    styles: tuple[str, ...] = (TORCHVISION,)  # those that can be written


def same_names(*layers: str) -> ForeignNames:
    """Return the table of a network whose layers are called the same elsewhere."""
    return ForeignNames(
        layers=lambda modules: {name: name for name in layers if name in modules},
        modules=lambda config, style: dict(zip(layers, layers, strict=True)),
    )


def numbered(
    lists: Callable[[Any], Lists],
    fullest: Any,
    parameter_shapes: Callable[[Any], Shapes],
    normalized: Callable[[Any], Sequence[tuple[str | None, str]]] = lambda config: (),
) -> ForeignNames:
    """Return the table of a network whose layers are in numbered lists elsewhere.

    Only their order counts: the numbers depend on the layers without weights between.

    Parameters
    ----------
    lists : from the network's options to torchvision's numbers
    fullest : options of a network with all layers that one of the family can have
    parameter_shapes : from the network's options to the shapes of its parameters
    normalized : from these to the pairs of a convolution and the batch norm after it.
        Elsewhere such a convolution has a bias.  The norm takes it away again, so that
        it becomes a part of the running mean here.
    """
    ours = {parent: list(names.values()) for parent, names in lists(fullest).items()}
    ndims = {
        name.rpartition("_")[0]: len(shape)
        for name, shape in parameter_shapes(fullest).items()
        if name.endswith(("_kernel", "_weights", "_gamma"))
    }

    def layers(modules: Modules) -> dict[str, str]:
        found = {name: name for name in ndims if name in modules}
        for parent, names in ours.items():
            numbers = {
                int(number): module
                for module in modules
                for above, _, number in [module.rpartition(".")]
                if above == parent and number.isascii() and number.isdigit()
            }
            in_order = [numbers[number] for number in sorted(numbers)]
            for ndim in set(ndims.values()):
                theirs = [module for module in in_order if len(modules[module]) == ndim]
                wanted = [name for name in names if ndims[name] == ndim]
                found |= dict(zip(theirs, wanted, strict=False))
        return found

    def modules(config: Any, style: str) -> dict[str, str]:
        return {
            layer: f"{parent}.{number}"
            for parent, names in lists(config).items()
            for number, layer in names.items()
        }

    def adopt(
        tensors: Tensors, config: Any, layers: dict[str, str]
    ) -> tuple[Tensors, list[str]]:
        found, absorbed = dict(tensors), 0
        for conv, norm in normalized(config):
            bias, mean = found.get(f"{conv}_bias"), found.get(f"{norm}_running_mean")
            if bias is not None and mean is not None and bias.shape == mean.shape:
                del found[f"{conv}_bias"]
                found[f"{norm}_running_mean"] = mean - bias
                absorbed += 1
        note = f"{absorbed} biases before batch norms are now in the running means"
        return found, [note] if absorbed else []

    def release(tensors: Tensors, config: Any, style: str) -> Tensors:
        zeros = {
            f"{conv}_bias": np.zeros_like(tensors[f"{norm}_beta"])
            for conv, norm in normalized(config)
        }
        return {**tensors, **zeros}

    return ForeignNames(layers, modules, adopt, release)
