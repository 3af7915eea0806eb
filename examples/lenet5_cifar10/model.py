"""LeNet-5 for 32x32 colour images: explicit forward, explicit backward.

    image (N, 3, 32, 32)
      conv1 5x5, relu       (N,  6, 28, 28)      max pooling 2x2   (N,  6, 14, 14)
      conv2 5x5, relu       (N, 16, 10, 10)      max pooling 2x2   (N, 16,  5,  5)
      fc1, relu             (N, 120)
      fc2, relu             (N, 84)
      fc3                   (N, 10)

LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document
recognition", with relu in place of the sigmoid, max pooling in place of trained
averages, and three colours: 62,006 parameters.
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from odyssey.cli.example import Example
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
    """What the backward needs of the forward."""

    x: np.ndarray  # (N, 3, 32, 32)
    h1: np.ndarray  # (N, 6, 28, 28) after relu: what is pooled, and the relu's mask
    pooled1: np.ndarray  # (N, 6, 14, 14)
    h2: np.ndarray  # (N, 16, 10, 10)
    pooled2: np.ndarray  # (N, 16, 5, 5)
    features: list[np.ndarray]  # (N, 400), (N, 120), (N, 84): inputs of fc1, fc2, fc3


def parameter_shapes(config: LeNetConfig) -> Shapes:
    """Return name and shape of every trainable tensor."""
    shapes: Shapes = {}
    for number, kernel in enumerate([(6, 3, 5, 5), (16, 6, 5, 5)], 1):
        shapes |= {f"conv{number}_kernel": kernel, f"conv{number}_bias": kernel[:1]}
    widths = [16 * 5 * 5, 120, 84, config.num_classes]
    for number, (inputs, outputs) in enumerate(pairwise(widths), 1):
        shapes |= {f"fc{number}_weights": (outputs, inputs)}
        shapes |= {f"fc{number}_bias": (outputs,)}
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
    pooled2 = maxpool2d(h2, 2)  # (N, 16, 5, 5)
    features = [pooled2.reshape(len(x), -1)]  # (N, 400)
    for fc in ("fc1", "fc2"):
        features.append(relu(linear(features[-1], p[f"{fc}_weights"], p[f"{fc}_bias"])))
    logits = linear(features[-1], p["fc3_weights"], p["fc3_bias"])
    return logits, state, Cache(x, h1, pooled1, h2, pooled2, features)


def backward(
    grad_logits: np.ndarray, cache: Cache, params: Tensors, config: LeNetConfig
) -> Tensors:
    """Return the gradient of every parameter: the forward upside-down."""
    grads, grad = {}, grad_logits
    for number in (3, 2, 1):
        fc, features = f"fc{number}", cache.features[number - 1]
        # forward: out = linear(features, weights, bias)
        grad, grads[f"{fc}_weights"], grads[f"{fc}_bias"] = linear_backward(
            grad, features, params[f"{fc}_weights"]
        )
        if fc != "fc1":  # forward: features = relu(linear(...))
            grad = relu_backward(grad, features)
    grad = grad.reshape(cache.pooled2.shape)  # (N, 16, 5, 5)
    for conv, x, h in (
        ("conv2", cache.pooled1, cache.h2),
        ("conv1", cache.x, cache.h1),
    ):
        # forward: h = relu(conv2d(x, kernel, bias)); pooled = maxpool2d(h, 2)
        grad = relu_backward(maxpool2d_backward(grad, h, 2), h)
        grad, grads[f"{conv}_kernel"], grads[f"{conv}_bias"] = conv2d_backward(
            grad, x, params[f"{conv}_kernel"], needs_grad_input=conv != "conv1"
        )
    return {name: grads[name] for name in params}


def recognize(shapes: Mapping[str, tuple[int, ...]]) -> LeNetConfig:
    """Return the options of the network whose tensors have these shapes."""
    (num_classes,) = shapes.get("fc3_bias", (10,))
    return LeNetConfig(num_classes)


NETWORK = Network(
    family="lenet5",
    models={"lenet5": LeNetConfig()},
    parameter_shapes=parameter_shapes,
    state_shapes=lambda config: {},
    initialize=lambda c, seed: (initialize_by_name(parameter_shapes(c), seed), {}),
    forward=forward,
    backward=backward,
    recognize=recognize,
)
EXAMPLE = Example("LeNet-5", NETWORK, Path(__file__).resolve().parent, "lenet5_weights")
