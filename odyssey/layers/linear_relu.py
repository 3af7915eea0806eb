"""A hidden linear layer: linear, relu, and dropout in training."""

from typing import NamedTuple

import numpy as np

from odyssey.layers.context import Context, Gradients
from odyssey.layers.names import named
from odyssey.ops.activation import relu, relu_backward
from odyssey.ops.dropout import dropout as drop
from odyssey.ops.dropout import dropout_backward
from odyssey.ops.linear import linear, linear_backward


class LinearCache(NamedTuple):
    """What the backward of linear, relu and dropout needs of their forward."""

    name: str  # fc1
    x: np.ndarray  # (N, features) gradient of the weights
    h: np.ndarray  # (N, units) result of the relu, positive where its input was
    mask: np.ndarray | None  # (N, units) of dropout; None where there is none


@named("name")
def linear_relu(
    context: Context, name: str, x: np.ndarray, dropout: float = 0.0
) -> tuple[np.ndarray, LinearCache | None]:
    """Return relu of a linear layer, some units of it dropped in training, and a cache.

    Parameters
    ----------
    context : Context
        Its ``rng`` is drawn from in training, if ``dropout`` is not 0.
    name : str
        Of the layer: with fc1, the parameters are ``fc1_weights`` and ``fc1_bias``.
    x : (N, features)
    dropout : float
        Probability of a unit to be dropped.

    Returns
    -------
    out : (N, units)
    cache : LinearCache, None at inference
    """
    params = context.params
    h = relu(linear(x, params[f"{name}_weights"], params[f"{name}_bias"]))
    if not context.training:
        return h, None
    if dropout == 0:
        return h, LinearCache(name, x, h, None)
    out, mask = drop(h, dropout, context.rng)
    return out, LinearCache(name, x, h, mask)


@named("cache", "backward")
def linear_relu_backward(
    grads: Gradients, grad_output: np.ndarray, cache: LinearCache
) -> np.ndarray:
    """Compute the gradients of weights and bias; return that of the input."""
    weights, bias = f"{cache.name}_weights", f"{cache.name}_bias"
    # forward: out = dropout(h), h = relu(linear(x, weights, bias))
    if cache.mask is not None:
        grad_output = dropout_backward(grad_output, cache.mask)
    grad_input, grads[weights], grads[bias] = linear_backward(
        relu_backward(grad_output, cache.h), cache.x, grads.params[weights]
    )
    return grad_input
