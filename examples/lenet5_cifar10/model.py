"""LeNet-5 for 32x32 colour images: explicit forward, explicit backward.

    image (N, 3, 32, 32)
      conv1 5x5, relu       (N,  6, 28, 28)      max pooling 2x2   (N,  6, 14, 14)
      conv2 5x5, relu       (N, 16, 10, 10)      max pooling 2x2   (N, 16,  5,  5)
      fc1, relu (N, 120)      fc2, relu (N, 84)      fc3 (N, 10)

The network of LeCun, Bottou, Bengio & Haffner 1998, with relu instead of the sigmoid,
max pooling instead of trained averages, and three colours: 62,006 parameters.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from odyssey.cli.example import Example
from odyssey.foreign import same_names
from odyssey.graph import Graph
from odyssey.init import initialize_by_name
from odyssey.layers.context import Tensors
from odyssey.network import Network, Shapes
from odyssey.ops.activation import relu, relu_backward
from odyssey.ops.conv import conv2d, conv2d_backward
from odyssey.ops.linear import linear, linear_backward
from odyssey.ops.pooling import maxpool2d, maxpool2d_backward


class LeNetConfig(NamedTuple):
    """Options of the model."""

    num_classes: int = 10


class Cache(NamedTuple):
    """The tensors that the backward needs from the forward, and what for."""

    x: np.ndarray  # (N, 3, 32, 32) gradient of conv1's kernel
    h1: np.ndarray  # (N, 6, 28, 28) positions of the maxima; mask of the relu
    pooled1: np.ndarray  # (N, 6, 14, 14) gradient of conv2's kernel
    h2: np.ndarray  # (N, 16, 10, 10) as h1
    flat: np.ndarray  # (N, 400) gradient of fc1's weights
    h3: np.ndarray  # (N, 120) mask of the relu, gradient of fc2's weights
    h4: np.ndarray  # (N, 84) mask of the relu, gradient of fc3's weights


def parameter_shapes(config: LeNetConfig) -> Shapes:
    """Return name and shape of every trainable tensor."""
    shapes: Shapes = {}
    for conv, kernel in (("conv1", (6, 3, 5, 5)), ("conv2", (16, 6, 5, 5))):
        shapes |= {f"{conv}_kernel": kernel, f"{conv}_bias": kernel[:1]}
    last = (config.num_classes, 84)
    for fc, weights in (("fc1", (120, 400)), ("fc2", (84, 120)), ("fc3", last)):
        shapes |= {f"{fc}_weights": weights, f"{fc}_bias": weights[:1]}
    return shapes


def forward(
    params: Tensors,
    state: Tensors,
    x: np.ndarray,
    config: LeNetConfig,
    training: bool = True,
    rng: np.random.Generator | None = None,
    *,
    folded: bool = False,
) -> tuple[np.ndarray, Tensors, Cache]:
    """Return logits (N, num_classes), the state, which is empty, and the cache."""
    p = params
    h1 = conv2d(x, p["conv1_kernel"], p["conv1_bias"], relu=True)  # (N, 6, 28, 28)
    pooled1 = maxpool2d(h1, 2)  # (N, 6, 14, 14)
    h2 = conv2d(pooled1, p["conv2_kernel"], p["conv2_bias"], relu=True)
    flat = maxpool2d(h2, 2).reshape(len(x), 400)  # of (N, 16, 5, 5)
    h3 = relu(linear(flat, p["fc1_weights"], p["fc1_bias"]))  # (N, 120)
    h4 = relu(linear(h3, p["fc2_weights"], p["fc2_bias"]))  # (N, 84)
    logits = linear(h4, p["fc3_weights"], p["fc3_bias"])
    return logits, state, Cache(x, h1, pooled1, h2, flat, h3, h4)


def describe(graph: Graph, x: str, config: LeNetConfig) -> str:
    """Note the layers of the forward; return the edge of the logits."""
    h = graph.maxpool2d(graph.relu(graph.conv2d(x, "conv1")), 2)
    h = graph.maxpool2d(graph.relu(graph.conv2d(h, "conv2")), 2)
    h = graph.relu(graph.linear(graph.flatten(h), "fc1"))
    h = graph.relu(graph.linear(h, "fc2"))
    return graph.linear(h, "fc3")


def backward(
    grad_logits: np.ndarray, cache: Cache, params: Tensors, config: LeNetConfig
) -> Tensors:
    """Return the gradient of every parameter; the forward's lines in reverse order."""
    c, p, g = cache, params, {}
    # forward: logits = linear(h4, fc3_weights, fc3_bias)
    grad, g["fc3_weights"], g["fc3_bias"] = linear_backward(
        grad_logits, c.h4, p["fc3_weights"]
    )
    # forward: h4 = relu(linear(h3, fc2_weights, fc2_bias))
    grad, g["fc2_weights"], g["fc2_bias"] = linear_backward(
        relu_backward(grad, c.h4), c.h3, p["fc2_weights"]
    )
    # forward: h3 = relu(linear(flat, fc1_weights, fc1_bias))
    grad, g["fc1_weights"], g["fc1_bias"] = linear_backward(
        relu_backward(grad, c.h3), c.flat, p["fc1_weights"]
    )
    # forward: flat = maxpool2d(h2, 2).reshape(N, 400)
    grad = maxpool2d_backward(grad.reshape(-1, 16, 5, 5), c.h2, 2)
    # forward: h2 = relu(conv2d(pooled1, conv2_kernel, conv2_bias))
    grad, g["conv2_kernel"], g["conv2_bias"] = conv2d_backward(
        relu_backward(grad, c.h2), c.pooled1, p["conv2_kernel"]
    )
    # forward: pooled1 = maxpool2d(h1, 2)
    grad = maxpool2d_backward(grad, c.h1, 2)
    # forward: h1 = relu(conv2d(x, conv1_kernel, conv1_bias)); images need no gradient
    _, g["conv1_kernel"], g["conv1_bias"] = conv2d_backward(
        relu_backward(grad, c.h1), c.x, p["conv1_kernel"], needs_grad_input=False
    )
    return {name: g[name] for name in params}


NETWORK = Network(
    family="lenet5",
    models={"lenet5": LeNetConfig()},
    parameter_shapes=parameter_shapes,
    state_shapes=lambda config: {},
    initialize=lambda c, seed: (initialize_by_name(parameter_shapes(c), seed), {}),
    forward=forward,
    backward=backward,
    recognize=lambda shapes: LeNetConfig(*shapes.get("fc3_bias", (10,))),
    foreign=same_names("conv1", "conv2", "fc1", "fc2", "fc3"),
    describe=describe,
)
EXAMPLE = Example("LeNet-5", NETWORK, Path(__file__).resolve().parent, "lenet5_weights")
