"""Loops of the pooling operations, over (N, H, W, C) arrays.

A window is given by the rows and the columns of the input in it, without padding:
``rows[p]`` is the pair (first, last + 1) of output row ``p``, ``cols[q]`` that of
output column ``q``.  So the kernels need neither stride nor padding.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from odyssey.kernels.ending import is_large, put
from odyssey.kernels.jit import parallel, serial
from odyssey.kernels.simd import (
    fill,
    flat,
    keep,
    load_part,
    load_wide,
    prefetch,
    store,
    store_part,
    where_equal,
    where_greater,
    wide,
    width,
)

#: Vectors ahead of the one that is loaded, which the processor is told to fetch: of the
#: rows of a window, which are read in turns, it foresees too little by itself.
AHEAD = 32


class Window(NamedTuple):
    """Pixels of an image: rows and columns, each from the first to before the last."""

    top: int
    bottom: int
    left: int
    right: int


class Image(NamedTuple):
    """An image in a batch (N, H, W, C)."""

    data: np.ndarray  # flat, all images
    line: int  # the number of its first line, counted over all images
    W: int
    C: int


@serial
def place(image, h, w, c):
    """Return where channel c of an image's pixel is."""
    return ((image.line + h) * image.W + w) * image.C + c


@serial
def load_channels(image, h, w, c):
    """Return a vector of channels, from c on, of an image's pixel."""
    return load_part(image.data, place(image, h, w, c), image.C - c)


@serial
def load_first(image, h, w, c):
    """Do the same where the memory is read for the first time."""
    prefetch(image.data, place(image, h, w, c) + AHEAD * width(image.data))
    return load_channels(image, h, w, c)


@parallel
def sum_windows(x, rows, cols, scale, out):
    """Write ``scale`` times the sum of each window of ``x`` to ``out``.

    for n: for p: for q: for c: for h in rows[p]: for w in cols[q]:
        out[n, p, q, c] += scale * x[n, h, w, c]

    Optimizations:
    - rows of the output are split over the cores; each is written by one of them
    - channels lie side by side: a vector of them is summed in registers
    - memory is fetched ahead, and a large result is written past the caches
    - sums are float64 whatever the dtype
    """
    N, P, Q, C = out.shape
    H, W = x.shape[1:3]
    past = is_large(out, C)
    for i in prange(N * P):
        n, p = i // P, i % P
        image, sums = Image(flat(x), n * H, W, C), flat(out)
        for q in range(Q):
            window = Window(rows[p, 0], rows[p, 1], cols[q, 0], cols[q, 1])
            pool_sum(image, window, scale, sums, (i * Q + q) * C, past)


@serial
def pool_sum(image, window, scale, out, at, past):
    """Write ``scale`` times the sum of a window to the pixel that begins at ``at``."""
    for c in range(0, image.C, width(image.data)):
        total = wide(fill(image.data, 0))
        for h in range(window.top, window.bottom):
            for w in range(window.left, window.right):
                total = total + wide(load_first(image, h, w, c))
        put(out, at + c, scale * total, image.C - c, past)


@parallel
def max_windows(x, rows, cols, out):
    """Write the maximum of each window of ``x`` to ``out``; NaN counts as greatest.

    for n: for p: for q: for c: for h in rows[p]: for w in cols[q]:
        out[n, p, q, c] = max(out[n, p, q, c], x[n, h, w, c])

    Optimizations: as in ``sum_windows``.
    """
    N, P, Q, C = out.shape
    H, W = x.shape[1:3]
    past = is_large(out, C)
    for i in prange(N * P):
        n, p = i // P, i % P
        image, maxima = Image(flat(x), n * H, W, C), flat(out)
        for q in range(Q):
            window = Window(rows[p, 0], rows[p, 1], cols[q, 0], cols[q, 1])
            pool_max(image, window, maxima, (i * Q + q) * C, past)


@serial
def pool_max(image, window, out, at, past):
    """Write the maximum of a window to the pixel that begins at ``at`` in ``out``."""
    for c in range(0, image.C, width(image.data)):
        put(out, at + c, max_window(image, window, c), image.C - c, past)


@serial
def max_window(image, window, c):
    """Return the maxima over a window of a vector of channels."""
    best = load_channels(image, window.top, window.left, c)
    for h in range(window.top, window.bottom):
        for w in range(window.left, window.right):
            value = load_first(image, h, w, c)
            best = where_greater(value, best, value, best)
    return best


