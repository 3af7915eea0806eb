"""A network of a linear layer for points (N, 5): small, but with all that a step asks.

It has a running mean as its state, and noise in training.
"""

from typing import NamedTuple

import numpy as np

from odyssey import linear, linear_backward
from odyssey.init import initialize_by_name
from odyssey.network import Network


class Config(NamedTuple):
    """The options of the network."""

    inputs: int = 5
    num_classes: int = 3
    noise: float = 0.1


CONFIG = Config()


def parameter_shapes(config):
    """Return names and shapes of what is trained."""
    K = config.num_classes
    return {"fc_weights": (K, config.inputs), "fc_bias": (K,)}


def state_shapes(config):
    """Return names and shapes of the state."""
    return {"mean": (config.inputs,)}


def initialize(config, seed):
    """Return parameters and state."""
    params = initialize_by_name(parameter_shapes(config), seed)
    return params, {"mean": np.zeros(config.inputs, "f4")}


def forward(params, state, x, config, training=True, rng=None, *, folded=False):
    """Return logits, state and cache."""
    if training:
        mean = np.float32(0.9) * state["mean"] + np.float32(0.1) * x.mean(axis=0)
        state = {"mean": mean}
        x = x + np.float32(config.noise * rng.standard_normal())
    return linear(x, params["fc_weights"], params["fc_bias"]), state, x


def backward(grad_logits, cache, params, config):
    """Return the gradients."""
    _, *grads = linear_backward(grad_logits, cache, params["fc_weights"])
    return dict(zip(params, grads, strict=True))


def recognize(shapes):
    """Return the options of the network with these shapes."""
    K, inputs = shapes["fc_weights"]
    return Config(inputs, K)


NETWORK = Network(
    family="points",
    models={"points3": CONFIG, "wide": Config(inputs=9)},
    parameter_shapes=parameter_shapes,
    state_shapes=state_shapes,
    initialize=initialize,
    forward=forward,
    backward=backward,
    recognize=recognize,
    noise=("noise",),
)
