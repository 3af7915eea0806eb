"""Gradients between processes: as bfloat16 on the wire, summed in float32."""

import numpy as np
from numba import prange

from odyssey.kernels.jit import parallel


@parallel
def round_to_bfloat16(words, bits):
    """Round float32 numbers, given as uint32, to the bits of the nearest bfloat16.

    for i: bits[i] = the upper half of words[i], rounded to nearest, ties to even

    Adding 0x7FFF, and 1 more if the upper half is odd, carries into the upper half
    exactly where the lower half is more than half of its last place, or is half and the
    upper half odd.  A NaN could be carried into an infinity, so it becomes a quiet NaN.

    Optimizations: iterations are split over the cores; integers fill SIMD lanes.
    """
    for i in prange(words.size):
        word = np.uint32(words[i])
        odd = np.uint32(word >> np.uint32(16)) & np.uint32(1)
        rounded = np.uint32(word + np.uint32(0x7FFF) + odd) >> np.uint32(16)
        nan = np.uint32(word & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
        bits[i] = np.uint16(0x7FC0) if nan else np.uint16(rounded)


@parallel
def sum_of_bfloat16(bits, total):
    """Sum bfloat16 numbers of all ranks, (ranks, n) uint16, to float32 (n,).

    for i: total[i] = 0; for rank: total[i] += bits[rank, i], in the order of the ranks

    Optimizations: columns are split over the cores.
    """
    for i in prange(total.size):
        sum_ = np.float32(0)
        for rank in range(bits.shape[0]):
            word = np.uint32(np.uint32(bits[rank, i]) << np.uint32(16))
            sum_ += word.view(np.float32)
        total[i] = sum_


@parallel
def widen_bfloat16(bits, out):
    """Write bfloat16 numbers, given as uint16, to ``out`` as float32, exactly.

    for i: out[i] = bits[i]

    Optimizations: iterations are split over the cores.
    """
    for i in prange(out.size):
        out[i] = np.uint32(np.uint32(bits[i]) << np.uint32(16)).view(np.float32)
