"""The loops of gelu: the share of x that passes, and its slope.

Both forms are out = x * share(x), so grad_input = grad_output * (share + x * slope).
What the share is, and where the formulas come from, is in docs/derivations/gelu.md.
Both depend on |x| through one exponential e, which is 1 at 0 and falls to 0: where it
is less than the smallest float32, |x| is cut off, so that nothing overflows.

These kernels serve float32 and bfloat16; those of float64 are in ``gelu_float64.py``.
"""

import math

from numba import prange

from odyssey.kernels.elementwise import BLOCK
from odyssey.kernels.ending import is_large, put
from odyssey.kernels.exponential import exp_minus
from odyssey.kernels.jit import parallel, serial
from odyssey.kernels.simd import fill, flat, fma, load_part, where_greater, width

#: phi(0), the density of the normal distribution at 0.
PHI_0 = 1 / math.sqrt(2 * math.pi)
#: 2 u = |x| (TANH_1 + TANH_3 x**2), with u the argument of the tanh form's tanh.
TANH_1 = 2 * math.sqrt(2 / math.pi)
TANH_3 = TANH_1 * 0.044715
#: Where |x| is cut off: e is 0 there in float32, for the rest of its range.
EXACT_END, TANH_END = 13.27, 10.032


@parallel
def gelu_forward(x, out, tanh):
    """Write ``x * share(x)`` to ``out``, both flat, float32 or bfloat16.

    for i: out[i] = x[i] * share(x[i])

    Optimizations:
    - blocks are split over the cores, each writes its own
    - a vector at a time, without branches: both sides of 0 share an exponential and a
      division
    """
    past = is_large(out, 0)
    for block in prange((x.size + BLOCK - 1) // BLOCK):
        end = min((block + 1) * BLOCK, x.size)
        pass_share(flat(x), tanh, block * BLOCK, end, flat(out), past)


@parallel
def gelu_backward(grad_output, x, grad_input, tanh):
    """Write the gradient of ``gelu_forward`` to ``grad_input``, all flat.

    for i: grad_input[i] = grad_output[i] * (share(x[i]) + x[i] * slope(x[i]))

    Optimizations: as in ``gelu_forward``.
    """
    past = is_large(grad_input, 0)
    for block in prange((x.size + BLOCK - 1) // BLOCK):
        start, end = block * BLOCK, min((block + 1) * BLOCK, x.size)
        pass_gradient(
            flat(grad_output), flat(x), tanh, start, end, flat(grad_input), past
        )


@serial
def pass_share(x, tanh, start, end, out, past):
    """Write a block of ``gelu_forward``."""
    for i in range(start, end, width(x)):
        value = load_part(x, i, end - i)
        share, _ = tanh_share(x, value) if tanh else normal_share(x, value)
        put(out, i, value * share, end - i, past)


@serial
def pass_gradient(grad_output, x, tanh, start, end, grad_input, past):
    """Write a block of ``gelu_backward``."""
    for i in range(start, end, width(x)):
        value = load_part(x, i, end - i)
        share, slope = tanh_share(x, value) if tanh else normal_share(x, value)
        slope = fma(value, slope, share)
        slope = load_part(grad_output, i, end - i) * slope
        put(grad_input, i, slope, end - i, past)


@serial
def normal_share(array, x):
    """Return Phi(x) and phi(x) of a vector: the normal distribution and its density.

    Phi(-t) = phi(t) m(t) for t >= 0.  In y = (t - 4) / (t + 4), which is in [-1, 1],
    (t + 4) m(t) / sqrt(2 pi) is close to a polynomial of degree 9: its coefficients
    were fitted for t up to 13.3 so that the largest relative error is least, 8.1e-9,
    with the right value at t = 0.
    """
    t, zero = cut_off(array, x, EXACT_END)
    square = t * t
    rest = fma(t, t, -square)  # what the product lost: in units of e it is much
    e = exp_minus(square * 0.5, rest * 0.5)
    per = 1.0 / (t + 4.0)
    y = fma(per, -8.0, fill(array, 1))
    p = fma(y, -1.229216705e-04, 1.972683071e-04)
    p = fma(p, y, 1.574760892e-03)
    p = fma(p, y, -3.521206131e-03)
    p = fma(p, y, -7.529278724e-03)
    p = fma(p, y, 6.040510649e-02)
    p = fma(p, y, -1.865228061e-01)
    p = fma(p, y, 3.871368387e-01)
    p = fma(p, y, -6.078966111e-01)
    p = fma(p, y, 7.552851360e-01)
    below = p * per * e
    return where_greater(x, zero, 1.0 - below, below), e * PHI_0


@serial
def tanh_share(array, x):
    """Return (1 + tanh(u(x)))/2 of a vector, and its derivative."""
    t, zero = cut_off(array, x, TANH_END)
    square = t * t
    e = exp_minus(t * fma(square, TANH_3, TANH_1), zero)
    above = 1.0 / (1.0 + e)
    below = e * above
    slope = above * below * fma(square, 3 * TANH_3, TANH_1)
    return where_greater(x, zero, above, below), slope


@serial
def cut_off(array, x, end):
    """Return |x|, but ``end`` where it is greater or NaN, and zeros."""
    zero, ends = fill(array, 0), fill(array, end)
    t = where_greater(x, zero, x, -x)
    return where_greater(t, ends, ends, t), zero
