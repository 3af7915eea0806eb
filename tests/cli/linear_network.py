"""A linear classifier of images of any shape, as a network for the programs."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from odyssey.cli.example import Example
from odyssey.network import Network
from odyssey.ops.linear import linear, linear_backward


class LinearConfig(NamedTuple):
    num_classes: int = 10
    features: int = 0  # so many numbers has an image


def parameter_shapes(config):
    K, features = config
    return {"fc_weights": (K, features), "fc_bias": (K,)}


def initialize(config, seed):
    shapes = parameter_shapes(config)
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, {}


def forward(params, state, x, config, training=True, rng=None, *, folded=False):
    features = np.ascontiguousarray(x).reshape(len(x), -1)
    logits = linear(features, params["fc_weights"], params["fc_bias"])
    return logits, state, features


def backward(grad_logits, features, params, config):
    _, grad_weights, grad_bias = linear_backward(
        grad_logits, features, params["fc_weights"]
    )
    return {"fc_weights": grad_weights, "fc_bias": grad_bias}


MODELS = {
    f"linear{C}x{H}x{W}": LinearConfig(features=C * H * W)
    for C, H, W in [(1, 28, 28), (3, 48, 40), (3, 24, 24)]
}

EXAMPLE = Example(
    "a linear classifier",
    Network(
        family="linear",
        models=MODELS,
        parameter_shapes=parameter_shapes,
        state_shapes=lambda config: {},
        initialize=initialize,
        forward=forward,
        backward=backward,
        recognize=lambda shapes: LinearConfig(*shapes["fc_weights"]),
    ),
    Path(__file__).parent,
    "linear_weights",
)
