"""A network for 94 % on CIFAR-10 in minutes: explicit forward, explicit backward.

    image (N, 3, 32, 32)
      whitening 2x2, gelu                           (N,  24, 31, 31)
      group 1: unit with pooling, unit without      (N,  64, 15, 15)
      group 2: likewise                             (N, 256,  7,  7)
      group 3: likewise                             (N, 256,  3,  3)
      max pooling 3x3, linear without bias, divided by the number of features (N, 10)

    unit: conv 3x3, perhaps max pooling 2x2, batch norm, gelu

The whitening's kernel is computed from the images before training (`recipe.py`), and
not trained.  The gamma of each batch norm is fixed at 1.  `architecture.py` lists the
units, and the names and shapes of all tensors.

Each tensor of the cache, and what the backward needs it for:

    x                 the images                  gradient of the whitening's kernel
    whitened          the whitening's output      gelu's slope
    units[i].x        the unit's input            gradient of the kernel
    units[i].conv     the convolution's output    places of the maxima, if it is pooled
    units[i].before   the batch norm's input      xhat; without pooling the same array
    units[i].normed   the batch norm's output     gelu's slope
    last              the last unit's output      places of the maxima
    features          (N, 256), these             gradient of the linear weights

Network and recipe: Jordan 2024, arXiv:2404.00498, as of airbench94_muon.
"""

from collections.abc import Container
from typing import NamedTuple

import numpy as np

from odyssey.graph import Graph
from odyssey.layers.context import Tensors
from odyssey.layers.synchronized import statistics_over_ranks, sums_over_ranks
from odyssey.ops.batch_norm import (
    BatchStatistics,
    batch_norm2d,
    batch_norm_training_backward,
)
from odyssey.ops.conv import conv2d, conv2d_backward
from odyssey.ops.conv.convolution import OptionalGradient
from odyssey.ops.gelu import gelu, gelu_backward
from odyssey.ops.linear import linear, linear_backward
from odyssey.ops.pooling import maxpool2d, maxpool2d_backward
from speedrun_cifar10.architecture import (
    BN_EPS,
    BN_MOMENTUM,
    SpeedrunConfig,
    Unit,
    fold,
    units,
)


class UnitCache(NamedTuple):
    """The tensors that the backward of a unit needs from its forward."""

    x: np.ndarray  # (N, C, H, W)
    conv: np.ndarray  # (N, K, H, W)
    before: np.ndarray  # (N, K, P, Q), half of H and W if it is pooled
    statistics: BatchStatistics  # mean and variance of each channel of that
    normed: np.ndarray  # (N, K, P, Q)


class Cache(NamedTuple):
    """The tensors that `backward` needs from `forward`."""

    x: np.ndarray  # (N, 3, 32, 32)
    whitened: np.ndarray  # (N, 24, 31, 31)
    units: list[UnitCache]
    last: np.ndarray  # (N, 256, 3, 3)
    features: np.ndarray  # (N, 256)


def run_unit(
    params: Tensors, state: Tensors, unit: Unit, x: np.ndarray
) -> tuple[np.ndarray, UnitCache]:
    """Run a unit in training; replaces its running statistics in ``state``."""
    conv = conv2d(x, params[f"{unit.conv}_kernel"], padding=1)  # (N, K, H, W)
    before = maxpool2d(conv, 2) if unit.pooled else conv  # (N, K, P, Q)
    beta, statistics = params[f"{unit.norm}_beta"], statistics_over_ranks(before)
    mean, var = f"{unit.norm}_running_mean", f"{unit.norm}_running_var"
    normed, state[mean], state[var] = batch_norm2d(
        before,
        np.ones_like(beta),
        beta,
        state[mean],
        state[var],
        momentum=BN_MOMENTUM,
        eps=BN_EPS,
        statistics=statistics,
    )
    return gelu(normed), UnitCache(x, conv, before, statistics, normed)


def run_unit_backward(
    grads: Tensors,
    params: Tensors,
    unit: Unit,
    grad: np.ndarray,
    cache: UnitCache,
    *,
    needs_grad_input: bool,
) -> OptionalGradient:
    """Put a unit's gradients into ``grads``, return that of x; overwrites ``grad``."""
    c, kernel, beta = cache, f"{unit.conv}_kernel", f"{unit.norm}_beta"
    # forward: out = gelu(normed)
    grad = gelu_backward(grad, c.normed, out=grad)
    # forward: normed = batch_norm2d(before, ones, beta, ...)
    ones = np.ones_like(params[beta])
    grad, _, grads[beta] = batch_norm_training_backward(
        grad,
        c.before,
        ones,
        params[beta],
        c.statistics,
        eps=BN_EPS,
        exchange=sums_over_ranks(c.statistics),
        out=grad,
    )
    # forward: before = maxpool2d(conv, 2), or conv
    if unit.pooled:
        grad = maxpool2d_backward(grad, c.conv, 2)
    # forward: conv = conv2d(x, kernel, padding=1)
    grad, grads[kernel], _ = conv2d_backward(
        grad,
        c.x,
        params[kernel],
        padding=1,
        needs_grad_input=needs_grad_input,
        needs_grad_bias=False,
    )
    return grad


