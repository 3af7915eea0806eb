"""Batch norm with the relu after it, which share their passes over memory."""

from typing import NamedTuple

import numpy as np

from odyssey.layers.context import Context, Gradients, Tensors
from odyssey.layers.names import named
from odyssey.layers.synchronized import statistics_over_ranks, sums_over_ranks
from odyssey.ops.activation import relu as positive_part
from odyssey.ops.activation import relu_backward
from odyssey.ops.batch_norm import (
    BatchStatistics,
    batch_norm2d,
    batch_norm_again,
    batch_norm_training_backward,
)

BN_MOMENTUM = 0.1  # weight of the batch in the new running statistics
NORM_TENSORS = ("gamma", "beta", "running_mean", "running_var")  # of a batch norm


class NormCache(NamedTuple):
    """What the backward of batch norm, and of a relu right after it, needs."""

    name: str  # s1b1_bn1
    x: np.ndarray  # (N, C, H, W) its input
    statistics: BatchStatistics  # mean and variance of each channel of that
    relu: bool  # whether a relu came right after: behind an addition it is the block's


class ReluCache(NamedTuple):
    """What the backward of a relu without batch norm needs."""

    out: np.ndarray  # its result, positive where its input was


@named("norm")
def batch_norm(
    context: Context,
    norm: str,
    x: np.ndarray,
    addend: np.ndarray | None = None,
    relu: bool = True,
    statistics: BatchStatistics | None = None,
) -> tuple[np.ndarray, NormCache]:
    """Return relu(batch norm of x in training, plus addend), and a cache.

    ``statistics`` are those of x, if they are known.
    """
    params, state, new = context.params, context.state, context.new_state
    mean, var = f"{norm}_running_mean", f"{norm}_running_var"
    used = context.statistics.get(norm) or statistics_over_ranks(x, statistics)
    context.statistics[norm] = used
    out, new[mean], new[var] = batch_norm2d(
        x,
        params[f"{norm}_gamma"],
        params[f"{norm}_beta"],
        state[mean],
        state[var],
        momentum=BN_MOMENTUM,
        addend=addend,  # this and the relu in the same pass over memory
        relu=relu,
        statistics=used,
    )
    return out, NormCache(norm, x, used, relu and addend is None)


def norm_output(params: Tensors, cache: NormCache) -> np.ndarray:
    """Return the result of a batch norm, and of a relu right after it, once more."""
    gamma, beta = params[f"{cache.name}_gamma"], params[f"{cache.name}_beta"]
    return batch_norm_again(cache.x, gamma, beta, cache.statistics, relu=cache.relu)


@named("cache", "backward")
def norm_backward(
    grads: Gradients,
    grad_output: np.ndarray,
    cache: NormCache | ReluCache | None,
    *,
    reuse: np.ndarray | None = None,
) -> np.ndarray:
    """Find gamma's and beta's gradients, return the input's.

    Parameters
    ----------
    grads : Gradients
    grad_output : (N, C, H, W)
        Behind an addition it is the gradient of the sum.
    cache : NormCache, ReluCache or None
        Of batch norm and perhaps relu, of a relu alone, of neither.
    reuse : ndarray, optional
        ``grad_output`` or ``cache.x``, where its memory may be written over.
    """
    if cache is None:
        return grad_output
    if isinstance(cache, ReluCache):
        return relu_backward(grad_output, cache.out, out=reuse)
    # forward: out = relu(batch_norm2d(x, gamma, beta, ...))
    gamma, beta = f"{cache.name}_gamma", f"{cache.name}_beta"
    grad_input, grads[gamma], grads[beta] = batch_norm_training_backward(
        grad_output,
        cache.x,
        grads.params[gamma],
        grads.params[beta],
        cache.statistics,
        relu=cache.relu,
        exchange=sums_over_ranks(cache.statistics),
        out=reuse,
    )
    return grad_input


@named("norm")
def norm_relu(
    context: Context, norm: str, x: np.ndarray
) -> tuple[np.ndarray, NormCache | ReluCache | None]:
    """Return relu(batch norm of x) where no convolution comes before it, and a cache.

    Such a norm cannot be folded: at inference its running statistics stand beside its
    parameters.
    """
    if not context.normalize:
        out = positive_part(x)
        return out, ReluCache(out) if context.training else None
    if context.training:
        return batch_norm(context, norm, x)
    gamma, beta, mean, var = (context.params[f"{norm}_{t}"] for t in NORM_TENSORS)
    return batch_norm2d(x, gamma, beta, mean, var, training=False, relu=True)[0], None