@parallel
def max_windows_backward(grad_output, x, rows, cols, grad_input):
    """Write each window's gradient to the first of its maxima, and 0 elsewhere.

    for n: for p: for q: for c: for h in rows[p]: for w in cols[q]:
        grad_input[n, h, w, c] = grad_output[n, p, q, c] at the first maximum, else 0

    No two windows may have a pixel in common: see ``max_overlapping_backward``.

    Optimizations:
    - rows of windows are split over the cores, each with the rows up to the next one
    - channels lie side by side: a vector of them goes through the window at once, and
      instead of a branch for each channel, pixels that are not the first maximum get 0
    - memory is fetched ahead, and a large result is written past the caches
    """
    N, H, W, C = x.shape
    P, Q = rows.shape[0], cols.shape[0]
    past = is_large(grad_input, C)
    for i in prange(N * P):
        n, p = i // P, i % P
        image, gradients = Image(flat(x), n * H, W, C), flat(grad_output)
        results = flat(grad_input)
        top, bottom = rows[p, 0], rows[p, 1]
        for q in range(Q):
            window = Window(top, bottom, cols[q, 0], cols[q, 1])
            give(image, window, gradients, (i * Q + q) * C, results, past)
            right = cols[q + 1, 0] if q + 1 < Q else W
            give_nothing(image, Window(top, bottom, cols[q, 1], right), results, past)
        end = rows[p + 1, 0] if p + 1 < P else H
        give_nothing(image, Window(bottom, end, 0, W), results, past)


@serial
def give(image, window, gradients, at, results, past):
    """Write a window's gradient, which begins at ``at``, to its first maxima."""
    none = fill(image.data, 0)
    for c in range(0, image.C, width(image.data)):
        best = max_window(image, window, c)
        left = load_part(gradients, at + c, image.C - c) + none  # -0 becomes 0
        for h in range(window.top, window.bottom):
            for w in range(window.left, window.right):
                value = load_channels(image, h, w, c)
                share = where_equal(value, best, left, none)
                left = where_equal(value, best, none, left)
                put(results, place(image, h, w, c), share, image.C - c, past)


@serial
def give_nothing(image, window, results, past):
    """Write 0 to pixels that no window holds."""
    none = fill(image.data, 0)
    for h in range(window.top, window.bottom):
        for w in range(window.left, window.right):
            for c in range(0, image.C, width(image.data)):
                put(results, place(image, h, w, c), none, image.C - c, past)


@parallel
def max_overlapping_backward(grad_output, x, rows, cols, grad_input):
    """Add each window's gradient to the first of its maxima.

    for n: for p: for q: for c:
        best, left = the maximum of the window, grad_output[n, p, q, c]
        for h in rows[p]: for w in cols[q]:
            if x[n, h, w, c] is best: grad_input[n, h, w, c] += left, left = 0

    Optimizations:
    - images are split over the cores: windows overlap within an image only, so that
      no two cores add to the same element
    - channels lie side by side: a vector of them goes through the window at once, and
      instead of a branch for each channel, pixels that are not the first maximum get 0
    - sums are float64 whatever the dtype, in one image's buffer
    """
    N, H, W, C = x.shape
    P, Q = rows.shape[0], cols.shape[0]
    for n in prange(N):
        row = (C + width(x) - 1) // width(x) * width(x)  # whole vectors
        buffer = np.zeros(H * W * row, np.float64)
        image, totals = Image(flat(x), n * H, W, C), flat(buffer)
        gradients, results = flat(grad_output), flat(grad_input)
        for p in range(P):
            for q in range(Q):
                window = Window(rows[p, 0], rows[p, 1], cols[q, 0], cols[q, 1])
                at = ((n * P + p) * Q + q) * C
                share_out(image, window, gradients, at, totals, row)
        for pixel in range(H * W):
            for c in range(0, C, width(x)):
                total = load_wide(totals, pixel * row + c, image.data)
                store_part(results, (n * H * W + pixel) * C + c, total, C - c)
        keep(buffer)


@serial
def share_out(image, window, gradients, at, totals, row):
    """Add a window's gradient, from ``at`` on, to the ``totals`` at its maxima.

    ``totals`` has so many numbers a ``row``, which is a pixel.
    """
    none = fill(image.data, 0)
    for c in range(0, image.C, width(image.data)):
        best = max_window(image, window, c)
        left = load_part(gradients, at + c, image.C - c)
        for h in range(window.top, window.bottom):
            for w in range(window.left, window.right):
                value = load_channels(image, h, w, c)
                share = where_equal(value, best, left, none)
                left = where_equal(value, best, none, left)
                to = (h * image.W + w) * row + c
                store(totals, to, load_wide(totals, to, image.data) + wide(share))
