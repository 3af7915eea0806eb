"""The operations of RandAugment on uint8 images, with Pillow's integer arithmetic.

This code rounds and truncates at the same steps as Pillow.  Results of floating-point
arithmetic are taken from tables that were computed once, so no compiler and no
processor can round them differently.
"""

import numpy as np
from numba import prange

from odyssey.kernels.augment import philox
from odyssey.kernels.jit import parallel, serial

OPERATIONS = (
    "Identity",
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "Rotate",
    "Brightness",
    "Color",
    "Contrast",
    "Sharpness",
    "Posterize",
    "Solarize",
    "AutoContrast",
    "Equalize",
)
NUM_OPERATIONS = np.uint64(len(OPERATIONS))
IDENTITY, ROTATE = OPERATIONS.index("Identity"), OPERATIONS.index("Rotate")
BRIGHTNESS, COLOR = OPERATIONS.index("Brightness"), OPERATIONS.index("Color")
CONTRAST, SHARPNESS = OPERATIONS.index("Contrast"), OPERATIONS.index("Sharpness")
POSTERIZE, SOLARIZE = OPERATIONS.index("Posterize"), OPERATIONS.index("Solarize")
AUTO_CONTRAST = OPERATIONS.index("AutoContrast")

#: The block of random numbers that the first operation is drawn from; see `philox`.
FIRST_BLOCK = 3
_TOP_BIT = np.uint64(63)


@parallel
def draw_operations(indices, key, epoch, choices):
    """Fill ``choices`` with random operations and signs.

    for n, k: choices[n,k] = (one of 14, sign in {0, 1}), drawn for sample indices[n]

    Parameters
    ----------
    indices : (N,) uint64
    key : two uint64, the key of the generator
    epoch : uint64
    choices : (N, number of operations an image, 2) int64, written

    Optimizations: ``prange`` over n; image n has random numbers of its own.
    """
    for n in prange(choices.shape[0]):
        for k in range(choices.shape[1]):
            counter = (np.uint64(FIRST_BLOCK + k), indices[n], epoch, np.uint64(0))
            draw_0, draw_1, _, _ = philox(counter, key)
            choices[n, k, 0] = np.int64(draw_0 % NUM_OPERATIONS)
            choices[n, k, 1] = np.int64(draw_1 >> _TOP_BIT)


@parallel
def apply_operations(images, choices, affine, blend, levels, stretch):
    """Apply the operations of each image one after the other, in place.

    ::

        for n:
            for operation, sign in choices[n]:
                ShearX to Rotate:        images[n] moved by affine[operation, sign]
                Brightness to Sharpness: blend[sign] of another image and images[n]
                Posterize to Equalize:   table[images[n,h,w,c]] for each h, w, c

    Parameters
    ----------
    images : (N, H, W, 3) uint8, overwritten
    choices : (N, number of operations an image, 2) int64, operation and sign
    affine : (14, 2, 6) int64, of each operation and sign, in 65536ths of a pixel
    blend : (2, 256, 256) uint8, by sign, of another image's value and this one's
    levels : (2, 256) uint8, the tables of Posterize and Solarize
    stretch : (256, 256) float64, ``stretch[d, v] = v * (255 / d)``

    Optimizations:

    - ``prange`` over n; an image of 3 KB stays in the first-level cache
    - one table for all blends, and one table of 256 entries a channel, made from its
      histogram if it depends on the image, for operations on single values
    - coordinates are added up in integers, as fixed-point numbers
    """
    for n in prange(images.shape[0]):
        image = images[n]
        for k in range(choices.shape[1]):
            operation, sign = choices[n, k]
            if operation == IDENTITY:
                continue
            before = image.copy()
            if operation <= ROTATE:
                _move(before, affine[operation, sign], image)
            elif operation <= SHARPNESS:
                _blend(before, operation, blend[sign], image)
            else:
                _look_up(before, operation, levels, stretch, image)


