"""The names of residual networks in other tools.

    here           torchvision             kuangliu, akamaster   timm's ResNetV2
    conv1          conv1                   conv1                 stem.conv
    s2b1_conv1     layer2.0.conv1          layer2.0.conv1        stages.1.blocks.0.conv1
    s2b1_bn1       layer2.0.bn1            layer2.0.bn1          there norm1
    s2b1_proj      layer2.0.downsample.0   layer2.0.shortcut.0   there downsample.conv
    s2b1_proj_bn   layer2.0.downsample.1   layer2.0.shortcut.1
    fc             fc                      linear                head.fc

weiaicunzai's are conv3_x.0.residual_function.0, conv3_x.0.shortcut.0, fc.

Where names are those with ``linear``, shortcut A adds half of the zero channels before
the others, and half after them.  Here all come after.  So the channels between the
blocks stand in another order, and tensors are written in this order.

In timm's pre-activation networks a pooling comes between the first convolution and the
first batch norm, which is here before the pooling.  The results are the same if no
gamma of this norm is negative: then the norm does not change which number is greatest.
"""

import re

import numpy as np

from odyssey.foreign import TORCHVISION, ForeignNames, Modules, Tensors
from resnet18_cifar10.architecture import ResNetConfig, network_blocks, network_layers

KUANGLIU = "kuangliu"
#: Modules of a shortcut and of the last layer, by style.
ENDS = {
    TORCHVISION: ("downsample", "fc"),
    KUANGLIU: ("shortcut", "linear"),
}
TOP = {
    "conv1": "conv1",
    "bn1": "bn1",
    "conv1.0": "conv1",  # weiaicunzai's
    "conv1.1": "bn1",
    "stem.conv": "conv1",
    "stem.norm": "bn1",
    "norm": "final_bn",
    **dict.fromkeys(("fc", "linear", "classifier", "head", "head.fc"), "fc"),
}
WITHIN = {
    **{f"conv{n}": f"conv{n}" for n in (1, 2, 3)},
    **{f"{norm}{n}": f"bn{n}" for norm in ("bn", "norm") for n in (1, 2, 3)},
    **{f"{ends[0]}.{conv}": "proj" for ends in ENDS.values() for conv in ("0", "conv")},
    **{f"{ends[0]}.{n}": "proj_bn" for ends in ENDS.values() for n in ("1", "norm")},
}
WITHIN |= {  # weiaicunzai's, with relus between
    f"residual_function.{3 * n - 3 + place}": f"{kind}{n}"
    for n in (1, 2, 3)
    for place, kind in enumerate(("conv", "bn"))
}
FIRST_STAGES = {"layer": 1, "stages.": 0, "conv": 2}  # numbers of the first stage
_BLOCK = re.compile(
    r"(layer|stages\.|conv)([0-9])(?:\.blocks|_x)?\.([0-9]{1,3})\.(.+)", re.ASCII
)
_OURS = re.compile(r"s([1-9])b([0-9]+)_(.+)", re.ASCII)
FIRST_NORM = "stages.0.blocks.0.norm1"  # timm's


def layers(modules: Modules) -> dict[str, str]:
    """Return the layer of each module that is known."""
    found = {}
    for module in modules:
        if module in TOP:
            found[module] = TOP[module]
        elif (place := _BLOCK.fullmatch(module)) and place[4] in WITHIN:
            stage = int(place[2]) - FIRST_STAGES[place[1]] + 1
            found[module] = f"s{stage}b{int(place[3]) + 1}_{WITHIN[place[4]]}"
    # Only with a projection is nothing but this norm's result used.
    if "stages.0.blocks.0.downsample.conv" in modules and "norm" in modules:
        found[FIRST_NORM] = "bn1"
    return found


def modules(config: ResNetConfig, style: str) -> dict[str, str]:
    """Return the module of each layer of a network."""
    shortcut, last = ENDS[style]
    found = {"fc": last}
    for layer in network_layers(config):
        for name in filter(None, (layer.conv, layer.norm)):
            place = _OURS.fullmatch(name)
            if place is None:
                found[name] = "norm" if name == "final_bn" else name
                continue
            within = {"proj": f"{shortcut}.0", "proj_bn": f"{shortcut}.1"}
            module = within.get(place[3], place[3])
            found[name] = f"layer{place[1]}.{int(place[2]) - 1}.{module}"
    return found


def adopt(
    tensors: Tensors, config: ResNetConfig, layers: dict[str, str]
) -> tuple[Tensors, list[str]]:
    """Return the tensors with channels in the order that they have here.

    Raises
    ------
    ValueError
        For a network of timm's that is not possible here.
    """
    gamma = tensors.get("bn1_gamma")
    if FIRST_NORM in layers and gamma is not None and (gamma < 0).any():
        raise ValueError(
            f"{FIRST_NORM}.weight has negative numbers, and this norm follows a max "
            "pooling: there is no such network here"
        )
    if layers.get("linear") == "fc" and _has_zeros_on_both_sides(config):
        note = "shortcut A adds zero channels on both sides there, at the end here: "
        return reordered(tensors, config), [note + "the channels are reordered"]
    return tensors, []


def release(tensors: Tensors, config: ResNetConfig, style: str) -> Tensors:
    """Return the tensors with channels in the order that they have elsewhere."""
    if style == KUANGLIU and _has_zeros_on_both_sides(config):
        return reordered(tensors, config, back=True)
    return tensors


def _has_zeros_on_both_sides(config: ResNetConfig) -> bool:
    """Tell whether such networks are usual where the last layer is called linear."""
    return config.shortcut == "A" and not (config.bottleneck or config.pre_activation)


def reordered(tensors: Tensors, config: ResNetConfig, back: bool = False) -> Tensors:
    """Return the tensors with the channels between blocks in the order here.

    Tensors of wrong shapes stay as they are.

    Parameters
    ----------
    tensors : by their names here, with half of shortcut A's zeros before the others
    config : the network's options
    back : do the reverse
    """
    found = dict(tensors)

    def take(name: str, order: np.ndarray, axis: int = 0) -> None:
        tensor = found.get(name)
        if tensor is not None and tensor.shape[axis : axis + 1] == order.shape:
            index = np.argsort(order) if back else order
            found[name] = np.ascontiguousarray(tensor.take(index, axis))

    order = np.arange(config.width)  # at place i there is their channel order[i]
    for block in network_blocks(config):
        take(f"{block.name}_conv1_kernel", order, axis=1)
        if block.shortcut == "A":
            C, K = block.in_channels, block.out_channels
            before = (K - C) // 2
            zeros = np.arange(before), np.arange(before + C, K)
            order = np.concatenate([before + order, *zeros])
        for kind in ("conv2_kernel", "conv2_bias"):
            take(f"{block.name}_{kind}", order)
        for kind in ("gamma", "beta", "running_mean", "running_var"):
            take(f"{block.name}_bn2_{kind}", order)
    take("fc_weights", order, axis=1)
    return found


FOREIGN = ForeignNames(layers, modules, adopt, release, styles=tuple(ENDS))
