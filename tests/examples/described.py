"""Every network of the examples with all its options, small, for tests of its graph."""

import numpy as np
from family import KINDS

from odyssey.cli.find_example import find_example

WITH_BIASES = KINDS["basic"]._replace(conv_bias=True)
RESNETS = {
    **{kind: config._replace(drop_path=0.0) for kind, config in KINDS.items()},
    "biases": WITH_BIASES,
    "biases v2": WITH_BIASES._replace(pre_activation=True),
    "bottleneck A": KINDS["bottleneck A v2"]._replace(pre_activation=False),
    "no norm A v2": KINDS["option A v2"]._replace(normalize=False),
    "no norm bottleneck v2": KINDS["no norm bottleneck"]._replace(pre_activation=True),
    "imagenet stem A": KINDS["imagenet stem"]._replace(shortcut="A"),
    "zero gamma": KINDS["basic"]._replace(zero_gamma=True),
}
OTHERS = {
    "lenet5": {},
    "alexnet": {"width": 3},
    "vgg16": {"width": 2},
    "vgg16_bn": {"width": 2},
    "speedrun": {"width": 2},
}


def networks():
    """Return each network and its options, by name."""
    resnet = find_example("resnet18").network
    found = {f"resnet, {kind}": (resnet, config) for kind, config in RESNETS.items()}
    for model, options in OTHERS.items():
        network = find_example(model).network
        config = network.models[model]._replace(num_classes=7, **options)
        found[model] = network, config
    return found


NETWORKS = networks()


def drawn(name, dtype=np.float32, images=3):
    """Return the network, its options, random tensors, and images.

    The tensors are not those of a fresh network, in which mistakes may not show.
    """
    network, config = NETWORKS[name]
    rng = np.random.default_rng(5)
    tensors = []
    for kind in network.initialize(config, 3):
        kind = {tensor: array.astype(dtype) for tensor, array in kind.items()}
        for tensor, array in kind.items():
            if tensor.endswith(("_gamma", "_running_var")):
                array[...] = rng.uniform(0.5, 1.5, array.shape)
            elif not tensor.endswith(("_kernel", "_weights")):
                array[...] = rng.uniform(-0.2, 0.2, array.shape)
        tensors.append(kind)
    x = rng.standard_normal((images, 32, 32, 3)).astype(dtype).transpose(0, 3, 1, 2)
    return network, config, *tensors, x


def arrays_in(cache):
    """Return all activations in a cache, each memory once."""
    found = {}

    def walk(value):
        if isinstance(value, np.ndarray):
            if value.ndim in (2, 4) and value.shape[1:] != (1, 1, 1):
                key = value.__array_interface__["data"][0]
                found[key] = value
        elif isinstance(value, (tuple, list)):
            for part in value:
                walk(part)

    walk(cache)
    return found.values()
