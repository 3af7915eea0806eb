"""Mean and variance of the channels of a batch, which batch norm normalises with.

    mean = sum(x_i) / M        var = sum((x_i - mean)**2) / M   (biased)

over the M = N*H*W values of a channel.  Forward and backward both need them, and
finding them reads all of x: a caller of both finds them once and hands them to each.
In inference, running statistics take their place.
"""

from typing import NamedTuple

import numpy as np

from odyssey.bfloat16 import widen
from odyssey.checks import check_activations, check_ndim, check_shape
from odyssey.kernels import batch_norm as kernels
from odyssey.layout import as_nhwc

__all__ = ["batch_statistics"]


class BatchStatistics(NamedTuple):
    """Mean and biased variance of each channel, (C,) in float64."""

    mean: np.ndarray
    var: np.ndarray


def batch_statistics(x: np.ndarray) -> BatchStatistics:
    """Compute mean and biased variance of each channel of a batch.

    Parameters
    ----------
    x : (N, C, H, W), float32, float64 or bfloat16, any memory layout

    Returns
    -------
    BatchStatistics
        For ``batch_norm2d`` and its backward, which otherwise compute them each.

    Raises
    ------
    TypeError
        For other dtypes.
    ValueError
        For wrong ranks, and for a batch without channels or without values.
    """
    check_activations("batch_statistics", x=x)
    check_ndim("batch_statistics", "x", x, "(N, C, H, W)")
    if x.size == 0:
        raise ValueError(f"batch_statistics: x must have values, got shape {x.shape}")
    mean, var = np.empty(x.shape[1]), np.empty(x.shape[1])
    kernels.column_statistics(as_nhwc(x).reshape(-1, x.shape[1]), mean, var)
    return BatchStatistics(mean, var)


def check_statistics(op: str, statistics: BatchStatistics, x: np.ndarray) -> None:
    """Check statistics that a caller gives for ``x`` (N, C, H, W)."""
    if not isinstance(statistics, BatchStatistics):
        raise TypeError(
            f"{op}: statistics must be what batch_statistics returns, "
            f"got {type(statistics).__name__}"
        )
    for name, values in statistics._asdict().items():
        check_shape(op, f"statistics.{name}", values, x.shape[1:2])


def normalizing_statistics(
    op: str,
    x: np.ndarray,
    *,
    running_mean: np.ndarray,
    running_var: np.ndarray,
    training: bool,
    given: BatchStatistics | None,
) -> BatchStatistics:
    """Return what channels are normalised with; check what the caller has ``given``."""
    if given is not None:
        check_statistics(op, given, x)
    if not training:
        return BatchStatistics(running_mean.astype(float), running_var.astype(float))
    return batch_statistics(x) if given is None else given


def affine(
    statistics: BatchStatistics,
    gamma: np.ndarray,
    beta: np.ndarray,
    eps: float,
    training: bool,
    dtype: np.dtype,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, scale and shift of out = (x - mean) * scale + shift, in ``dtype``.

    That is the dtype of sums, so no bfloat16.
    What float32 cuts off the mean goes into the shift, which matters where the mean is
    large beside the deviation.
    """
    mean, rstd = statistics.mean.astype(dtype), 1 / np.sqrt(statistics.var + eps)
    if training:  # x - mean is 0 in a constant channel, and must not meet an Inf
        rstd = np.where(statistics.var == 0, 0, rstd)
    gamma, beta = widen(gamma), widen(beta)
    with np.errstate(invalid="ignore"):  # Inf in x makes NaN, without a word
        scale = gamma * rstd
        shift = beta + (mean - statistics.mean) * scale
    return mean, scale.astype(dtype), shift.astype(dtype)
