"""Batch normalisation over (N, H, W), channel by channel.

Forward, with M = N*H*W values x_i in a channel:

    (1) mean = sum(x_i) / M            (2) var = sum((x_i - mean)**2) / M   (biased)
    (3) rstd = 1 / sqrt(var + eps)     (4) xhat_i = (x_i - mean) * rstd
    (5) out_i = gamma * xhat_i + beta

Backward, walking (5) to (1) with g_i = grad_output_i:

    (5) grad_beta = sum(g_i);  grad_gamma = sum(g_i * xhat_i);  d_xhat_i = gamma * g_i
    (4) x_i reaches xhat_i directly:           rstd * d_xhat_i
        and rstd collects:                     d_rstd = sum(d_xhat_i * (x_i - mean))
    (3) d_var = d_rstd * (-1/2) * rstd**3
    (2) x_i reaches var:                       2 * (x_i - mean) / M * d_var
        (through mean nothing: sum(x_i - mean) is zero)
    (1) d_mean = -rstd * sum(d_xhat_i), and each x_i holds 1/M of the mean

Added up, with sum(d_xhat_i) = gamma * grad_beta and
d_rstd = gamma * grad_gamma / rstd:

    grad_input_i = gamma * rstd * (g_i - grad_beta / M - xhat_i * grad_gamma / M)

The two subtracted terms are the paths through mean and variance: every x_i moved them.
In inference mean and var are constants, and only gamma * rstd * g_i is left.

A relu after (5) lets g_i through only where out_i > 0: with ``relu=True`` the g_i
above are those that came through, and nothing else changes.

Running statistics follow PyTorch: ``new = (1 - momentum) * running + momentum *
batch``, with the unbiased variance sum(...)/(M - 1), while (3) uses the biased one.

Ioffe & Szegedy 2015, arXiv:1502.03167; ``docs/derivations/batch_norm.md``.
"""

from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from odyssey.checks import (
    check_floating,
    check_ndim,
    check_number,
    check_out,
    check_shape,
)
from odyssey.kernels import batch_norm as kernels
from odyssey.layout import as_nhwc, from_nhwc, into, is_block, native
from odyssey.memory import empty
from odyssey.ops.batch_statistics import (
    BatchStatistics,
    batch_statistics,
    check_statistics,
)

__all__ = ["batch_norm2d", "batch_norm2d_backward"]


