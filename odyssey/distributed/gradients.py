"""The gradients of a step, summed over the ranks.

The gradients of all parameters lie in one block of memory, in the order of the
parameters, each in the memory order of its parameter.  MPI gets parts of that block,
buckets: flat, contiguous, and small, because MPI keeps copies of what it sums.

    bucket 0        bucket 1                  bucket 2
    |conv1 | bn1 |  |s1b1_conv1 | s1b1_bn1 |  | ... fc_weights | fc_bias |

A backward finds the gradients from the last bucket to the first.  With ``overlap`` the
sum of a bucket begins when its last gradient is found and later buckets have begun,
while the backward goes on: so the order is the same on all ranks, as MPI demands.  MPI
makes progress only when it is called, so each new gradient also asks after the sums
that have begun.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from odyssey.distributed.ranks import Ranks
from odyssey.distributed.wire import FLOAT32, ordered_sum_inplace
from odyssey.layout import memory_order

#: Bytes of a bucket.
BUCKET_BYTES = 4 << 20

Tensors = dict[str, np.ndarray]


class Bucket(NamedTuple):
    """A part of the block that is summed at once."""

    numbers: np.ndarray  # (n,) of the block
    names: frozenset[str]  # of its parameters


class GradientSum:
    """Sums gradients over the ranks, in a block of memory that it keeps.

    Parameters
    ----------
    ranks : those of the run
    params : by name; the gradients have their shapes and one dtype
    wire : "float32" or "bf16", see `odyssey.distributed.wire`
    ordered : sum in the order of the ranks, so that no bit depends on the library of
        MPI; bf16 always does
    overlap : begin to sum a bucket while the backward goes on; not where the order of
        the sums is ours
    bucket_bytes : of a bucket, from which on the next parameter begins another
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
        dtype = next(iter(params.values())).dtype
        self.block = np.empty(sum(param.size for param in params.values()), dtype)
        self.views: Tensors = {}
        self.buckets = list(self._lay_out(params, bucket_bytes))
        self._begin()

    def put(self, name: str, grad: np.ndarray) -> np.ndarray:
        """Take a gradient; return the array where its sum will be, after `finish`."""
        view = self.views[name]
        np.copyto(view, grad)
        self._missing.remove(name)
        if self.overlap:
            self._begin_sums()
            for request in self._requests:
                request.Test()
        return view

    def finish(self, grads: Mapping[str, np.ndarray]) -> Tensors:
        """Return the sums of ``grads`` over the ranks, valid until the next step.

        Collective.  Those that were put before are not read again.  A rank may know
        fewer gradients than there are parameters (frozen ones), the same on all ranks.
        """
        for name in [name for name in grads if name in self._missing]:
            self.put(name, grads[name])
        for name in self._missing:  # of parameters that are not trained
            self.views[name][...] = 0
        self._missing.clear()
        if self.ordered:
            ordered_sum_inplace(self.block, self.ranks, self.wire)
        elif self.overlap:
            self._begin_sums()
            for request in self._requests:
                request.Wait()
        else:
            for bucket in reversed(self.buckets):
                self.ranks.sum_inplace(bucket.numbers)
        self._begin()
        return {name: self.views[name] for name in grads}

    def _begin(self) -> None:
        self._missing = set(self.views)
        self._waiting = list(self.buckets)  # to be summed, the next one last
        self._requests: list[Any] = []

    def _begin_sums(self) -> None:
        """Begin the sums of buckets that are complete, in their order."""
        while self._waiting and self._waiting[-1].names.isdisjoint(self._missing):
            bucket = self._waiting.pop()
            self._requests.append(self.ranks.begin_sum(bucket.numbers))

    def _lay_out(
        self, params: Mapping[str, np.ndarray], bucket_bytes: int
    ) -> Iterator[Bucket]:
        """Give each parameter its place in the block; yield the buckets."""
        start = end = 0
        names: list[str] = []
        for name, param in params.items():
            order = memory_order(param)
            shape = [param.shape[axis] for axis in order]
            place = self.block[end : end + param.size].reshape(shape)
            self.views[name] = place.transpose(np.argsort(order))
            end += param.size
            names.append(name)
            if (end - start) * self.block.itemsize >= bucket_bytes:
                yield Bucket(self.block[start:end], frozenset(names))
                start, names = end, []
        if names:
            yield Bucket(self.block[start:end], frozenset(names))
