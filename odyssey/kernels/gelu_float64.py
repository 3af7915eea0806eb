"""The loops of gelu in float64, which gradient checks need: one number at a time.

The exponential and the error function are those of the C library, exact to a unit or
two of the last place.  Vectors of float32 are in ``gelu.py``.
"""

import math

from numba import prange

from odyssey.kernels.elementwise import BLOCK
from odyssey.kernels.gelu import PHI_0, TANH_1, TANH_3
from odyssey.kernels.jit import parallel, serial

#: Where |x| is cut off in the tanh form: its exponential is 0 there.
TANH_END = 30.0


@parallel
def gelu_forward(x, out, tanh):
    """Write ``x * share(x)`` to ``out``, both flat.

    for i: out[i] = x[i] * share(x[i])
    """
    for block in prange((x.size + BLOCK - 1) // BLOCK):
        for i in range(block * BLOCK, min((block + 1) * BLOCK, x.size)):
            share, _ = share_and_slope(x[i], tanh)
            out[i] = x[i] * share


@parallel
def gelu_backward(grad_output, x, grad_input, tanh):
    """Write the gradient of ``gelu_forward`` to ``grad_input``, all flat.

    for i: grad_input[i] = grad_output[i] * (share(x[i]) + x[i] * slope(x[i]))
    """
    for block in prange((x.size + BLOCK - 1) // BLOCK):
        for i in range(block * BLOCK, min((block + 1) * BLOCK, x.size)):
            share, slope = share_and_slope(x[i], tanh)
            grad_input[i] = grad_output[i] * (share + x[i] * slope)


@serial
def share_and_slope(x, tanh):
    """Return the share of a number that passes, and its derivative."""
    if tanh:
        t = min(abs(x), TANH_END)
        e = math.exp(-t * (TANH_1 + TANH_3 * t * t))
        above, below = 1 / (1 + e), e / (1 + e)
        slope = above * below * (TANH_1 + 3 * TANH_3 * t * t)
        return (above if x > 0 else below), slope
    return math.erfc(-x * math.sqrt(0.5)) / 2, math.exp(-x * x / 2) * PHI_0
