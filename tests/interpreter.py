"""The operations of a graph, one after another, with the library's own functions."""

import numpy as np

import odyssey
from odyssey.graph import IMAGES
from odyssey.layers.shortcut import subsample


def interpret(graph, tensors, images):
    """Return the logits that the description gives."""
    edges = {IMAGES: images}
    for node in graph.nodes.values():
        inputs = [edges[edge] for edge in node.inputs]
        arrays = {role: tensors[name] for role, name in node.tensors.items()}
        out = OPERATIONS[node.operation](*inputs, **arrays, **node.attributes)
        assert out.shape == (len(images), *node.shape), node
        edges[node.name] = out
    return edges[graph.output]


def batch_norm2d(x, beta, running_mean, running_var, eps, gamma=None):
    gamma = np.ones_like(beta) if gamma is None else gamma
    given = x, gamma, beta, running_mean, running_var
    return odyssey.batch_norm2d(*given, training=False, eps=eps)[0]


OPERATIONS = {
    "conv2d": odyssey.conv2d,
    "batch_norm2d": batch_norm2d,
    "linear": odyssey.linear,
    "relu": odyssey.relu,
    "gelu": odyssey.gelu,
    "add": odyssey.add,
    "scale": lambda x, factor: x * factor,
    "maxpool2d": odyssey.maxpool2d,
    "avgpool2d": odyssey.avgpool2d,
    "global_avgpool2d": odyssey.global_avgpool2d,
    "subsample": subsample,
    "flatten": lambda x: x.reshape(len(x), -1),
}
