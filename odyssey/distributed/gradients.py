"""The gradients of a step, summed over the ranks.

Gradients lie in buckets, in the order of the parameters, each in the memory order of
its parameter.  MPI gets buckets: flat, contiguous, and small, because MPI keeps copies
of what it sums.

    bucket 0        bucket 1                  bucket 2
    |conv1 | bn1 |  |s1b1_conv1 | s1b1_bn1 |  | ... fc_weights | fc_bias |

A backward finds the gradients from the last bucket to the first.  With ``overlap`` the
sum of a bucket begins when its last gradient is found and later buckets have begun,
while the backward goes on: so the order is the same on all ranks, as MPI demands.  MPI
makes progress only when it is called, so each new gradient also asks after the sums
that have begun.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from odyssey.distributed.ranks import Ranks
from odyssey.distributed.wire import FLOAT32, ordered_sum_inplace
from odyssey.layout import memory_order
from odyssey.memory import empty

#: Bytes of a bucket.
BUCKET_BYTES = 4 << 20

Tensors = dict[str, np.ndarray]


@dataclass(eq=False)
class Bucket:
    """Parameters whose gradients are summed at once."""

    names: frozenset[str]
    size: int  # numbers
    numbers: np.ndarray | None = None  # (size,), from the first gradient to the last


class Place(NamedTuple):
    """Where the gradient of a parameter lies."""

    bucket: Bucket
    numbers: slice  # of the bucket's
    shape: list[int]  # by stride, the largest first
    axes: np.ndarray  # of the parameter among these


class GradientSum:
    """Sums gradients over the ranks.

    The memory of a bucket is taken when its first gradient comes, where activations
    were before, and belongs to the step's gradients afterwards.

    Parameters
    ----------
    ranks : those of the run
    params : by name; the gradients have their shapes and one dtype
    wire : "float32" or "bf16", see `odyssey.distributed.wire`
    ordered : sum in the order of the ranks, so that no bit depends on the library of
        MPI; bf16 always does
    overlap : begin to sum a bucket while the backward goes on; not where the order of
        the sums is ours
    bucket_bytes : of a bucket, from which on the next parameter begins another; where
        the order is ours there is one bucket
    """

    def __init__(
        self,
        ranks: Ranks,
        params: Mapping[str, np.ndarray],
        *,
        wire: str = FLOAT32,
        ordered: bool = False,
        overlap: bool = True,
        bucket_bytes: int = BUCKET_BYTES,
    ) -> None:
        self.ranks, self.wire = ranks, wire
        self.ordered = ordered or wire != FLOAT32
        self.overlap = overlap and not self.ordered
        self._dtype = next(iter(params.values())).dtype
        self._places: dict[str, Place] = {}
        # our sums cut what they send themselves
        most = bucket_bytes if not self.ordered else sys.maxsize
        self.buckets = list(self._lay_out(params, most))
        self._begin()

    def put(self, name: str, grad: np.ndarray) -> np.ndarray:
        """Take a gradient; return the array where its sum will be, after `finish`."""
        view = self._view(name)
        np.copyto(view, grad)
        self._missing.remove(name)
        if self.overlap:
            self._begin_sums()
            for request in self._requests:
                request.Test()
        return view

    def finish(self, grads: Mapping[str, np.ndarray]) -> Tensors:
        """Return the sums of ``grads`` over the ranks.

        Collective.  Those that were put before are not read again.  A rank may know
        fewer gradients than there are parameters (frozen ones), the same on all ranks.
        """
        for name in [name for name in grads if name in self._missing]:
            self.put(name, grads[name])
        for name in self._missing:  # of parameters that are not trained
            self._view(name)[...] = 0
        self._missing.clear()
        if self.overlap:
            self._begin_sums()
            for request in self._requests:
                request.Wait()
        else:
            for bucket in reversed(self.buckets):
                self._sum(bucket)
        sums = {name: self._view(name) for name in grads}
        for bucket in self.buckets:
            bucket.numbers = None
        self._begin()
        return sums

    def _sum(self, bucket: Bucket) -> None:
        assert bucket.numbers is not None  # its gradients are there
        if self.ordered:
            ordered_sum_inplace(bucket.numbers, self.ranks, self.wire)
        else:
            self.ranks.sum_inplace(bucket.numbers)

    def _view(self, name: str) -> np.ndarray:
        bucket, numbers, shape, axes = self._places[name]
        if bucket.numbers is None:
            bucket.numbers = empty((bucket.size,), self._dtype)
        return bucket.numbers[numbers].reshape(shape).transpose(axes)

    def _begin(self) -> None:
        self._missing = set(self._places)
        self._waiting = list(self.buckets)  # to be summed, the next one last
        self._requests: list[Any] = []

    def _begin_sums(self) -> None:
        """Begin the sums of buckets that are complete, in their order."""
        while self._waiting and self._waiting[-1].names.isdisjoint(self._missing):
            bucket = self._waiting.pop()
            assert bucket.numbers is not None  # its gradients are there
            self._requests.append(self.ranks.begin_sum(bucket.numbers))

    def _lay_out(
        self, params: Mapping[str, np.ndarray], bucket_bytes: int
    ) -> Iterator[Bucket]:
        """Give each parameter its place in a bucket; yield the buckets."""
        names: list[str] = []
        size = 0
        for number, (name, param) in enumerate(params.items(), 1):
            names.append(name)
            size += param.size
            if size * param.itemsize >= bucket_bytes or number == len(params):
                bucket = Bucket(frozenset(names), size)
                self._place(bucket, {name: params[name] for name in names})
                yield bucket
                names, size = [], 0

    def _place(self, bucket: Bucket, params: Mapping[str, np.ndarray]) -> None:
        start = 0
        for name, param in params.items():
            order, end = memory_order(param), start + param.size
            shape = [param.shape[axis] for axis in order]
            self._places[name] = Place(
                bucket, slice(start, end), shape, np.argsort(order)
            )
            start = end
