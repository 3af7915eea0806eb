"""The gradients of a step, summed over the ranks.

Gradients lie in buckets, each in the memory order of its parameter.  MPI gets buckets:
flat and contiguous.  A large gradient is a bucket of its own, in the memory where the
backward found it; small ones are copied together.

    bucket 0                                        bucket 1        bucket 2
    |conv1 | bn1 | s1b1_bn1 | ... fc_weights | ...| |s4b1_conv2|    |s4b2_conv1|

A backward finds the gradients from the last parameter to the first.  With ``overlap``
the sum of a bucket begins when its last gradient is found and later buckets have begun,
while the backward goes on: so the order is the same on all ranks, as MPI demands.  MPI
makes progress only when it is called, so each new gradient also asks after the sums
that have begun.  A large bucket is summed in pieces, a few at a time: what MPI copies
of them is then small, however far the sums fall behind.
"""

import sys
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from odyssey.distributed.ranks import Ranks
from odyssey.distributed.wire import FLOAT32, ordered_sum_inplace
from odyssey.layout import is_block, memory_order
from odyssey.memory import empty

#: Bytes of a bucket; a gradient of as many is one of its own.
BUCKET_BYTES = 4 << 20
#: Bytes that are summed at once during a backward, and how many such sums at a time.
PIECE_BYTES, AT_ONCE = 4 << 20, 7

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
    order: tuple[int, ...]  # of its axes by stride, the largest first
    shape: tuple[int, ...]


class GradientSum:
    """Sums gradients over the ranks.

    The memory of a bucket is taken when its first gradient comes, where activations
    were before, or is that of its only gradient, and belongs to the step's gradients
    afterwards.

    Parameters
    ----------
    ranks : those of the run
    params : by name; the gradients have their shapes and one dtype
    wire : "float32" or "bf16", see `odyssey.distributed.wire`
    ordered : sum in the order of the ranks, so that no bit depends on the library of
        MPI; bf16 always does
    overlap : begin to sum a bucket while the backward goes on; not where the order of
        the sums is ours
    bucket_bytes : of a bucket: a gradient of as many is one of its own, and smaller
        ones are put together until they have as many; where the order is ours there is
        one bucket
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
        """Take a gradient; return the array where its sum will be, after `finish`.

        That may be the memory of ``grad``, which must not be used any more.
        """
        bucket, _, order, _ = self._places[name]
        if len(bucket.names) == 1 and self._can_be_summed(grad, order):
            bucket.numbers = grad.transpose(order).reshape(-1)
            view = grad
        else:
            view = self._view(name)
            np.copyto(view, grad)
        self._missing.remove(name)
        if self.overlap:
            self._begin_sums()
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
            while self._requests:
                self._requests[0].Wait()
                self._begin_pieces()
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

    def _can_be_summed(self, grad: np.ndarray, order: tuple[int, ...]) -> bool:
        """Return whether MPI can sum a gradient where it is."""
        same = grad.dtype == self._dtype and is_block(grad, order)
        return same and grad.flags.writeable

    def _view(self, name: str) -> np.ndarray:
        bucket, numbers, order, shape = self._places[name]
        if bucket.numbers is None:
            bucket.numbers = empty((bucket.size,), self._dtype)
        by_stride = bucket.numbers[numbers].reshape([shape[axis] for axis in order])
        return by_stride.transpose(np.argsort(order))

    def _begin(self) -> None:
        self._missing = set(self._places)
        self._waiting = list(self.buckets)  # to be summed, the next one last
        self._pieces: deque[np.ndarray] = deque()  # of complete buckets
        self._requests: list[Any] = []

    def _begin_sums(self) -> None:
        """Begin the sums of buckets that are complete, in their order."""
        while self._waiting and self._waiting[-1].names.isdisjoint(self._missing):
            numbers = self._waiting.pop().numbers
            assert numbers is not None  # its gradients are there
            most = max(1, PIECE_BYTES // numbers.itemsize)
            starts = range(0, numbers.size, most)
            self._pieces.extend(numbers[start : start + most] for start in starts)
        self._begin_pieces()

    def _begin_pieces(self) -> None:
        self._requests = [request for request in self._requests if not request.Test()]
        while self._pieces and len(self._requests) < AT_ONCE:
            self._requests.append(self.ranks.begin_sum(self._pieces.popleft()))

    def _lay_out(
        self, params: Mapping[str, np.ndarray], bucket_bytes: int
    ) -> Iterator[Bucket]:
        """Give each parameter its place in a bucket; yield the buckets.

        They come in the order of their first parameters: a bucket is complete when the
        backward has found the gradient of that.
        """
        groups: list[list[str]] = []
        together: list[str] = []
        size = 0
        for name, param in params.items():
            if param.nbytes >= bucket_bytes:
                groups.append([name])
                continue
            if not together:
                groups.append(together)
            together.append(name)
            size += param.nbytes
            if size >= bucket_bytes:
                together, size = [], 0
        for group in groups:
            bucket = Bucket(frozenset(group), sum(params[n].size for n in group))
            self._place(bucket, {name: params[name] for name in group})
            yield bucket

    def _place(self, bucket: Bucket, params: Mapping[str, np.ndarray]) -> None:
        start = 0
        for name, param in params.items():
            end = start + param.size
            self._places[name] = Place(
                bucket, slice(start, end), memory_order(param), param.shape
            )
            start = end
