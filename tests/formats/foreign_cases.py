"""Networks as other tools have them: for the test of names and its golden file.

Tensors are drawn from the names and shapes of a state dict, which the golden file
lists; so it needs to hold no weights.
"""

import hashlib
import math
from typing import NamedTuple

import numpy as np
from alexnet_cifar10.model import NETWORK as ALEXNET
from alexnet_cifar10.model import AlexNetConfig
from lenet5_cifar10.model import NETWORK as LENET
from lenet5_cifar10.model import LeNetConfig
from resnet18_cifar10.architecture import MODELS, ResNetConfig
from resnet18_cifar10.example import NETWORK as RESNET
from speedrun_cifar10.architecture import SpeedrunConfig
from speedrun_cifar10.example import NETWORK as SPEEDRUN
from vgg16_cifar10.model import NETWORK as VGG
from vgg16_cifar10.model import VGGConfig

from odyssey.network import Config, Network

BATCH = 3


class Case(NamedTuple):
    """A network here, which is to be found from another tool's tensors."""

    network: Network
    config: Config
    side: int = 32  # pixels of an image


IMAGENET = ResNetConfig(width=4, num_classes=7, stem="imagenet")
CASES = {
    "torchvision, basic": Case(RESNET, IMAGENET, 41),
    "torchvision, bottleneck": Case(
        RESNET, IMAGENET._replace(width=2, blocks=(1, 2), bottleneck=True), 41
    ),
    "kuangliu": Case(RESNET, ResNetConfig(width=3), 16),
    "kuangliu, bottleneck": Case(
        RESNET, ResNetConfig(width=2, blocks=(1, 1, 2), bottleneck=True), 16
    ),
    "weiaicunzai": Case(RESNET, ResNetConfig(width=2, blocks=(1, 2)), 16),
    "weiaicunzai, bottleneck": Case(
        RESNET, ResNetConfig(width=2, blocks=(2, 1), bottleneck=True), 16
    ),
    "akamaster": Case(RESNET, MODELS["resnet20"]._replace(width=4), 16),
    "shortcut A, zeros at the end": Case(
        RESNET, MODELS["resnet20"]._replace(width=4), 16
    ),
    "timm, ResNetV2": Case(
        RESNET,
        IMAGENET._replace(width=2, blocks=(2, 1), bottleneck=True, pre_activation=True),
        41,
    ),
    "LeNet-5": Case(LENET, LeNetConfig(num_classes=5)),
    "AlexNet": Case(ALEXNET, AlexNetConfig(width=6, num_classes=4)),
    "VGG-16": Case(VGG, VGGConfig(width=2, num_classes=6)),
    "VGG-16, batch norm": Case(VGG, VGGConfig(width=2, normalize=True)),
    "airbench": Case(SPEEDRUN, SpeedrunConfig(width=4, num_classes=3)),
}


def state_dict(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Draw the tensors of a state dict, in float64."""
    rng, tensors = np.random.default_rng(41), {}
    for name, shape in shapes.items():
        kind = name.rpartition(".")[2]
        if kind == "num_batches_tracked":
            tensors[name] = np.array(1234, np.int64)
        elif kind == "running_var" or (kind == "weight" and len(shape) == 1):
            tensors[name] = rng.uniform(0.3, 1.7, shape)
        elif kind == "weight":
            deviation = math.sqrt(2 / math.prod(shape[1:]))
            tensors[name] = deviation * rng.standard_normal(shape)
        else:
            tensors[name] = 0.2 * rng.standard_normal(shape)
    if "layers.1.norm1.weight" in tensors:  # fixed at 1 in this network
        for name in tensors:
            if "norm" in name and name.endswith("weight"):
                tensors[name][...] = 1
    return tensors


def images(side: int) -> np.ndarray:
    """Draw a batch of images."""
    return np.random.default_rng(42).standard_normal((BATCH, 3, side, side))


def digest(tensors: dict[str, np.ndarray], x: np.ndarray) -> str:
    """Return a checksum of what was drawn."""
    found = hashlib.sha256(x.tobytes())
    for tensor in tensors.values():
        found.update(tensor.tobytes())
    return found.hexdigest()
