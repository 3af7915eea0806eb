"""VGG-16 for 32x32 images: explicit forward, explicit backward.

    image (N, 3, 32, 32)
      block 1   two convolutions     (N,  64, 32, 32)   max pooling 2x2 (N,  64, 16, 16)
      block 2   two convolutions     (N, 128, 16, 16)   max pooling 2x2 (N, 128,  8,  8)
      block 3   three convolutions   (N, 256,  8,  8)   max pooling 2x2 (N, 256,  4,  4)
      block 4   three convolutions   (N, 512,  4,  4)   max pooling 2x2 (N, 512,  2,  2)
      block 5   three convolutions   (N, 512,  2,  2)   max pooling 2x2 (N, 512,  1,  1)
      fc1, relu, dropout (N, 512)    fc2, relu, dropout (N, 512)    fc3 (N, 10)

All convolutions are 3x3 with padding 1, and a relu follows each; in ``vgg16_bn`` batch
norm comes between the two and takes the place of the bias.  The 13 convolutions are
those of configuration D of Simonyan & Zisserman 2014, arXiv:1409.1556; the hidden
linear layers have 512 units instead of 4096, as there are fewer features and classes.
15,245,130 parameters, with batch norm 15,249,354.

Each tensor of the cache, and what the backward needs it for:

    blocks[i].convs[j].x         input of the convolution   gradient of its kernel; with
                                                            batch norm it is found once
                                                            more, except the block's
    blocks[i].convs[j].after.x   output of the convolution  xhat of its batch norm, and
                                                            the mask of its relu
    blocks[i].out                input of the pooling       positions of the maxima
    fc1, fc2                     see `LinearCache`
    features                     (N, 512)                   gradient of fc3's weights
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from odyssey.cli.example import Example
from odyssey.cli.model_options import dropout_option, width_option
from odyssey.foreign import Lists, numbered
from odyssey.graph import Graph
from odyssey.init import initialize_by_name
from odyssey.layers.blocks import run_blocks, run_blocks_backward
from odyssey.layers.context import Context, Gradients, Tensors
from odyssey.layers.conv_norm import ConvCache, conv_norm, conv_norm_backward
from odyssey.layers.linear_relu import (
    LinearCache,
    linear_relu,
    linear_relu_backward,
)
from odyssey.layers.listed import Layer, fold_layers, layer_shapes, statistic_shapes
from odyssey.network import Network, Shapes
from odyssey.ops.conv.convolution import OptionalGradient
from odyssey.ops.linear import linear, linear_backward
from odyssey.ops.pooling import maxpool2d, maxpool2d_backward

CONVOLUTIONS = (2, 2, 3, 3, 3)  # of each block
WIDTHS = (1, 2, 4, 8, 8)  # channels of each block, in units of those of the first


class VGGConfig(NamedTuple):
    """Options of the model."""

    width: int = 64  # channels of the first block; all other layers grow with it
    num_classes: int = 10
    normalize: bool = False  # batch norm after each convolution, instead of its bias
    dropout: float = 0.5  # probability that a unit of fc1 or fc2 is dropped


class BlockCache(NamedTuple):
    """The tensors that the backward of a block needs from its forward."""

    convs: list[ConvCache]
    out: np.ndarray  # (N, K, H, W) of the last convolution, before the pooling


class Cache(NamedTuple):
    """The tensors that `backward` needs from `forward`."""

    blocks: list  # a cache for each block
    fc1: LinearCache
    fc2: LinearCache
    features: np.ndarray  # (N, 512) input of fc3


def network_blocks(config: VGGConfig) -> list[list[Layer]]:
    """Return the convolutions of each block: s3_conv1, s3_bn1 ..."""
    blocks, C = [], 3
    for stage, count in enumerate(CONVOLUTIONS, 1):
        K, block = config.width * WIDTHS[stage - 1], []
        for number in range(1, count + 1):
            norm = f"s{stage}_bn{number}" if config.normalize else None
            block.append(Layer(f"s{stage}_conv{number}", norm, (K, C, 3, 3)))
            C = K
        blocks.append(block)
    return blocks


def network_layers(config: VGGConfig) -> list[Layer]:
    """Return all convolutions in the order of the forward."""
    return [layer for block in network_blocks(config) for layer in block]


def parameter_shapes(config: VGGConfig) -> Shapes:
    """Return name and shape of every trainable tensor."""
    shapes = layer_shapes(network_layers(config), biases=not config.normalize)
    units = 8 * config.width
    for fc, outputs in (("fc1", units), ("fc2", units), ("fc3", config.num_classes)):
        shapes |= {f"{fc}_weights": (outputs, units), f"{fc}_bias": (outputs,)}
    return shapes


def state_shapes(config: VGGConfig) -> Shapes:
    """Return name and shape of every running statistic."""
    return statistic_shapes(network_layers(config))


def fold(params: Tensors, state: Tensors, config: VGGConfig) -> Tensors:
    """Return the parameters for inference: batch norms folded into convolutions."""
    return fold_layers(params, state, network_layers(config))


def conv_block(
    context: Context, block: list[Layer], x: np.ndarray
) -> tuple[np.ndarray, BlockCache]:
    """Run the convolutions of a block, then the pooling."""
    h, cache, caches = x, None, []
    for layer in block:
        assert layer.conv is not None  # no batch norm stands alone here
        h, cache = conv_norm(context, layer.conv, layer.norm, h, source=cache)
        if cache is not None:  # training
            caches.append(cache)
    return maxpool2d(h, 2), BlockCache(caches, h)


def conv_block_backward(
    grads: Gradients,
    block: list[Layer],
    grad_output: np.ndarray,
    cache: BlockCache,
    *,
    reuse: np.ndarray | None = None,
) -> OptionalGradient:
    """Put a block's gradients into ``grads``; return that of its input, if needed."""
    # forward: maxpool2d(out, 2)
    grad = maxpool2d_backward(grad_output, cache.out, 2)
    for conv in reversed(cache.convs):
        # forward: h = relu(bn(conv(x))); the images need no gradient
        image = conv.name == "s1_conv1"
        grad = conv_norm_backward(
            grads, grad, conv, reuse=grad, needs_grad_input=not image
        )
    return grad


