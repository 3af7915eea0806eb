"""Batch normalisation: the backward.

The lines of the forward, for M = N*H*W values x_i in a channel, from (5) back to (1),
and below each line its gradients, with g_i = grad_output_i:

    (5) out_i = gamma * xhat_i + beta
            grad_beta = sum(g_i);  grad_gamma = sum(g_i * xhat_i)
            grad_xhat_i = gamma * g_i
    (4) xhat_i = (x_i - mean) * rstd
            to x_i directly:     rstd * grad_xhat_i
            to rstd:             grad_rstd = sum(grad_xhat_i * (x_i - mean))
            to mean:             grad_mean = -rstd * sum(grad_xhat_i)
    (3) rstd = 1 / sqrt(var + eps)
            to var:              grad_var = grad_rstd * (-1/2) * rstd**3
    (2) var = sum((x_i - mean)**2) / M
            to x_i through var:  2 * (x_i - mean) / M * grad_var
            to mean:             nothing, because sum(x_i - mean) is zero
    (1) mean = sum(x_i) / M
            to x_i through mean: grad_mean / M

The sum of the three parts of x_i, with sum(grad_xhat_i) = gamma * grad_beta and
grad_rstd = gamma * grad_gamma / rstd, is

    grad_input_i = gamma * rstd * (g_i - grad_beta / M - xhat_i * grad_gamma / M)

The two subtracted terms are the paths through mean and variance, which depend on every
x_i.  In inference mean and var are constants, and only gamma * rstd * g_i is left.

Where x is a part of the batch, as in data-parallel training, (1) and (2) sum over the
whole batch, and so do the two sums in grad_input: ``exchange`` adds up those of all
parts.  Then M is the whole batch's too, ``statistics.count``.  grad_gamma and grad_beta
stay those of this part, which add up to the batch's as all gradients of parameters do.
``docs/derivations/synchronized_batch_norm.md``.

A relu after (5) lets g_i through only where out_i > 0: with ``relu=True`` the g_i
above are those that have passed the relu, and nothing else changes.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from odyssey.bfloat16 import as_bits, sum_dtype, widen
from odyssey.checks import check_activations, check_out, check_shape
from odyssey.kernels import batch_norm as kernels
from odyssey.layout import as_nhwc, from_nhwc, into, is_block
from odyssey.memory import empty
from odyssey.ops.batch_norm.forward import check_arguments
from odyssey.ops.batch_norm.statistics import (
    BatchStatistics,
    affine,
    check_statistics,
    normalizing_statistics,
    values_per_channel,
)

__all__ = ["batch_norm2d_backward"]

#: Returns the sums over all parts of a batch, (2, C), from those over one part.
Exchange = Callable[[np.ndarray], np.ndarray]


def batch_norm2d_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    running_mean: np.ndarray,
    running_var: np.ndarray,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    relu: bool = False,
    statistics: BatchStatistics | None = None,
    exchange: Exchange | None = None,
    out: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the gradients of ``batch_norm2d`` in training or in inference mode.

    Parameters
    ----------
    grad_output : (N, C, H, W), dtype of ``x``
        Gradient of the loss by the forward's ``out``.
    x, gamma, beta, running_mean, running_var, training, momentum, eps
        As given to the forward; momentum is not used.
    relu : bool
        As given to the forward, if that had no ``addend``.  If it had one, the gradient
        after the relu is that of both branches: compute it first, by
        ``relu_backward(grad_output, out)``.
    statistics : BatchStatistics, optional
        As given to the forward.
    exchange : callable, optional
        In training with the statistics of a batch of which ``x`` is a part: takes this
        part's sums of the gradient and of its products with x - mean, (2, C) in
        float64, and returns those of the whole batch.
    out : array like ``grad_output``, optional
        Where to write grad_input; ``grad_output`` or ``x`` itself, if it is not needed
        later.

    Returns
    -------
    grad_input : (N, C, H, W), ``out`` or an array in the dtype and layout of ``x``
    grad_gamma, grad_beta : (C,), dtype of ``x``, or float32 for bfloat16

    Raises
    ------
    TypeError, ValueError
        As the forward, and if ``grad_output`` has not the shape of ``x``, ``out``
        overlaps an argument in part, or ``exchange`` is missing or has no use.
    """
    op = "batch_norm2d_backward"
    running = {"running_mean": running_mean, "running_var": running_var}
    parameters = {"gamma": gamma, "beta": beta, **running}
    check_arguments(op, x, parameters, training, momentum, eps, statistics)
    _check_gradient(op, grad_output, x, gamma, out)
    used = normalizing_statistics(op, x, **running, training=training, given=statistics)
    _check_exchange(op, used, exchange)
    return _backward(
        op,
        grad_output,
        x,
        gamma,
        beta,
        used,
        training=training,
        eps=eps,
        relu=relu,
        exchange=exchange,
        out=out,
    )


