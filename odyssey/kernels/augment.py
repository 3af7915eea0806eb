"""Crop, flip and normalise a batch of images, each by its own random numbers.

The generator is Philox4x64-10: ten rounds that scramble a counter with a key, without
any state.  So the numbers of sample 7 in epoch 3 can be computed directly, in any order
and on any thread.  Salmon, Moraes, Dror and Shaw, *Parallel Random Numbers: As Easy as
1, 2, 3*, SC 2011, https://doi.org/10.1145/2063384.2063405 (the constants are theirs).
"""

import numpy as np
from numba import prange

from odyssey.kernels.jit import parallel, serial

_LOW_HALF = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_TOP_BIT = np.uint64(63)
_MULTIPLIER_0 = np.uint64(0xD2E7470EE14C6C93)
_MULTIPLIER_1 = np.uint64(0xCA5A826395121157)
_KEY_STEP_0 = np.uint64(0x9E3779B97F4A7C15)
_KEY_STEP_1 = np.uint64(0xBB67AE8584CAA73B)


FLIP_NONE, FLIP_RANDOM, FLIP_ALTERNATING = range(3)


@serial
def _high_product(a, b):
    """Return the upper 64 bits of the 128-bit product of two uint64.

    In halves of 32 bits: a * b = high*2^64 + (two middle terms)*2^32 + low.
    """
    a_low, a_high = a & _LOW_HALF, a >> _HALF
    b_low, b_high = b & _LOW_HALF, b >> _HALF
    middle = a_high * b_low + (a_low * b_low >> _HALF)  # fits: (2^32-1)^2 + 2^32-1
    carry = a_low * b_high + (middle & _LOW_HALF)
    return a_high * b_high + (middle >> _HALF) + (carry >> _HALF)


@serial
def philox(counter, key):
    """Return the four random uint64 of Philox4x64-10 for a counter and a key.

    Parameters
    ----------
    counter : four uint64
    key : two uint64
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        high_0, low_0 = _high_product(_MULTIPLIER_0, c0), _MULTIPLIER_0 * c0
        high_1, low_1 = _high_product(_MULTIPLIER_1, c2), _MULTIPLIER_1 * c2
        c0, c1, c2, c3 = high_1 ^ c1 ^ k0, low_1, high_0 ^ c3 ^ k1, low_0
        k0, k1 = k0 + _KEY_STEP_0, k1 + _KEY_STEP_1
    return c0, c1, c2, c3


@serial
def _reflect(i, size):
    """Return the index that ``i`` becomes if the axis is reflected at both ends."""
    if size == 1:
        return 0
    period = 2 * (size - 1)  # there and back; the end pixels are not doubled
    i = abs(i) % period
    return min(i, period - i)


@parallel
def crop_flip_normalize(
    images, rows, indices, key, epoch, padding, reflect, flip, cutout, table, out
):
    """Fill ``out`` with randomly cropped, mirrored, normalised images, with cutout.

    ::

        for n:                          image rows[n], random numbers of indices[n]
            draw top, left in [-padding, padding], mirrored in {no, yes}
            for h, w, c:
                w' = W-1-w if mirrored else w
                out[n,h,w,c] = table[images[rows[n], top+h, left+w', c], c]
                (outside the image: black, or the reflected pixel)
            draw y, x in the image
            out[n,h,w] = 0 in the square of side cutout around (y, x)

    Parameters
    ----------
    images : (M, H, W, C) uint8
    rows : (N,) int64, which image to take
    indices : (N,) uint64, the number of the sample, which decides its random numbers
    key : two uint64, the key of the generator
    epoch : uint64
    padding : int, 0 and no flip for normalisation alone
    reflect : bool
    flip : FLIP_NONE, FLIP_RANDOM or FLIP_ALTERNATING
    cutout : int, the side of the square, 0 for none
    table : (256, C), the normalised value of each pixel value; or the pixel value
    out : (N, H, W, C), written; of the dtype of ``table``

    Optimizations:

    - ``prange`` over n: image n is written by one thread and depends on no other
    - a table of 256 entries a channel instead of arithmetic: each value is exact to
      the last bit, and there is no rounding for instruction sets to differ in
    - nothing is padded: indices are reflected or compared instead
    """
    N, H, W, C = out.shape
    span = np.uint64(2 * padding + 1)
    for n in prange(N):
        # Counter word 0 is left to number the blocks of one sample; this is block 1,
        # the first that numpy.random.Philox with this key and counter would draw.
        counter = (np.uint64(1), indices[n], epoch, np.uint64(0))
        draw_0, draw_1, draw_2, _ = philox(counter, key)
        top = np.int64(draw_0 % span) - padding
        left = np.int64(draw_1 % span) - padding
        if flip == FLIP_ALTERNATING:
            counter = (np.uint64(1), indices[n], np.uint64(0), np.uint64(0))
            _, _, draw_2, _ = philox(counter, key)
            draw_2 ^= epoch << _TOP_BIT  # mirrored in every second epoch
        mirrored = flip != FLIP_NONE and (draw_2 >> _TOP_BIT) == np.uint64(1)
        row = rows[n]
        for h in range(H):
            y = _reflect(top + h, H) if reflect else top + h
            for w in range(W):
                x = left + (W - 1 - w if mirrored else w)
                if reflect:
                    x = _reflect(x, W)
                if 0 <= y < H and 0 <= x < W:
                    for c in range(C):
                        out[n, h, w, c] = table[images[row, y, x, c], c]
                else:
                    for c in range(C):
                        out[n, h, w, c] = table[0, c]
        if cutout > 0:
            counter = (np.uint64(2), indices[n], epoch, np.uint64(0))
            draw_0, draw_1, _, _ = philox(counter, key)
            top = np.int64(draw_0 % np.uint64(H)) - cutout // 2
            left = np.int64(draw_1 % np.uint64(W)) - cutout // 2
            for h in range(max(top, 0), min(top + cutout, H)):
                for w in range(max(left, 0), min(left + cutout, W)):
                    for c in range(C):
                        out[n, h, w, c] = 0
