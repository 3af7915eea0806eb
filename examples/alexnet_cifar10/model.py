"""AlexNet for 32x32 images: explicit forward, explicit backward.

    image (N, 3, 32, 32)
      conv1 7x7, relu   (N,  48, 32, 32)    max pooling 3x3, stride 2   (N,  48, 16, 16)
      conv2 5x5, relu   (N, 128, 16, 16)    max pooling 3x3, stride 2   (N, 128,  8,  8)
      conv3 3x3, relu   (N, 192,  8,  8)
      conv4 3x3, relu   (N, 192,  8,  8)
      conv5 3x3, relu   (N, 128,  8,  8)    max pooling 3x3, stride 2   (N, 128,  4,  4)
      fc1, relu, dropout (N, 512)    fc2, relu, dropout (N, 512)    fc3 (N, 10)

The network of Krizhevsky, Sutskever & Hinton 2012, "ImageNet classification with deep
convolutional neural networks": large kernels first, pooling windows that overlap, and
dropout.  The convolutions have half its channels, which is what one of its two GPUs
had.  Its first kernel, 11x11 with stride 4, was for 224x224 images; there is no local
response normalisation.  2,252,362 parameters.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from odyssey.cli.example import Example
from odyssey.cli.model_options import dropout_option, width_option
from odyssey.foreign import numbered
from odyssey.graph import Graph
from odyssey.init import initialize_by_name
from odyssey.layers.context import Context, Gradients, Tensors
from odyssey.layers.linear_relu import (
    LinearCache,
    linear_relu,
    linear_relu_backward,
)
from odyssey.network import Network, Shapes
from odyssey.ops.activation import relu_backward
from odyssey.ops.conv import conv2d, conv2d_backward
from odyssey.ops.linear import linear, linear_backward
from odyssey.ops.pooling import maxpool2d, maxpool2d_backward

POOL = (3, 2, 1)  # window, stride, padding


class AlexNetConfig(NamedTuple):
    """Options of the model."""

    width: int = 48  # channels of conv1; all other layers grow with it
    num_classes: int = 10
    dropout: float = 0.5  # probability that a unit of fc1 or fc2 is dropped


class Cache(NamedTuple):
    """The tensors that the backward needs from the forward, and what for."""

    x: np.ndarray  # (N, 3, 32, 32) gradient of conv1's kernel
    h1: np.ndarray  # (N, 48, 32, 32) positions of the maxima; mask of the relu
    pooled1: np.ndarray  # (N, 48, 16, 16) gradient of conv2's kernel
    h2: np.ndarray  # (N, 128, 16, 16) as h1
    pooled2: np.ndarray  # (N, 128, 8, 8) gradient of conv3's kernel
    h3: np.ndarray  # (N, 192, 8, 8) mask of the relu, gradient of conv4's kernel
    h4: np.ndarray  # (N, 192, 8, 8) mask of the relu, gradient of conv5's kernel
    h5: np.ndarray  # (N, 128, 8, 8) as h1
    fc1: LinearCache  # of fc1, its relu and its dropout
    fc2: LinearCache
    h7: np.ndarray  # (N, 512) gradient of fc3's weights


def parameter_shapes(config: AlexNetConfig) -> Shapes:
    """Return name and shape of every trainable tensor."""
    w = config.width
    channels = (3, w, 8 * w // 3, 4 * w, 4 * w, 8 * w // 3)  # as in the paper, halved
    units = (16 * channels[-1], 32 * w // 3, 32 * w // 3, config.num_classes)
    shapes: Shapes = {}
    for i, side in enumerate((7, 5, 3, 3, 3)):
        kernel = (channels[i + 1], channels[i], side, side)
        shapes |= {f"conv{i + 1}_kernel": kernel, f"conv{i + 1}_bias": kernel[:1]}
    for i in range(3):
        weights = (units[i + 1], units[i])
        shapes |= {f"fc{i + 1}_weights": weights, f"fc{i + 1}_bias": weights[:1]}
    return shapes


def forward(
    params: Tensors,
    state: Tensors,
    x: np.ndarray,
    config: AlexNetConfig,
    training: bool = True,
    rng: np.random.Generator | None = None,
    *,
    folded: bool = False,
) -> tuple[np.ndarray, Tensors, Cache | None]:
    """Return logits (N, num_classes), the state, which is empty, and the cache.

    In inference the cache is None.  In training the masks of dropout are drawn from
    ``rng``, first for fc1.
    """
    p, context = params, Context(params, state, training, rng=rng)
    h1 = conv2d(x, p["conv1_kernel"], p["conv1_bias"], padding=3, relu=True)
    pooled1 = maxpool2d(h1, *POOL)  # (N, 48, 16, 16)
    h2 = conv2d(pooled1, p["conv2_kernel"], p["conv2_bias"], padding=2, relu=True)
    pooled2 = maxpool2d(h2, *POOL)  # (N, 128, 8, 8)
    h3 = conv2d(pooled2, p["conv3_kernel"], p["conv3_bias"], padding=1, relu=True)
    h4 = conv2d(h3, p["conv4_kernel"], p["conv4_bias"], padding=1, relu=True)
    h5 = conv2d(h4, p["conv5_kernel"], p["conv5_bias"], padding=1, relu=True)
    flat = maxpool2d(h5, *POOL).reshape(len(x), -1)  # of (N, 128, 4, 4)
    h6, fc1 = linear_relu(context, "fc1", flat, config.dropout)  # (N, 512)
    h7, fc2 = linear_relu(context, "fc2", h6, config.dropout)  # (N, 512)
    logits = linear(h7, p["fc3_weights"], p["fc3_bias"])
    if fc1 is None or fc2 is None:  # inference
        return logits, state, None
    cache = Cache(
        x=x,
        h1=h1,
        pooled1=pooled1,
        h2=h2,
        pooled2=pooled2,
        h3=h3,
        h4=h4,
        h5=h5,
        fc1=fc1,
        fc2=fc2,
        h7=h7,
    )
    return logits, state, cache


def describe(graph: Graph, x: str, config: AlexNetConfig) -> str:
    """Note the layers of the forward; return the edge of the logits."""
    h = graph.maxpool2d(graph.relu(graph.conv2d(x, "conv1", padding=3)), *POOL)
    h = graph.maxpool2d(graph.relu(graph.conv2d(h, "conv2", padding=2)), *POOL)
    for conv in ("conv3", "conv4", "conv5"):
        h = graph.relu(graph.conv2d(h, conv, padding=1))
    h = graph.flatten(graph.maxpool2d(h, *POOL))
    for fc in ("fc1", "fc2"):
        h = graph.relu(graph.linear(h, fc))
    return graph.linear(h, "fc3")


def backward(
    grad_logits: np.ndarray, cache: Cache, params: Tensors, config: AlexNetConfig
) -> Tensors:
    """Return the gradient of every parameter; the forward's lines in reverse order."""
    c, p, g = cache, params, Gradients(params)
    # forward: logits = linear(h7, fc3_weights, fc3_bias)
    grad, g["fc3_weights"], g["fc3_bias"] = linear_backward(
        grad_logits, c.h7, p["fc3_weights"]
    )
    # forward: h6, fc1 = linear_relu("fc1", flat); h7, fc2 = linear_relu("fc2", h6)
    grad = linear_relu_backward(g, grad, c.fc2)
    grad = linear_relu_backward(g, grad, c.fc1)
    # forward: flat = maxpool2d(h5, ...).reshape(N, -1)
    N, K, P, Q = c.h5.shape
    grad = maxpool2d_backward(grad.reshape(N, K, P // 2, Q // 2), c.h5, *POOL)
    # forward: h5 = relu(conv2d(h4, conv5_kernel, conv5_bias))
    grad, g["conv5_kernel"], g["conv5_bias"] = conv2d_backward(
        relu_backward(grad, c.h5), c.h4, p["conv5_kernel"], padding=1
    )
    # forward: h4 = relu(conv2d(h3, conv4_kernel, conv4_bias))
    grad, g["conv4_kernel"], g["conv4_bias"] = conv2d_backward(
        relu_backward(grad, c.h4), c.h3, p["conv4_kernel"], padding=1
    )
    # forward: h3 = relu(conv2d(pooled2, conv3_kernel, conv3_bias))
    grad, g["conv3_kernel"], g["conv3_bias"] = conv2d_backward(
        relu_backward(grad, c.h3), c.pooled2, p["conv3_kernel"], padding=1
    )
    # forward: pooled2 = maxpool2d(h2, ...)
    grad = maxpool2d_backward(grad, c.h2, *POOL)
    # forward: h2 = relu(conv2d(pooled1, conv2_kernel, conv2_bias))
    grad, g["conv2_kernel"], g["conv2_bias"] = conv2d_backward(
        relu_backward(grad, c.h2), c.pooled1, p["conv2_kernel"], padding=2
    )
    # forward: pooled1 = maxpool2d(h1, ...)
    grad = maxpool2d_backward(grad, c.h1, *POOL)
    # forward: h1 = relu(conv2d(x, conv1_kernel, conv1_bias)); images need no gradient
    _, g["conv1_kernel"], g["conv1_bias"] = conv2d_backward(
        relu_backward(grad, c.h1),
        c.x,
        p["conv1_kernel"],
        padding=3,
        needs_grad_input=False,
    )
    return g.in_order()


NETWORK = Network(
    family="alexnet",
    models={"alexnet": AlexNetConfig()},
    parameter_shapes=parameter_shapes,
    state_shapes=lambda config: {},
    initialize=lambda c, seed: (initialize_by_name(parameter_shapes(c), seed), {}),
    forward=forward,
    backward=backward,
    recognize=lambda shapes: AlexNetConfig(
        *shapes.get("conv1_bias", (48,)), *shapes.get("fc3_bias", (10,))
    ),
    describe=describe,
    noise=("dropout",),
    foreign=numbered(
        lambda config: {
            "features": {0: "conv1", 3: "conv2", 6: "conv3", 8: "conv4", 10: "conv5"},
            "classifier": {1: "fc1", 4: "fc2", 6: "fc3"},
        },
        AlexNetConfig(),
        parameter_shapes,
    ),
    stated=("width",),
)
EXAMPLE = Example(
    "AlexNet",
    NETWORK,
    Path(__file__).resolve().parent,
    "alexnet_weights",
    [
        width_option(48, "Channels of conv1; all other layers grow with it."),
        dropout_option(0.5, "a unit of the two hidden linear layers"),
    ],
)
