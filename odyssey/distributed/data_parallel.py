"""A training step on several ranks: each learns from its rows of the batch.

The mean loss of a batch of N images is the sum over the ranks of n/N times the mean
loss of the n images of a rank.  So is its gradient:

    L = sum_r (n_r / N) L_r        dL/dw = sum_r (n_r / N) dL_r/dw

Each rank begins its backward with n_r / N in place of 1, and the gradients of the ranks
are added up.  All ranks then do the same update, of the same bits.

What is summed besides is small: loss and correct images, gathered while the backward
runs, and the running statistics of batch norm, of which the mean over the images is
taken.  So after a step the whole state is the same on all ranks.  The ranks also gather
what one of them must tell all: that it was asked to stop, or that it is time for a
checkpoint.

A batch of fewer images than ranks is computed whole by every rank, and only what rank 0
found counts.
"""

import contextlib
import copy
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from odyssey.distributed.gradients import GradientSum
from odyssey.distributed.ranks import ALONE, Ranks
from odyssey.distributed.rows import rows_of
from odyssey.distributed.wire import ordered_sum_inplace
from odyssey.layers.context import receiving
from odyssey.layers.synchronized import synchronized

Tensors = dict[str, np.ndarray]


class Part(NamedTuple):
    """What a rank computes of a batch."""

    images: int  # of the whole batch
    rows: slice  # of this rank
    share: float  # of these rows in the batch's loss; 0 if only rank 0 counts
    whole: bool  # whether the rank computes the whole batch


class Totals(NamedTuple):
    """A step's result over all ranks."""

    loss: float  # mean over the images
    correct: float
    grads: Tensors
    running: Tensors


class RowsOfBatch(np.random.Generator):
    """A generator that draws for a whole batch, and returns the rows of a rank.

    So an image gets the same numbers whatever the number of ranks.
    """

    def __init__(self, rng: np.random.Generator, part: Part) -> None:
        super().__init__(rng.bit_generator)
        self._part = part

    def random(self, size: Any = None, *args: Any, **options: Any) -> Any:
        """Draw for (N, ...); ``size`` is (n, ...), and so is the result."""
        part = self._part
        if size is None:  # one number, for all images
            return super().random(size, *args, **options)
        numbers = super().random((part.images, *size[1:]), *args, **options)
        return numbers[part.rows]

    def __deepcopy__(self, memo: dict[int, Any]) -> "RowsOfBatch":
        bits = copy.deepcopy(self.bit_generator, memo)
        return RowsOfBatch(np.random.Generator(bits), self._part)


class DataParallel:
    """What a step does besides its forward, backward and update.

    Parameters
    ----------
    ranks : those of the run
    images : the number of images in a batch of an epoch, by the batch's number
    sync_batch_norm : normalise with the statistics of the whole batch, not of the rows
    options : of `GradientSum`

    Attributes
    ----------
    news : called at each step, returns numbers, at most `NEWS`, that all ranks should
        know after it
    told : (size, NEWS) what ``news`` returned on each rank at the newest step
    seconds : that this rank has spent in sums and gathers so far, and waiting there
    """

    NEWS = 2

    def __init__(
        self,
        ranks: Ranks = ALONE,
        images: Callable[[int], int] | None = None,
        *,
        sync_batch_norm: bool = False,
        **options: Any,
    ) -> None:
        self.ranks, self._images = ranks, images
        self._sync = sync_batch_norm and ranks.size > 1
        self._options = options
        self._sum: GradientSum | None = None
        self.news: Callable[[], tuple[float, ...]] = tuple
        self.told = np.zeros((ranks.size, self.NEWS))
        self.seconds = 0.0

    def part(self, batch: int, rows: int) -> Part:
        """Return this rank's part of a batch, of which it has been given ``rows``."""
        size, rank = self.ranks.size, self.ranks.rank
        if size == 1 or self._images is None:
            return Part(rows, slice(0, rows), 1.0, True)
        images = self._images(batch)
        own, whole = rows_of(images, rank, size), images < size
        share = float(rank == 0) if whole else (own.stop - own.start) / images
        return Part(images, own, share, whole)

    def noise(self, rng: np.random.Generator, part: Part) -> np.random.Generator:
        """Return the generator of the random numbers of a rank's rows."""
        return rng if part.whole else RowsOfBatch(rng, part)

    def statistics(self, part: Part) -> contextlib.AbstractContextManager[Any]:
        """Return the context of forward and backward, for the batch norms in them."""
        if not self._sync or part.whole:
            return contextlib.nullcontext()
        return synchronized(self._gather)

    def sending(
        self, part: Part, params: Tensors
    ) -> contextlib.AbstractContextManager[Any]:
        """Return the context of a backward whose gradients are summed meanwhile."""
        if self.ranks.size == 1 or not part.share:
            return contextlib.nullcontext()
        gradient_sum = self._sum_of(params)

        def put(name: str, grad: np.ndarray) -> np.ndarray:
            start = time.perf_counter()
            kept = gradient_sum.put(name, grad)
            self.seconds += time.perf_counter() - start
            return kept

        return receiving(put)

    def _sum_of(self, params: Tensors) -> GradientSum:
        if self._sum is None:
            self._sum = GradientSum(self.ranks, params, **self._options)
        return self._sum

    def begin(
        self, part: Part, loss: float, correct: float
    ) -> Callable[[], tuple[float, float]]:
        """Tell the others a rank's loss and correct images, before its backward.

        Return the function that ends it, and returns those of the whole batch.
        """
        if self.ranks.size == 1:
            return lambda: (loss, correct)
        counts = float(part.share > 0)
        news = [*self.news(), *[0.0] * self.NEWS][: self.NEWS]
        own = np.array([part.share * loss if counts else 0, counts * correct, *news])
        end = self.ranks.begin_gather(own)

        def finish() -> tuple[float, float]:
            every = end()
            self.told = every[:, 2:]
            loss = correct = 0.0
            for row in every:  # in the order of the ranks
                loss, correct = loss + row[0], correct + row[1]
            return float(loss), float(correct)

        return finish

    def finish(
        self,
        part: Part,
        begun: Callable[[], tuple[float, float]],
        grads: Tensors,
        running: Tensors,
        params: Tensors,
    ) -> Totals:
        """Return the results of all ranks; the same on each, to the bit."""
        if self.ranks.size == 1:
            return Totals(*begun(), grads, running)
        start = time.perf_counter()
        if not part.share:  # only rank 0's count
            grads = {name: np.zeros_like(grad) for name, grad in grads.items()}
        grads = self._sum_of(params).finish(grads)
        if running and not (self._sync and not part.whole):
            running = self._mean(part, running)
        totals = Totals(*begun(), grads, running)
        self.seconds += time.perf_counter() - start
        return totals

    def _mean(self, part: Part, running: Tensors) -> Tensors:
        """Return the mean of running statistics over the images of all ranks."""
        flat = np.concatenate([value.reshape(-1) for value in running.values()])
        flat = flat.astype(np.float64) * part.share
        ordered_sum_inplace(flat, self.ranks)
        means, start = {}, 0
        for name, value in running.items():
            values = flat[start : start + value.size]
            means[name] = values.reshape(value.shape).astype(value.dtype)
            start += value.size
        return means

    def _gather(self, values: np.ndarray) -> np.ndarray:
        start = time.perf_counter()
        every = self.ranks.gather(values)
        self.seconds += time.perf_counter() - start
        return every


#: The step of a process alone.
SOLO = DataParallel()
