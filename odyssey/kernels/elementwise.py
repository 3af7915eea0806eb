"""Elementwise loops over arrays laid out as one block of memory.

An elementwise operation does not care which axis an element belongs to, only that the
same place in each array is meant.  So arrays of one shape and one axis order are
walked as flat blocks, whatever their rank: long runs of SIMD, split over the cores.
"""

from numba import prange

from odyssey.kernels.ending import is_large, put
from odyssey.kernels.jit import parallel, serial
from odyssey.kernels.simd import flat, load_part, store_part, where_positive, width

#: Elements that a thread does at a time.
BLOCK = 4096


@parallel
def relu_forward(x, out):
    """Write the positive part of ``x`` to ``out``, both flat.

    for i: out[i] = 0 if x[i] <= 0 else x[i]

    Optimizations:
    - blocks are split over the cores, each writes its own
    - a vector at a time, and no branch: NaN passes, for no comparison holds for it
    """
    past = is_large(out, 0)
    for block in prange((x.size + BLOCK - 1) // BLOCK):
        end = min((block + 1) * BLOCK, x.size)
        gate(flat(x), flat(x), block * BLOCK, end, flat(out), past)


@parallel
def relu_backward(grad_output, x, grad_input):
    """Write ``grad_output`` where ``x`` passed to ``grad_input``, all flat.

    for i: grad_input[i] = 0 if x[i] <= 0 else grad_output[i]

    Optimizations: as in ``relu_forward``.
    """
    past = is_large(grad_input, 0)
    for block in prange((x.size + BLOCK - 1) // BLOCK):
        end = min((block + 1) * BLOCK, x.size)
        gate(flat(x), flat(grad_output), block * BLOCK, end, flat(grad_input), past)


@serial
def gate(x, values, start, end, out, past):
    """Write ``values`` where ``x`` is positive or NaN to a block of ``out``."""
    for i in range(start, end, width(x)):
        value = load_part(values, i, end - i)
        value = where_positive(load_part(x, i, end - i), value)
        put(out, i, value, end - i, past)


@parallel
def add_forward(a, b, out):
    """Write the sum of ``a`` and ``b`` to ``out``, all flat.

    for i: out[i] = a[i] + b[i]

    Optimizations: as in ``relu_forward``.
    """
    past = is_large(out, 0)
    for block in prange((a.size + BLOCK - 1) // BLOCK):
        end = min((block + 1) * BLOCK, a.size)
        add(flat(a), flat(b), block * BLOCK, end, flat(out), past)


@serial
def add(a, b, start, end, out, past):
    """Write a block of ``a + b``."""
    for i in range(start, end, width(a)):
        value = load_part(a, i, end - i) + load_part(b, i, end - i)
        put(out, i, value, end - i, past)


@parallel
def add_backward(grad_output, grad_a, grad_b):
    """Write ``grad_output`` to both ``grad_a`` and ``grad_b``, all flat.

    for i: grad_a[i] = grad_b[i] = grad_output[i]

    Optimizations: as in ``relu_forward``; one read serves two writes.
    """
    for block in prange((grad_output.size + BLOCK - 1) // BLOCK):
        end = min((block + 1) * BLOCK, grad_output.size)
        copy_twice(flat(grad_output), block * BLOCK, end, flat(grad_a), flat(grad_b))


@serial
def copy_twice(values, start, end, a, b):
    """Write a block of ``values`` to ``a`` and to ``b``."""
    for i in range(start, end, width(values)):
        value = load_part(values, i, end - i)
        store_part(a, i, value, end - i)
        store_part(b, i, value, end - i)
