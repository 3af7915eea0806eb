"""Batch normalisation over (N, H, W), channel by channel: the forward.

With M = N*H*W values x_i in a channel:

    (1) mean = sum(x_i) / M            (2) var = sum((x_i - mean)**2) / M   (biased)
    (3) rstd = 1 / sqrt(var + eps)     (4) xhat_i = (x_i - mean) * rstd
    (5) out_i = gamma * xhat_i + beta

In inference mean and var are constants, the running statistics.  These follow PyTorch:
``new = (1 - momentum) * running + momentum * batch``, with the unbiased variance
sum(...)/(M - 1), while (3) uses the biased one.

Ioffe & Szegedy 2015, arXiv:1502.03167; ``docs/derivations/batch_norm.md``.
"""

from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from odyssey.bfloat16 import as_bits, sum_dtype, widen
from odyssey.checks import (
    check_activations,
    check_ndim,
    check_number,
    check_parameters,
    check_shape,
)
from odyssey.kernels import batch_norm as kernels
from odyssey.layout import as_nhwc, from_nhwc, native
from odyssey.memory import empty
from odyssey.ops.batch_norm.statistics import (
    BatchStatistics,
    affine,
    check_statistics,
    normalizing_statistics,
    values_per_channel,
)

__all__ = ["batch_norm2d"]


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
    x : (N, C, H, W), float32, float64 or bfloat16, any memory layout
    gamma, beta : (C,), same dtype; beside bfloat16 also float32
        Scale and shift.
    running_mean, running_var : (C,), likewise
        Statistics for inference; not mutated.
    training : bool
        True normalises with the batch's own statistics, False with the running ones.
    momentum : float in [0, 1]
        Weight of the batch in the new running statistics.
    eps : float > 0
        Keeps the division finite where a channel is constant.
    addend : (N, C, H, W), dtype of ``x``, optional
        Added to the result, as a residual block does with its shortcut.
    relu : bool
        True takes the relu of the result: with ``addend`` and ``relu``, out is
        ``relu(batch_norm2d(x) + addend)`` in one pass over memory rather than three.
    statistics : BatchStatistics, optional
        ``batch_statistics(x)``, if the caller has them: in training they are needed
        here and in the backward.  In inference they play no part.  Where ``x`` is a
        part of the batch, `merge_statistics` gives those of the whole.

    Returns
    -------
    out : (N, C, H, W), in the dtype and the layout of ``x``
    new_running_mean, new_running_var : (C,), dtype of ``x``, or float32 for bfloat16
        To be kept by the caller; in inference the ones given.

    Raises
    ------
    TypeError
        For dtypes other than these, or that do not fit together.
    ValueError
        For wrong shapes, training with one value per channel, a negative running
        variance in inference, momentum or eps out of range.
    """
    op = "batch_norm2d"
    running = {"running_mean": running_mean, "running_var": running_var}
    parameters = {"gamma": gamma, "beta": beta, **running}
    dtype = check_arguments(op, x, parameters, training, momentum, eps, statistics)
    sums = sum_dtype(dtype)
    if addend is not None:
        check_activations(op, x=x, addend=addend)
        check_shape(op, "addend", addend, x.shape, "as x")
    used = normalizing_statistics(op, x, **running, training=training, given=statistics)

    # xhat and out in one: out = (x - mean) * scale + shift, with scale = gamma * rstd
    factors = affine(used, gamma, beta, eps, training, sums)
    out = _scale_shift(x, factors, addend, relu)
    if not training:
        return out, native(widen(running_mean)), native(widen(running_var))
    M = values_per_channel(x, used)
    unbiased = used.var * (M / (M - 1))
    new_mean = (1 - momentum) * widen(running_mean) + momentum * used.mean
    new_var = (1 - momentum) * widen(running_var) + momentum * unbiased
    with np.errstate(over="ignore"):  # beyond float32: Inf, as everywhere
        return out, new_mean.astype(sums), new_var.astype(sums)


def batch_norm_again(
    x: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    statistics: BatchStatistics,
    *,
    eps: float = 1e-5,
    relu: bool = False,
) -> np.ndarray:
    """Return once more what ``batch_norm2d`` returned in training, to the bit.

    Where that has not been kept: this is one pass over memory.
    """
    op = "batch_norm_again"
    parameters = {"gamma": gamma, "beta": beta}
    dtype = check_arguments(op, x, parameters, True, eps=eps, statistics=statistics)
    check_statistics(op, statistics, x)
    factors = affine(statistics, gamma, beta, eps, True, sum_dtype(dtype))
    return _scale_shift(x, factors, None, relu)


def _scale_shift(
    x: np.ndarray,
    factors: tuple[np.ndarray, np.ndarray, np.ndarray],
    addend: np.ndarray | None,
    relu: bool,
) -> np.ndarray:
    """Return (x - mean) * scale + shift, plus ``addend``; ``factors`` are the three."""
    dtype = x.dtype.newbyteorder("=")
    images = as_nhwc(x)
    matrix = images.reshape(-1, x.shape[1])  # (M, C)
    added = as_bits(np.empty((0, x.shape[1]), dtype))
    if addend is not None:
        added = as_nhwc(addend).reshape(matrix.shape)
    out = as_bits(empty(matrix.shape, dtype))
    kernels.scale_shift(matrix, *factors, added, relu, out)
    return from_nhwc(out.reshape(images.shape), x)


def check_arguments(
    op: str,
    x: np.ndarray,
    parameters: dict[str, np.ndarray],
    training: bool,
    momentum: float = 0.0,
    eps: float = 1e-5,
    statistics: BatchStatistics | None = None,
) -> np.dtype:
    """Check what the forward was given; return its dtype."""
    dtype = check_activations(op, x=x)
    check_parameters(op, x, **parameters)
    check_ndim(op, "x", x, "(N, C, H, W)")
    N, C, H, W = x.shape
    if C == 0:
        raise ValueError(f"{op}: x must have channels, got shape {x.shape}")
    for name, parameter in parameters.items():
        check_shape(op, name, parameter, (C,), "one value per channel of x")
    check_number(op, "momentum", momentum, 0, 1)
    check_number(op, "eps", eps, 0, low_open=True)
    if training and (N * H * W == 0 or values_per_channel(x, statistics) < 2):
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


def kernel_calls(dtype: DTypeLike) -> list[partial]:
    """Return calls that between them reach every kernel used here."""
    x, c = np.ones((2, 3, 4, 4), dtype), np.ones(3, dtype)
    return [
        partial(batch_norm2d, x, c, c, c, c, training=training)
        for training in (True, False)
    ]
