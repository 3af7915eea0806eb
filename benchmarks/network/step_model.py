"""The time of a training step on several nodes, as a model with few parameters.

    step  = compute + sums + small messages

    sums  = 2 (p-1)/p bytes (1/rate + c) + messages d log2(p) delay
            less, where they begin within the backward,
            min(2 (p-1)/p bytes of all buckets but the last / rate, h compute)
    small = count (g + log2(p) delay)   gathers, of running statistics or, in
            synchronised batch norm, of sums

p ranks, one a node; bytes of the gradients on the wire, in so many messages (buckets,
or pieces).  ``rate`` and ``delay`` (in one direction) are the network's.  The rest is
fitted: the time ``compute`` of a rank's forward, backward and update; ``c``, the time
that the processor takes for a byte, and ``d``, delays a message, for each way to sum;
``g``, the processor's time for a gather; and the share ``h`` of compute in which sums
advance.  Within the backward a byte takes the processor longer, which is fitted too:
sums and backward push each other's data out of the caches.

Batch norm's gathers wait in the same queue as gradients, so a synchronised backward
waits for some of what is hidden behind it: it has a share h of its own.

How delays grow with p is known from the algorithms, not measured here: with 2 ranks,
log2(p) is 1.
"""

import functools
import math
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from resnet18_cifar10.architecture import (
    ResNetConfig,
    parameter_shapes,
    state_shapes,
)

from odyssey.distributed.gradients import GradientSum
from odyssey.distributed.ranks import ALONE
from odyssey.distributed.wire import PIECE


class Link(NamedTuple):
    """A network between nodes."""

    rate: float  # bytes/s of a TCP stream, while another goes the other way
    delay: float  # seconds in one direction


class Line(NamedTuple):
    """A time that has two parts: seconds = fixed + delays * delay."""

    fixed: float  # seconds; for sums: of a byte
    delays: float


class Parameters(NamedTuple):
    """What is fitted."""

    compute: dict[int, float]  # seconds of a step without sums, by the network's width
    ways: dict[str, Line]  # of sums
    gather: float  # seconds of the processor
    hidden: float = 0.0  # the share of compute in which sums advance
    hidden_synchronised: float = 0.0  # the same where batch norm is synchronised
    meanwhile: float = 0.0  # seconds of the processor for a byte, while it computes


class Traffic(NamedTuple):
    """What a step sends."""

    bytes: int  # of the gradients
    messages: int
    last: int  # bytes of the bucket that is complete at the end of the backward
    running: int  # bytes of the running statistics, as float64


#: Ways to sum, as `collectives.py` calls them.
TOGETHER, ONE_BY_ONE, ORDERED, BF16 = (
    "float32",
    "float32, one by one",
    "ordered",
    "bf16",
)
#: Gathers of synchronised batch norms: forward and backward of ResNet-18's 20 layers.
NORM_GATHERS = 40
#: Gathers in which the running statistics are averaged otherwise.
RUNNING = 2


@functools.cache
def traffic(width: int, way: str) -> Traffic:
    """Return what a step of ResNet-18 sends."""
    config = ResNetConfig(width=width)
    params = {
        name: np.empty(shape, np.float32)
        for name, shape in parameter_shapes(config).items()
    }
    gradient_sum = GradientSum(ALONE, params)
    running = 8 * sum(map(math.prod, state_shapes(config).values()))
    numbers = sum(bucket.size for bucket in gradient_sum.buckets)
    size = 4 * numbers
    if way in (ORDERED, BF16):
        pieces = -(-numbers // PIECE)
        return Traffic(size // 2 if way == BF16 else size, pieces, size, running)
    buckets = gradient_sum.buckets
    return Traffic(size, len(buckets), 4 * buckets[0].size, running)


def rounds(ranks: int) -> float:
    """Return how many delays follow each other in a message among so many ranks."""
    return math.log2(ranks)


def sum_seconds(link: Link, way: Line, sent: Traffic, ranks: int = 2) -> float:
    """Return the time of the sums alone."""
    moved = 2 * (ranks - 1) / ranks * sent.bytes
    delays = sent.messages * way.delays * rounds(ranks) * link.delay
    return moved * (1 / link.rate + way.fixed) + delays


def gather_seconds(link: Link, gather: float, ranks: int = 2) -> float:
    """Return the time of a small gather."""
    return gather + rounds(ranks) * link.delay


def step_seconds(
    link: Link,
    found: Parameters,
    compute: float,
    way: str,
    sent: Traffic,
    *,
    synchronised: bool = False,
    ranks: int = 2,
) -> float:
    """Return the time of a step on ``ranks`` nodes."""
    if ranks == 1:
        return compute
    line = found.ways[way]
    if way == TOGETHER:
        line = line._replace(fixed=found.meanwhile)
    seconds = compute + sum_seconds(link, line, sent, ranks)
    if way == TOGETHER:
        moved = 2 * (ranks - 1) / ranks * (sent.bytes - sent.last)
        share = found.hidden_synchronised if synchronised else found.hidden
        seconds -= min(moved / link.rate, share * compute)
    small = gather_seconds(link, found.gather, ranks)
    if synchronised:
        return seconds + NORM_GATHERS * small
    moved = 2 * (ranks - 1) / ranks * sent.running
    return seconds + RUNNING * small + moved / link.rate