def batch_norm2d(
    x: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    running_mean: np.ndarray,
    running_var: np.ndarray,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    addend: np.ndarray | None = None,
    relu: bool = False,
    statistics: BatchStatistics | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normalise each channel to the mean and variance of the batch, scale and shift.

    Parameters
    ----------
    x : (N, C, H, W), float32 or float64, any memory layout
    gamma, beta : (C,)
        Scale and shift.
    running_mean, running_var : (C,)
        Statistics for inference; not mutated.
    training : bool
        True normalises with the batch's own statistics, False with the running ones.
    momentum : float in [0, 1]
        Weight of the batch in the new running statistics.
    eps : float > 0
        Keeps the division finite where a channel is constant.
    addend : (N, C, H, W), optional
        Added to the result, as a residual block does with its shortcut.
    relu : bool
        True takes the relu of the result: with ``addend`` and ``relu``, out is
        ``relu(batch_norm2d(x) + addend)`` in one pass over memory rather than three.
    statistics : BatchStatistics, optional
        ``batch_statistics(x)``, if the caller has them: in training they are needed
        here and in the backward.  In inference they play no part.

    Returns
    -------
    out : (N, C, H, W), in the layout of ``x``
    new_running_mean, new_running_var : (C,)
        To be kept by the caller; in inference the ones given.

    Raises
    ------
    TypeError
        For dtypes that are not float32 or float64, or that differ.
    ValueError
        For wrong shapes, training with one value per channel, a negative running
        variance in inference, momentum or eps out of range.
    """
    op = "batch_norm2d"
    parameters = _named(gamma, beta, running_mean, running_var)
    dtype = _check(op, x, parameters, training, momentum, eps)
    if statistics is not None:
        check_statistics(op, statistics, x)
    matrix = as_nhwc(x).reshape(-1, x.shape[1])  # (M, C)
    added = np.empty((0, x.shape[1]), dtype)
    if addend is not None:
        check_floating(op, x=x, addend=addend)
        check_shape(op, "addend", addend, x.shape, "as x")
        added = as_nhwc(addend).reshape(matrix.shape)
    mean, var = _statistics(x, running_mean, running_var, training, statistics)

    affine = _affine(mean, var, gamma, beta, eps, training, dtype)
    out = empty(matrix.shape, dtype)
    kernels.scale_shift(matrix, *affine, added, relu, out)
    out = from_nhwc(out.reshape(_nhwc_shape(x)), x)
    if not training:
        return out, native(running_mean), native(running_var)
    M = matrix.shape[0]
    unbiased = var * (M / (M - 1))
    new_mean = (1 - momentum) * running_mean + momentum * mean
    new_var = (1 - momentum) * running_var + momentum * unbiased
    with np.errstate(over="ignore"):  # beyond float32: Inf, as everywhere
        return out, new_mean.astype(dtype), new_var.astype(dtype)


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
    out: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the gradients of ``batch_norm2d`` in training or in inference mode.

    Parameters
    ----------
    grad_output : (N, C, H, W)
        Gradient of the loss by the forward's ``out``.
    x, gamma, beta, running_mean, running_var, training, momentum, eps
        As given to the forward; momentum is not used.
    relu : bool
        As given to the forward, where that had no ``addend``.  Where it had one, the
        gradient that passes the relu is that of both branches: take it first, by
        ``relu_backward(grad_output, out)``.
    statistics : BatchStatistics, optional
        As given to the forward.
    out : array like ``grad_output``, optional
        Where to write grad_input; ``grad_output`` itself, if it is not needed later.

    Returns
    -------
    grad_input : (N, C, H, W), ``out`` or an array in the layout of ``x``
    grad_gamma, grad_beta : (C,)

    Raises
    ------
    TypeError, ValueError
        As the forward; where ``grad_output`` has not the shape of ``x``, or ``out``
        overlaps an argument in part.
    """
    op = "batch_norm2d_backward"
    parameters = _named(gamma, beta, running_mean, running_var)
    _check(op, x, parameters, training, momentum, eps)
    if statistics is not None:
        check_statistics(op, statistics, x)
    _check_gradient(op, grad_output, x, gamma, out)
    normalized_with = _statistics(x, running_mean, running_var, training, statistics)
    modes = training, eps, relu
    return _backward(grad_output, x, gamma, beta, normalized_with, modes, out)


def batch_norm_training_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    statistics: BatchStatistics,
    *,
    eps: float = 1e-5,
    relu: bool = False,
    out: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the gradients of ``batch_norm2d`` in training, where its mode is known.

    Like ``batch_norm2d_backward``, but without the running statistics, which training
    does not use.
    """
    op = "batch_norm_training_backward"
    _check(op, x, {"gamma": gamma, "beta": beta}, training=True, eps=eps)
    check_statistics(op, statistics, x)
    _check_gradient(op, grad_output, x, gamma, out)
    return _backward(grad_output, x, gamma, beta, statistics, (True, eps, relu), out)


def _backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    statistics: BatchStatistics,
    modes: tuple[bool, float, bool],
    out: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients, of arguments that are checked.

    ``modes`` are the forward's training, eps and relu.
    """
    training, eps, relu = modes
    dtype = x.dtype.newbyteorder("=")
    C = x.shape[1]
    matrix = as_nhwc(x).reshape(-1, C)  # (M, C)
    gradient = as_nhwc(grad_output).reshape(-1, C)
    M = matrix.shape[0]
    exact_mean, var = statistics
    rstd = 1 / np.sqrt(var + eps)
    mean, scale, shift = _affine(exact_mean, var, gamma, beta, eps, training, dtype)

    # forward: out = gamma * xhat + beta, xhat = (x - mean) * rstd
    grad_beta, products = np.zeros(C), np.zeros(C)
    kernels.gradient_sums(
        gradient, matrix, mean, scale, shift, relu, grad_beta, products
    )
    with np.errstate(invalid="ignore"):
        products += (mean - exact_mean) * grad_beta
    grad_gamma = products * rstd  # sum(g * xhat)

    # in training grad_input = gamma * rstd * (g - grad_beta/M - xhat * grad_gamma/M),
    # in inference mean and rstd are constants: grad_input = gamma * rstd * g
    factor = gamma * rstd
    offset = slope = np.empty(0)
    if training:
        slope = factor * rstd * grad_gamma / M
        with np.errstate(invalid="ignore"):
            offset = factor * grad_beta / M + (mean - exact_mean) * slope
    if out is not None and is_block(out, (0, 2, 3, 1)):
        target, grad_input = as_nhwc(out).reshape(-1, C), out
    else:
        target, grad_input = empty(gradient.shape, dtype), None
    kernels.combine_gradient(
        grad_output=gradient,
        x=matrix,
        mean=mean,
        scale=scale,
        shift=shift,
        relu=relu,
        factor=factor.astype(dtype),
        offset=offset.astype(dtype),
        slope=slope.astype(dtype),
        grad_input=target,
    )
    if grad_input is None:
        grad_input = into(out, from_nhwc(target.reshape(_nhwc_shape(x)), x))
    return grad_input, grad_gamma.astype(dtype), grad_beta.astype(dtype)


def _statistics(
    x: np.ndarray,
    running_mean: np.ndarray,
    running_var: np.ndarray,
    training: bool,
    given: BatchStatistics | None,
) -> BatchStatistics:
    """Return what channels are normalised with."""
    if training:
        return batch_statistics(x) if given is None else given
    return BatchStatistics(running_mean.astype(float), running_var.astype(float))


def _affine(
    exact_mean: np.ndarray,
    var: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    eps: float,
    training: bool,
    dtype: np.dtype,
) -> list[np.ndarray]:
    """Return mean, scale and shift of out = (x - mean) * scale + shift."""
    # what float32 cuts off the mean goes into the shift, which matters where the mean
    # is large beside the deviation
    mean, rstd = exact_mean.astype(dtype), 1 / np.sqrt(var + eps)
    if training:  # x - mean is 0 in a constant channel, and must not meet an Inf
        rstd = np.where(var == 0, 0, rstd)
    with np.errstate(invalid="ignore"):  # Inf in x makes NaN, without a word
        scale = gamma * rstd
        shift = beta + (mean - exact_mean) * scale
    return [mean, scale.astype(dtype), shift.astype(dtype)]


def _nhwc_shape(x: np.ndarray) -> tuple[int, int, int, int]:
    N, C, H, W = x.shape
    return N, H, W, C


def _named(
    gamma: np.ndarray,
    beta: np.ndarray,
    running_mean: np.ndarray,
    running_var: np.ndarray,
) -> dict[str, np.ndarray]:
    return {
        "gamma": gamma,
        "beta": beta,
        "running_mean": running_mean,
        "running_var": running_var,
    }


def _check(
    op: str,
    x: np.ndarray,
    parameters: dict[str, np.ndarray],
    training: bool,
    momentum: float = 0.0,
    eps: float = 1e-5,
) -> np.dtype:
    """Check what the forward was given; return its dtype."""
    dtype = check_floating(op, x=x, **parameters)
    check_ndim(op, "x", x, "(N, C, H, W)")
    N, C, H, W = x.shape
    if C == 0:
        raise ValueError(f"{op}: x must have channels, got shape {x.shape}")
    for name, parameter in parameters.items():
        check_shape(op, name, parameter, (C,), "one value per channel of x")
    check_number(op, "momentum", momentum, 0, 1)
    check_number(op, "eps", eps, 0, low_open=True)
    if training and N * H * W < 2:
        raise ValueError(
            f"{op}: x must have more than one value per channel in training, "
            f"got shape {x.shape}"
        )
    if not training and (parameters["running_var"] < 0).any():
        raise ValueError(
            f"{op}: running_var must not be negative, got "
            f"{parameters['running_var'].min()}"
        )
    return dtype


def _check_gradient(
    op: str,
    grad_output: np.ndarray,
    x: np.ndarray,
    gamma: np.ndarray,
    out: np.ndarray | None,
) -> None:
    """Check the gradient from above, and where the input's is to go."""
    check_floating(op, x=x, grad_output=grad_output)
    check_shape(op, "grad_output", grad_output, x.shape)
    if out is not None:
        check_out(op, out, grad_output, {"x": x, "gamma": gamma})


def kernel_calls(dtype: DTypeLike) -> list[partial]:
    """Return calls that between them reach every kernel used here."""
    x, c = np.ones((2, 3, 4, 4), dtype), np.ones(3, dtype)
    return [
        call
        for training in (True, False)
        for call in (
            partial(batch_norm2d, x, c, c, c, c, training=training),
            partial(batch_norm2d_backward, x, x, c, c, c, c, training=training),
        )
    ]
