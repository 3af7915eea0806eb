"""Rounding to bfloat16 on the bits."""

import numpy as np


def bfloat16_rounding(x):
    """Return the nearest bfloat16 numbers as float32; of two as near, the even one."""
    bits = x.view(np.uint32)
    last = (bits >> 16) & 1  # the last bit that stays
    # Half of what is cut off, a little less for even numbers: the carry rounds up.
    rounded = (bits + 0x7FFF + last) & 0xFFFF0000
    return np.where(np.isnan(x), np.float32(np.nan), rounded.view(np.float32))