def forward(
    params: Tensors,
    state: Tensors,
    x: np.ndarray,
    config: VGGConfig,
    training: bool = True,
    rng: np.random.Generator | None = None,
    *,
    folded: bool = False,
    recompute: bool = False,
) -> tuple[np.ndarray, Tensors, Cache | None]:
    """Return logits (N, num_classes), the new running statistics, and the cache.

    In inference the cache is None.  With ``folded``, ``params`` are those of `fold`.
    ``recompute`` keeps only the input of each block for the backward.  In training the
    masks of dropout are drawn from ``rng``, first for fc1.
    """
    if not (training or folded):
        params = fold(params, state, config)
    context = Context(params, state, training, normalize=config.normalize, rng=rng)
    blocks = network_blocks(config)
    h, caches = run_blocks(context, conv_block, blocks, x, recompute=recompute)
    flat = h.reshape(len(x), -1)  # (N, 512) of (N, 512, 1, 1)
    h, fc1 = linear_relu(context, "fc1", flat, config.dropout)
    h, fc2 = linear_relu(context, "fc2", h, config.dropout)
    logits = linear(h, params["fc3_weights"], params["fc3_bias"])
    if fc1 is None or fc2 is None:  # inference
        return logits, context.new_state, None
    return logits, context.new_state, Cache(caches, fc1, fc2, h)


def describe(graph: Graph, x: str, config: VGGConfig) -> str:
    """Note the layers of the forward; return the edge of the logits."""
    h = x
    for block in network_blocks(config):
        for layer in block:
            assert layer.conv is not None  # no batch norm stands alone here
            h = graph.conv_norm(h, layer.conv, layer.norm)
        h = graph.maxpool2d(h, 2)
    h = graph.flatten(h)
    for fc in ("fc1", "fc2"):
        h = graph.relu(graph.linear(h, fc))
    return graph.linear(h, "fc3")


def backward(
    grad_logits: np.ndarray,
    cache: Cache,
    params: Tensors,
    config: VGGConfig,
    *,
    reuse: Cache | None = None,
) -> Tensors:
    """Return the gradient of every parameter; the forward's lines in reverse order.

    ``reuse`` is ``cache``, if it may be emptied: activations are freed as they are
    used.
    """
    grads, blocks = Gradients(params), network_blocks(config)
    # forward: logits = linear(h, fc3_weights, fc3_bias)
    grad, grads["fc3_weights"], grads["fc3_bias"] = linear_backward(
        grad_logits, cache.features, params["fc3_weights"]
    )
    # forward: h, fc1 = linear_relu("fc1", flat); h, fc2 = linear_relu("fc2", h)
    grad = linear_relu_backward(grads, grad, cache.fc2)
    grad = linear_relu_backward(grads, grad, cache.fc1)
    # forward: h, caches = run_blocks(conv_block, blocks, x); flat = h.reshape(N, 512)
    run_blocks_backward(
        grads,
        conv_block,
        conv_block_backward,
        blocks,
        grad[:, :, None, None],
        cache.blocks,
        reuse=None if reuse is None else cache.blocks,
    )
    return grads.in_order()


def recognize(shapes: Mapping[str, tuple[int, ...]]) -> VGGConfig:
    """Return the options of the network whose tensors have these shapes."""
    kernel = shapes.get("s1_conv1_kernel", (VGGConfig().width,))
    classes = shapes.get("fc3_bias", (VGGConfig().num_classes,))
    return VGGConfig(kernel[0], classes[0], normalize="s1_bn1_gamma" in shapes)


def their_layers(config: VGGConfig) -> Lists:
    """Return the numbers of the layers in torchvision's lists of modules."""
    features, number = {}, 0  # number: of the next module
    for block in network_blocks(config):
        for layer in block:
            for name in filter(None, (layer.conv, layer.norm)):
                features[number] = name
                number += 1
            number += 1  # relu
        number += 1  # max pooling
    return {"features": features, "classifier": {0: "fc1", 3: "fc2", 6: "fc3"}}


NETWORK = Network(
    family="vgg16",
    models={"vgg16": VGGConfig(), "vgg16_bn": VGGConfig(normalize=True)},
    parameter_shapes=parameter_shapes,
    state_shapes=state_shapes,
    initialize=lambda config, seed: (
        initialize_by_name(parameter_shapes(config), seed),
        initialize_by_name(state_shapes(config), seed),
    ),
    forward=forward,
    backward=backward,
    recognize=recognize,
    fold=fold,
    describe=describe,
    model_name=lambda config: "vgg16_bn" if config.normalize else "vgg16",
    noise=("dropout",),
    stated=("width",),
    by_blocks=True,
    foreign=numbered(
        their_layers,
        VGGConfig(normalize=True),
        parameter_shapes,
        normalized=lambda config: [
            (layer.conv, layer.norm) for layer in network_layers(config) if layer.norm
        ],
    ),
)
EXAMPLE = Example(
    "VGG-16",
    NETWORK,
    Path(__file__).resolve().parent,
    "vgg16_weights",
    [
        width_option(64, "Channels of the first block; all other layers grow with it."),
        dropout_option(0.5, "a unit of the two hidden linear layers"),
    ],
    model_help="vgg16_bn has batch norm after each convolution.",
)
