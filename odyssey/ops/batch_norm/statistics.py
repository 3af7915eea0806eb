"""Mean and variance of the channels of a batch, which batch norm normalises with.

    mean = sum(x_i) / M        var = sum((x_i - mean)**2) / M   (biased)

over the M = N*H*W values of a channel.  Forward and backward both need them, and
finding them reads all of x: a caller of both finds them once and hands them to each.
A convolution may have found them already, while it wrote x (`conv2d_and_statistics`).
In inference, running statistics take their place.

In data-parallel training each rank has a part of the batch: `merge_statistics` finds
those of the whole batch from those of its parts.
"""

from typing import NamedTuple

import numpy as np

from odyssey.bfloat16 import widen
from odyssey.checks import check_activations, check_int, check_ndim, check_shape
from odyssey.kernels import batch_norm as kernels
from odyssey.layout import as_nhwc

__all__ = ["batch_statistics"]


class BatchStatistics(NamedTuple):
    """Mean and biased variance of each channel, (C,) in float64.

    ``count`` is the number of values of a channel that they are of, if the values of x
    are a part of these, as a rank's are of all ranks'; None if they are all.
    """

    mean: np.ndarray
    var: np.ndarray
    count: int | None = None  # type: ignore[assignment]  # instead of tuple.count


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


def merge_statistics(
    means: np.ndarray, variances: np.ndarray, counts: np.ndarray
) -> BatchStatistics:
    """Compute the statistics of a batch from those of its parts.

    The parts are summed in their order, so that everyone who merges the same has the
    same bits.  Chan, Golub & LeVeque 1983, as derived in
    ``docs/derivations/synchronized_batch_norm.md``.

    Parameters
    ----------
    means, variances : (parts, C), float64
        Mean and biased variance of each part's channels.
    counts : (parts,)
        Values of a channel in each part.

    Returns
    -------
    BatchStatistics
        With ``count``, the number of values of a channel in all parts.
    """
    total = counts.sum()
    mean, squares = np.zeros((2, *means.shape[1:]))
    with np.errstate(invalid="ignore"):  # Inf in x makes NaN, without a word
        # from the first mean: where all are the same, nothing is rounded
        for part, count in zip(means, counts, strict=True):
            mean += count * (part - means[0])
        mean = means[0] + mean / total
        for part, var, count in zip(means, variances, counts, strict=True):
            squares += count * (var + (part - mean) ** 2)
    return BatchStatistics(mean, squares / total, int(total))


def values_per_channel(x: np.ndarray, statistics: BatchStatistics | None) -> int:
    """Return how many values of a channel the statistics of ``x`` are of."""
    if isinstance(statistics, BatchStatistics) and statistics.count is not None:
        return statistics.count
    return x.size // x.shape[1]


def check_statistics(op: str, statistics: BatchStatistics, x: np.ndarray) -> None:
    """Check statistics that a caller gives for ``x`` (N, C, H, W)."""
    if not isinstance(statistics, BatchStatistics):
        raise TypeError(
            f"{op}: statistics must be what batch_statistics returns, "
            f"got {type(statistics).__name__}"
        )
    check_shape(op, "statistics.mean", statistics.mean, x.shape[1:2])
    check_shape(op, "statistics.var", statistics.var, x.shape[1:2])
    if statistics.count is not None:
        check_int(op, "statistics.count", statistics.count, x.size // x.shape[1])


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