@serial
def _move(before, matrix, after):
    """Fetch each pixel from the position given by the matrix; black outside the image.

    after[h,w] = before[floor(y), floor(x)], with (x, y) = matrix * (w+1/2, h+1/2, 1)
    """
    H, W, C = before.shape
    x_by_w, x_by_h, x_start, y_by_w, y_by_h, y_start = matrix
    for h in range(H):
        x, y = x_start + h * x_by_h, y_start + h * y_by_h
        for w in range(W):
            row, column = y >> 16, x >> 16
            inside = 0 <= row < H and 0 <= column < W
            for c in range(C):
                after[h, w, c] = before[row, column, c] if inside else 0
            x += x_by_w
            y += y_by_w


@serial
def _grey(red, green, blue):
    """Return the luminance of a pixel, by the weights of ITU-R BT.601 in 65536ths."""
    return (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16


@serial
def _blend(before, operation, table, after):
    """Blend an image with a black, grey, uniform or smoothed one, or away from it."""
    H, W, C = before.shape
    other = 0  # Brightness: black
    if operation == CONTRAST:  # the mean luminance
        total = 0
        for h in range(H):
            for w in range(W):
                red, green, blue = before[h, w]
                total += _grey(np.int64(red), np.int64(green), np.int64(blue))
        other = (2 * total + H * W) // (
            2 * H * W
        )  # rounded to the nearest, 1/2 upwards
    for h in range(H):
        for w in range(W):
            if operation == COLOR:
                red, green, blue = before[h, w]
                other = _grey(np.int64(red), np.int64(green), np.int64(blue))
            border = h == 0 or w == 0 or h == H - 1 or w == W - 1
            for c in range(C):
                value = np.int64(before[h, w, c])
                if operation == SHARPNESS:
                    other = value if border else _smooth(before, h, w, c)
                after[h, w, c] = table[other, value]


@serial
def _smooth(image, h, w, c):
    """Return the mean of a pixel, five times, and its eight neighbours, rounded."""
    total = 4 * np.int64(image[h, w, c])
    for i in range(h - 1, h + 2):
        for j in range(w - 1, w + 2):
            total += np.int64(image[i, j, c])
    return (2 * total + 13) // 26


@serial
def _look_up(before, operation, levels, stretch, after):
    """Replace each value by its entry in a table, which may be made for the image."""
    H, W, C = before.shape
    for c in range(C):
        if operation <= SOLARIZE:
            table = levels[operation - POSTERIZE]
        else:
            histogram = np.zeros(256, np.int64)
            for h in range(H):
                for w in range(W):
                    histogram[before[h, w, c]] += 1
            if operation == AUTO_CONTRAST:
                table = _stretched(histogram, stretch)
            else:
                table = _equalized(histogram)
        for h in range(H):
            for w in range(W):
                after[h, w, c] = table[before[h, w, c]]


@serial
def _stretched(histogram, stretch):
    """Return the table that maps the smallest value to 0 and the greatest to 255."""
    low, high = 0, 255
    while low < 255 and histogram[low] == 0:
        low += 1
    while high > 0 and histogram[high] == 0:
        high -= 1
    table = np.arange(256).astype(np.uint8)
    if low < high:
        for value in range(low, high + 1):
            # product and sum are rounded one by one, then truncated: 255 may become 254
            scaled = stretch[high - low, value] - stretch[high - low, low]
            table[value] = np.uint8(scaled)
    return table


@serial
def _equalized(histogram):
    """Return the table that makes all levels about equally frequent.

    table[v] = (step//2 + number of pixels darker than v) // step, at most 255
    """
    brightest = 255
    while brightest > 0 and histogram[brightest] == 0:
        brightest -= 1
    step = (histogram.sum() - histogram[brightest]) // 255
    table = np.arange(256).astype(np.uint8)
    if step > 0:
        total = step // 2
        for value in range(256):
            table[value] = min(total // step, 255)
            total += histogram[value]
    return table
