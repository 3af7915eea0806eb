"""Batch norm over the values of all ranks, in data-parallel training.

    synchronized            a context: the batch norms within are of all ranks
    statistics_over_ranks   the statistics that a forward normalises with
    sums_over_ranks         how its backward finds its sums

A rank has a part of the batch.  By itself it normalises with the statistics of that
part, which is another function than that of one process.  Within `synchronized` the
ranks tell each other in each forward of a batch norm the mean, variance and number of
their values, and in each backward its two sums.  Together they then compute what one
process computes of the whole batch (``docs/derivations/synchronized_batch_norm.md``).
Outside, nothing is told, and batch norm stays as it is.

Ioffe & Szegedy 2015, arXiv:1502.03167; Peng et al. 2018, arXiv:1711.07240.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from odyssey.ops.batch_norm import BatchStatistics, batch_statistics, merge_statistics
from odyssey.ops.batch_norm.backward import Exchange

#: Returns the values of all ranks in their order, (size, k), from this rank's, (k,).
Gather = Callable[[np.ndarray], np.ndarray]

_gather: ContextVar[Gather | None] = ContextVar("gather", default=None)


@contextmanager
def synchronized(gather: Gather) -> Iterator[None]:
    """Let the batch norms of forwards and backwards within be of all ranks.

    All ranks must run the same ones in the same order, each on its own images of the
    batch, and the gradient of its logits must be that of the whole batch's loss.  A
    batch that every rank computes whole needs no synchronisation: it would count once
    for each rank.

    Parameters
    ----------
    gather : callable
        Takes values (k,) in float64 and returns those of all ranks in their order,
        (size, k), as `odyssey.distributed.ranks.Ranks.gather` does.
    """
    token = _gather.set(gather)
    try:
        yield
    finally:
        _gather.reset(token)


def statistics_over_ranks(
    x: np.ndarray, own: BatchStatistics | None = None
) -> BatchStatistics:
    """Return the statistics of x (N, C, H, W), and within `synchronized` of all ranks'.

    Those of all ranks are the same on every rank, to the bit.  ``own`` are those of x,
    if they are known.
    """
    own, gather = own or batch_statistics(x), _gather.get()
    if gather is None:
        return own
    C = x.shape[1]
    told = gather(np.concatenate(([x.size // C], own.mean, own.var)))  # (size, 1 + 2C)
    return merge_statistics(told[:, 1 : C + 1], told[:, C + 1 :], told[:, 0])


def sums_over_ranks(statistics: BatchStatistics) -> Exchange | None:
    """Return the ``exchange`` of the backward with these statistics; None for x's own.

    Raises
    ------
    RuntimeError
        If the forward was within `synchronized`, and this is not.
    """
    if statistics.count is None:
        return None
    gather = _gather.get()
    if gather is None:
        raise RuntimeError(
            "sums_over_ranks: the forward was synchronized, so the backward must be"
        )

    def exchange(sums: np.ndarray) -> np.ndarray:
        total = np.zeros(sums.size)
        for of_rank in gather(
            sums.ravel()
        ):  # in their order: everyone has the same bits
            total += of_rank
        return total.reshape(sums.shape)

    return exchange