def head(params: Tensors, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the logits and the features that they are sums of."""
    features = maxpool2d(last, 3).reshape(len(last), -1)  # (N, 256)
    logits = linear(features, params["fc_weights"])
    return scaled(logits, features), features


def scaled(values: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Return values divided by the number of features."""
    return values * values.dtype.type(1 / features.shape[1])


def forward(
    params: Tensors,
    state: Tensors,
    x: np.ndarray,
    config: SpeedrunConfig,
    training: bool = True,
    rng: np.random.Generator | None = None,
    *,
    folded: bool = False,
) -> tuple[np.ndarray, Tensors, Cache | None]:
    """Return logits (N, num_classes), the new state, and in training the cache."""
    if not training:
        p = params if folded else fold(params, state, config)
        return head(p, inference(p, x, config))[0], state, None
    new_state, caches = dict(state), []
    whitened = conv2d(x, params["whiten_kernel"], params["whiten_bias"])
    h = gelu(whitened)  # (N, 24, 31, 31)
    for unit in units(config):
        h, cache = run_unit(params, new_state, unit, h)
        caches.append(cache)
    logits, features = head(params, h)  # h is (N, 256, 3, 3)
    return logits, new_state, Cache(x, whitened, caches, h, features)


def inference(params: Tensors, x: np.ndarray, config: SpeedrunConfig) -> np.ndarray:
    """Return the last unit's output, with the batch norms in kernels and biases."""
    h = gelu(conv2d(x, params["whiten_kernel"], params["whiten_bias"]))
    for unit in units(config):
        kernel, bias = params[f"{unit.conv}_kernel"], params[f"{unit.conv}_bias"]
        h = conv2d(h, kernel, bias, padding=1)
        h = gelu(maxpool2d(h, 2) if unit.pooled else h)
    return h


def describe(graph: Graph, x: str, config: SpeedrunConfig) -> str:
    """Note the layers of the forward; return the edge of the logits."""
    h = graph.gelu(graph.conv2d(x, "whiten"))
    for unit in units(config):
        h = graph.conv2d(h, unit.conv, padding=1)
        h = graph.maxpool2d(h, 2) if unit.pooled else h
        h = graph.gelu(graph.batch_norm2d(h, unit.norm, BN_EPS))
    features = graph.flatten(graph.maxpool2d(h, 3))
    return graph.scale(graph.linear(features, "fc"), 1 / graph.shapes[features][0])


def backward(
    grad_logits: np.ndarray,
    cache: Cache,
    params: Tensors,
    config: SpeedrunConfig,
    *,
    reuse: Cache | None = None,
    frozen: Container[str] = (),
) -> Tensors:
    """Return the gradients of the parameters; the forward's lines in reverse order.

    Parameters
    ----------
    grad_logits : (N, num_classes)
    cache : Cache
        From the forward in training.
    params, config
        Those of the forward.
    reuse : Cache, optional
        ``cache``, if it may be emptied: activations are freed as they are used.
    frozen : names
        Of the whitening's tensors, ``whiten_kernel`` and ``whiten_bias``: those that
        are not trained, whose gradients are left out.  If neither is, the first unit
        need not find that of its input.
    """
    g: Tensors = {}
    caches = list(cache.units) if reuse is None else cache.units
    # forward: logits = linear(features, fc_weights) / number of features
    grad_sums = scaled(grad_logits, cache.features)
    grad, g["fc_weights"], _ = linear_backward(
        grad_sums, cache.features, params["fc_weights"]
    )
    # forward: features = maxpool2d(last, 3).reshape(N, 256)
    grad = maxpool2d_backward(grad[:, :, None, None], cache.last, 3)
    kernel, bias = (f"whiten_{kind}" not in frozen for kind in ("kernel", "bias"))
    for number, unit in reversed(list(enumerate(units(config)))):
        # forward: h = run_unit(h)
        needed = number > 0 or kernel or bias
        grad = run_unit_backward(
            g, params, unit, grad, caches.pop(), needs_grad_input=needed
        )
    if kernel or bias:
        # forward: h = gelu(whitened); whitened = conv2d(x, whiten_kernel, whiten_bias)
        _, g["whiten_kernel"], g["whiten_bias"] = conv2d_backward(
            gelu_backward(grad, cache.whitened, out=grad),
            cache.x,
            params["whiten_kernel"],
            needs_grad_input=False,
            needs_grad_kernel=kernel,
        )
    return {name: g[name] for name in params if name not in frozen}
