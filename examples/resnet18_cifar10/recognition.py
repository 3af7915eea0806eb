"""Recognise the network of a set of tensors by their names and shapes."""

import re
from collections import Counter
from collections.abc import Mapping

from resnet18_cifar10.architecture import MODELS, ResNetConfig, parameter_shapes

_BLOCK = re.compile(r"s([1-9])b([1-9][0-9]?)_", re.ASCII)  # stage and block


def config_from_shapes(shapes: Mapping[str, tuple]) -> ResNetConfig:
    """Return the options of the model whose tensors have these names and shapes.

    The majority of the tensors decides, so that a set with missing, unexpected or wrong
    tensors is compared with the model it comes from.  If the set is incomplete, this is
    the named network with the fewest blocks that has all the blocks found.
    """
    tensors: Counter[str] = Counter()
    files: Counter[tuple[int, int]] = Counter()
    widths: Counter[int] = Counter()
    for name, shape in shapes.items():
        place = _BLOCK.match(name)
        stage, block = map(int, place.groups()) if place else (1, 0)
        layer, _, kind = name[place.end() if place else 0 :].rpartition("_")
        if place or layer in ("conv1", "bn1"):
            files[stage, block] += 1
            tensors[layer] += 1
        if layer != "fc":
            tensors[kind] += 1
        if layer in ("conv1", "conv2", "bn2"):  # as wide as the stage in every block
            widths[shape[0] // 2 ** (stage - 1) if shape else 0] += 1
    blocks: list[int] = []
    for (stage, block), count in files.items():
        if count > 2:  # fewer tensors are not taken for a block
            blocks += [0] * (stage - len(blocks))
            blocks[stage - 1] = max(blocks[stage - 1], block)
    normalize = 4 * tensors["gamma"] >= tensors["kernel"]
    stem = shapes.get("conv1_kernel", ())
    found = ResNetConfig(
        width=max(widths, key=widths.__getitem__, default=0) or ResNetConfig().width,
        blocks=tuple(blocks),
        conv_bias=normalize and 2 * tensors["bias"] > tensors["kernel"],
        bottleneck=2 * tensors["conv3"] > tensors["conv2"],
        pre_activation=any(name.startswith("final_bn_") for name in shapes),
        shortcut="A" if len(blocks) > 1 and not tensors["proj"] else "B",
        normalize=normalize,
        stem="imagenet" if stem[2:] == (7, 7) else "cifar",
    )
    if not _is_whole(found, shapes):
        found = found._replace(blocks=_nearest_blocks(found))
    return found._replace(num_classes=_num_classes(found, shapes))


def _is_whole(config: ResNetConfig, shapes: Mapping[str, tuple]) -> bool:
    """Tell whether all parameters are there, with any number of classes."""
    if not config.blocks or not all(config.blocks):
        return False
    config = config._replace(num_classes=_num_classes(config, shapes))
    wanted = parameter_shapes(config)
    return all(shapes.get(name) == shape for name, shape in wanted.items())


def _num_classes(config: ResNetConfig, shapes: Mapping[str, tuple]) -> int:
    features = parameter_shapes(config)["fc_weights"][1]
    head = shapes.get("fc_weights", ())
    if head[1:] != (features,):  # transposed, say
        head = shapes.get("fc_bias", ())
    return head[0] if head else ResNetConfig().num_classes


def _nearest_blocks(found: ResNetConfig) -> tuple[int, ...]:
    """Return the blocks of the smallest named network that has all those found."""
    candidates = [
        model.blocks
        for model in MODELS.values()
        if model.bottleneck == found.bottleneck
        and len(model.blocks) >= len(found.blocks)
        and all(map(int.__ge__, model.blocks, found.blocks))
    ]
    return min(candidates, key=sum, default=tuple(max(1, n) for n in found.blocks))


def untold(config: ResNetConfig) -> str:
    """Return what the shapes of a network's tensors do not tell, "" if nothing."""
    if config.normalize:
        return ""
    return "without batch norm its shapes do not tell whether it has pre-activation"
