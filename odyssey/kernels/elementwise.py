"""Elementwise loops over arrays laid out as one block of memory.

For an elementwise operation the axes do not matter, if all arrays have the same shape
and the same order of axes.  So they are treated as flat blocks, whatever their rank:
long SIMD loops, split over the cores.
"""

from numba import prange

from odyssey.kernels.jit import parallel


@parallel
def relu_forward(x, out):
    """Write the positive part of ``x`` to ``out``, both flat.

    for i: out[i] = 0 if x[i] <= 0 else x[i]

    Optimizations:
    - iterations are split over the cores, each writes its own element
    - x[i] is read once, before the comparison, so that this becomes a SIMD blend, not a
      branch; the comparison is false for NaN, so NaN passes
    """
    zero = x.dtype.type(0)
    for i in prange(x.size):
        value = x[i]
        out[i] = zero if value <= zero else value


@parallel
def relu_backward(grad_output, x, grad_input):
    """Write ``grad_output`` to ``grad_input`` where ``x`` is positive, all flat.

    for i: grad_input[i] = 0 if x[i] <= 0 else grad_output[i]

    Optimizations: as in ``relu_forward``.
    """
    zero = x.dtype.type(0)
    for i in prange(x.size):
        grad = grad_output[i]
        grad_input[i] = zero if x[i] <= zero else grad


@parallel
def add_forward(a, b, out):
    """Write the sum of ``a`` and ``b`` to ``out``, all flat.

    for i: out[i] = a[i] + b[i]

    Optimizations: iterations are split over the cores, each writes its own element.
    """
    for i in prange(a.size):
        out[i] = a[i] + b[i]


@parallel
def add_backward(grad_output, grad_a, grad_b):
    """Write ``grad_output`` to both ``grad_a`` and ``grad_b``, all flat.

    for i: grad_a[i] = grad_b[i] = grad_output[i]

    Optimizations: iterations are split over the cores, each writes its own elements;
    one read serves two writes.
    """
    for i in prange(grad_output.size):
        grad_a[i] = grad_output[i]
        grad_b[i] = grad_output[i]
