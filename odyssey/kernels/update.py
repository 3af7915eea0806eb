"""Loops over parameters and gradients laid out as one block of memory."""

import numpy as np
from numba import prange

from odyssey.kernels.jit import parallel
from odyssey.kernels.simd import fma

#: Elements in one part of a sum; fixed, so that the bits are the same each time.
PART_SIZE = 1 << 16


@parallel
def sgd_momentum(param, grad, velocity, lr, momentum, weight_decay, nesterov):
    """Update ``param`` and ``velocity`` in place; all flat, scalars of their dtype.

    for i:
        g = grad[i] + weight_decay * param[i]
        velocity[i] = momentum * velocity[i] + g
        param[i] -= lr * (g + momentum * velocity[i] if nesterov else velocity[i])

    Optimizations:
    - iterations are split over the cores, each writes its own elements
    - one pass over memory in place of NumPy's five or more
    """
    for i in prange(param.size):
        g = fma(weight_decay, param[i], grad[i])
        v = fma(momentum, velocity[i], g)
        velocity[i] = v
        step = fma(momentum, v, g) if nesterov else v
        param[i] = fma(-lr, step, param[i])


@parallel
def sum_of_squares(x, part_size, partial):
    """Write the sum of squares of each part of ``x``, flat, to ``partial``.

    for part: for i in part: partial[part] += x[i] * x[i], in float64

    Optimizations:
    - parts are split over the cores, each computed by one of them; the number of parts
      depends on the size alone, so the bits do not depend on the threads
    - four sums at a time, so that an addition need not wait for the previous one
    """
    for part in prange(partial.size):
        block = x[part * part_size : (part + 1) * part_size]
        total = total_1 = total_2 = total_3 = 0.0
        whole = block.size // 4 * 4
        for i in range(0, whole, 4):
            x0, x1 = np.float64(block[i]), np.float64(block[i + 1])
            x2, x3 = np.float64(block[i + 2]), np.float64(block[i + 3])
            total = fma(x0, x0, total)
            total_1 = fma(x1, x1, total_1)
            total_2 = fma(x2, x2, total_2)
            total_3 = fma(x3, x3, total_3)
        for i in range(whole, block.size):
            total = fma(np.float64(block[i]), np.float64(block[i]), total)
        partial[part] = (total + total_1) + (total_2 + total_3)
