"""Loops of the pooling operations, over (N, H, W, C) arrays.

A window is given by the rows and the columns of the input in it, without padding:
``rows[p]`` is the pair (first, last + 1) of output row ``p``, ``cols[q]`` that of
output column ``q``.  So the kernels need neither stride nor padding.
"""

import numpy as np
from numba import prange

from odyssey.kernels.jit import parallel


@parallel
def sum_windows(x, rows, cols, scale, out):
    """Write ``scale`` times the sum of each window of ``x`` to ``out``.

    for n: for p: for q: for h in rows[p]: for w in cols[q]: for c:
        out[n, p, q, c] += scale * x[n, h, w, c]

    Optimizations:
    - rows of the output are split over the cores; each is written by one of them
    - channels innermost: they lie side by side and fill SIMD lanes
    - sums are float64 whatever the dtype, in one line of channels that stays in cache
    """
    N, P, Q, C = out.shape
    for i in prange(N * P):
        n, p = i // P, i % P
        total = np.empty(C, np.float64)
        for q in range(Q):
            total[:] = 0.0
            for h in range(rows[p, 0], rows[p, 1]):
                for w in range(cols[q, 0], cols[q, 1]):
                    for c in range(C):
                        total[c] += x[n, h, w, c]
            for c in range(C):
                out[n, p, q, c] = scale * total[c]


@parallel
def max_windows(x, rows, cols, out):
    """Write the maximum of each window of ``x`` to ``out``; NaN counts as greatest.

    for n: for p: for q: for h in rows[p]: for w in cols[q]: for c:
        out[n, p, q, c] = max(out[n, p, q, c], x[n, h, w, c])

    Optimizations:
    - rows of the output are split over the cores; each is written by one of them
    - channels innermost: they lie side by side and fill SIMD lanes
    """
    N, P, Q, C = out.shape
    for i in prange(N * P):
        n, p = i // P, i % P
        for q in range(Q):
            for c in range(C):
                out[n, p, q, c] = x[n, rows[p, 0], cols[q, 0], c]
            for h in range(rows[p, 0], rows[p, 1]):
                for w in range(cols[q, 0], cols[q, 1]):
                    for c in range(C):
                        value, best = x[n, h, w, c], out[n, p, q, c]
                        # value != value holds for NaN alone
                        wins = value > best or value != value
                        out[n, p, q, c] = value if wins else best


@parallel
def max_windows_backward(grad_output, x, rows, cols, grad_input):
    """Add each window's gradient to the first of its maxima.

    for n: for p: for q:
        for h in rows[p]: for w in cols[q]: for c:
            pixel[c] = (h, w) where x[n, h, w, c] is greater than all before it
        for c: grad_input[n, pixel[c], c] += grad_output[n, p, q, c]

    Optimizations:
    - images are split over the cores: windows overlap within an image only, so that
      no two cores add to the same element
    - channels innermost: they lie side by side and fill SIMD lanes
    - sums are float64 whatever the dtype, in one image's buffer
    """
    N, H, W, C = x.shape
    P, Q = rows.shape[0], cols.shape[0]
    for n in prange(N):
        total = np.zeros((H * W, C), np.float64)
        best = np.empty(C, x.dtype)
        pixel = np.empty(C, np.int64)
        for p in range(P):
            for q in range(Q):
                h, w = rows[p, 0], cols[q, 0]
                for c in range(C):
                    best[c] = x[n, h, w, c]
                    pixel[c] = h * W + w
                for h in range(rows[p, 0], rows[p, 1]):
                    for w in range(cols[q, 0], cols[q, 1]):
                        for c in range(C):
                            value = x[n, h, w, c]
                            first_nan = value != value and best[c] == best[c]
                            if value > best[c] or first_nan:
                                best[c] = value
                                pixel[c] = h * W + w
                for c in range(C):
                    total[pixel[c], c] += grad_output[n, p, q, c]
        for h in range(H):
            for w in range(W):
                for c in range(C):
                    grad_input[n, h, w, c] = total[h * W + w, c]
