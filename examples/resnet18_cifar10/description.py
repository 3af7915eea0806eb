"""The layers of the residual networks as data, with the edges between them.

All kinds of blocks are described by one function: the layers of a block, and whether a
norm comes first, follow from `architecture.block_layers`.
"""

from odyssey.graph import Graph
from odyssey.layers.listed import Layer
from resnet18_cifar10.architecture import (
    STEM_POOL,
    STEMS,
    Block,
    ResNetConfig,
    block_layers,
    network_blocks,
)


def describe(graph: Graph, x: str, config: ResNetConfig) -> str:
    """Note the layers of the forward; return the edge of the logits."""
    h = graph.conv_norm(x, "conv1", "bn1", STEMS[config.stem][1])
    if config.stem == "imagenet":
        h = graph.maxpool2d(h, *STEM_POOL, name="maxpool")
    for block in network_blocks(config):
        h = describe_block(graph, block, h, config)
    if config.pre_activation:
        h = norm_relu(graph, "final_bn", h)
    pooled = graph.global_avgpool2d(h, name="average")
    return graph.linear(graph.flatten(pooled), "fc")


def describe_block(graph: Graph, block: Block, x: str, config: ResNetConfig) -> str:
    """Note the layers of a block: branch, shortcut, addition; return its result."""
    layers = block_layers(block, config)
    projection = layers.pop() if block.shortcut == "B" else None
    a = x
    if layers[0].conv is None:  # pre-activation: norm and relu come first
        a = norm_relu(graph, layers.pop(0).norm, x)
    h = a
    for layer in layers[:-1]:
        h = _conv_norm(graph, layer, h)
    h = _conv_norm(graph, layers[-1], h, relu=False)
    shortcut = x
    if projection is not None:
        shortcut = _conv_norm(graph, projection, a, relu=False)
    elif block.shortcut == "A":
        shortcut = graph.subsample(x, block.out_channels, block.stride)
    h = graph.add(h, shortcut)
    return h if config.pre_activation else graph.relu(h)


def _conv_norm(graph: Graph, layer: Layer, x: str, *, relu: bool = True) -> str:
    assert layer.conv is not None
    return graph.conv_norm(x, layer.conv, layer.norm, layer.stride, relu=relu)


def norm_relu(graph: Graph, norm: str | None, x: str) -> str:
    """Note batch norm and relu; without batch norms the relu alone."""
    assert norm is not None
    if graph.has(norm):
        return graph.relu(graph.batch_norm2d(x, norm))
    return graph.relu(x, name=f"{norm.partition('_')[0]}_relu")