def batch_norm_training_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    statistics: BatchStatistics,
    *,
    eps: float = 1e-5,
    relu: bool = False,
    exchange: Exchange | None = None,
    out: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the gradients of ``batch_norm2d`` in training, where its mode is known.

    Like ``batch_norm2d_backward``, but without the running statistics, which training
    does not use.
    """
    op = "batch_norm_training_backward"
    parameters = {"gamma": gamma, "beta": beta}
    check_arguments(op, x, parameters, training=True, eps=eps, statistics=statistics)
    check_statistics(op, statistics, x)
    _check_exchange(op, statistics, exchange)
    _check_gradient(op, grad_output, x, gamma, out)
    return _backward(
        op,
        grad_output,
        x,
        gamma,
        beta,
        statistics,
        training=True,
        eps=eps,
        relu=relu,
        exchange=exchange,
        out=out,
    )


def _backward(
    op: str,
    grad_output: np.ndarray,
    x: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    statistics: BatchStatistics,
    *,
    training: bool,
    eps: float,
    relu: bool,
    exchange: Exchange | None,
    out: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients, of arguments that are checked."""
    dtype = x.dtype.newbyteorder("=")
    sums = sum_dtype(dtype)
    C = x.shape[1]
    images = as_nhwc(x)
    matrix = images.reshape(-1, C)  # (M, C)
    gradient = as_nhwc(grad_output).reshape(-1, C)
    M = values_per_channel(x, statistics)
    rstd = 1 / np.sqrt(statistics.var + eps)
    mean, scale, shift = affine(statistics, gamma, beta, eps, training, sums)
    with np.errstate(invalid="ignore"):
        rounding = mean - statistics.mean  # of the mean to float32

    # forward: out = gamma * xhat + beta, xhat = (x - mean) * rstd
    grad_beta, products = np.zeros(C), np.zeros(C)
    kernels.gradient_sums(
        gradient, matrix, mean, scale, shift, relu, grad_beta, products
    )
    with np.errstate(invalid="ignore"):
        products += rounding * grad_beta
    grad_gamma = products * rstd  # sum(g * xhat)
    sum_g, sum_g_xhat = grad_beta, grad_gamma
    if exchange is not None:  # x is a part: both sums are those of the whole batch
        totals = exchange(np.stack((grad_beta, products)))
        check_shape(op, "exchange(sums)", totals, (2, C))
        sum_g, products = totals
        sum_g_xhat = products * rstd

    # in training grad_input = gamma * rstd * (g - sum_g/M - xhat * sum_g_xhat/M),
    # in inference mean and rstd are constants: grad_input = gamma * rstd * g
    factor = widen(gamma) * rstd
    offset = slope = np.empty(0)
    if training:
        slope = factor * rstd * sum_g_xhat / M
        with np.errstate(invalid="ignore"):
            offset = factor * sum_g / M + rounding * slope
    if out is not None and is_block(out, (0, 2, 3, 1)):
        target, grad_input = as_nhwc(out).reshape(-1, C), out
    else:
        target, grad_input = as_bits(empty(gradient.shape, dtype)), None
    kernels.combine_gradient(
        grad_output=gradient,
        x=matrix,
        mean=mean,
        scale=scale,
        shift=shift,
        relu=relu,
        factor=factor.astype(sums),
        offset=offset.astype(sums),
        slope=slope.astype(sums),
        grad_input=target,
    )
    if grad_input is None:
        grad_input = into(out, from_nhwc(target.reshape(images.shape), x))
    return grad_input, grad_gamma.astype(sums), grad_beta.astype(sums)


def _check_gradient(
    op: str,
    grad_output: np.ndarray,
    x: np.ndarray,
    gamma: np.ndarray,
    out: np.ndarray | None,
) -> None:
    """Check the gradient from above, and where the input's is to go."""
    check_activations(op, x=x, grad_output=grad_output)
    check_shape(op, "grad_output", grad_output, x.shape)
    if out is not None and out is not x:
        check_out(op, out, grad_output, {"x": x, "gamma": gamma})


def _check_exchange(
    op: str, statistics: BatchStatistics, exchange: Exchange | None
) -> None:
    """Check that the sums are over the values that the statistics are of."""
    if exchange is None and statistics.count is not None:
        raise ValueError(
            f"{op}: exchange must be given, because the statistics are those of "
            f"{statistics.count} values, of which x has a part"
        )
    if exchange is not None and statistics.count is None:
        raise ValueError(
            f"{op}: exchange must be given with statistics that have a count, in "
            "training, and not otherwise"
        )


def kernel_calls(dtype: DTypeLike) -> list[partial]:
    """Return calls that between them reach every kernel used here."""
    x, c = np.ones((2, 3, 4, 4), dtype), np.ones(3, dtype)
    return [
        partial(batch_norm2d_backward, x, x, c, c, c, c, training=training)
        for training in (True, False)
    ]
