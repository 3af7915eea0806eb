"""Sums over the ranks in an order of our own, in float32 or with bfloat16 on the wire.

An Allreduce of MPI leaves the order of the sums to MPI: it differs between libraries,
and with the length of the message.  Here each rank sums a share of the numbers:

    Alltoall    rank r gets its share of the numbers of all ranks      n/p each from p-1
    sum         in the order of the ranks: ((g_0 + g_1) + g_2) + ...   in float32
    Allgather   every rank gets the sums of all shares                 n/p each from p-1

Each rank sends and receives 2 (p-1)/p n numbers, as in the best Allreduce, and the
sums depend on nothing but the numbers and the number of ranks.

MPI has no bfloat16, but these exchanges only move bytes.  A gradient g is rounded to
bfloat16 once before it is sent, and their sum once before it is returned: each rounding
is wrong by at most 2**-8 of the number, and what is summed is summed in float32.

It is done in pieces, so that the buffers stay small.
"""

from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from odyssey.distributed.ranks import Ranks
from odyssey.kernels import wire as kernels

#: Numbers that are exchanged at once.
PIECE = 1 << 20

FLOAT32, BFLOAT16 = "float32", "bf16"
#: What gradients are sent as; float64 gradients are sent as they are by the first.
WIRE_DTYPES = (FLOAT32, BFLOAT16)


def ordered_sum_inplace(x: np.ndarray, ranks: Ranks, wire: str = FLOAT32) -> None:
    """Replace ``x`` by its sum over the ranks, summed in their order.

    Collective.  The result is the same on all ranks, to the bit, and does not depend on
    the library of MPI.

    Parameters
    ----------
    x : (n,) float32 or float64, C-contiguous
    ranks : those of the run
    wire : "float32" sends the numbers as they are; "bf16" rounds what is sent to
        bfloat16, and needs an ``x`` of float32
    """
    if wire == BFLOAT16 and x.dtype != np.float32:
        raise TypeError(f"ordered_sum_inplace: x must be float32 for bf16, {x.dtype}")
    if ranks.size == 1:
        return
    for start in range(0, x.size, PIECE):
        _sum_piece(x[start : start + PIECE], ranks, wire)


def _sum_piece(x: np.ndarray, ranks: Ranks, wire: str) -> None:
    share = -(-x.size // ranks.size)  # numbers of a rank; the last ones are zeros
    kind = x.dtype if wire == FLOAT32 else np.dtype(np.uint16)
    sent = np.zeros((ranks.size, share), kind)
    if wire == FLOAT32:
        sent.reshape(-1)[: x.size] = x
    else:
        kernels.round_to_bfloat16(x.view(np.uint32), sent.reshape(-1)[: x.size])
    every = ranks.exchange(sent)  # (size, share) my share of each rank's numbers
    if wire == FLOAT32:
        total = every[0]
        for others in every[1:]:
            total += others
        x[:] = ranks.gather(total).reshape(-1)[: x.size]
        return
    total = np.empty(share, np.float32)
    kernels.sum_of_bfloat16(every, total)
    bits = np.empty(share, np.uint16)
    kernels.round_to_bfloat16(total.view(np.uint32), bits)
    kernels.widen_bfloat16(ranks.gather(bits).reshape(-1)[: x.size], x)


def kernel_calls(dtype: DTypeLike) -> list[partial]:
    """Return calls that between them reach every kernel used here, of any dtype."""
    words, bits = np.ones(4, np.uint32), np.ones(4, np.uint16)
    return [
        partial(kernels.round_to_bfloat16, words, bits),
        partial(kernels.sum_of_bfloat16, np.ones((2, 4), np.uint16), words.view("f4")),
        partial(kernels.widen_bfloat16, bits, words.view("f4")),
    ]
