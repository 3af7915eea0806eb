"""The exponential function of vectors of float32, for negative exponents.

A number a is cut into n log(2) + f, with a whole n and |f| <= log(2)/2.  Then
exp(a) = 2**n exp(f), where 2**n is written into the bits of a float32, and exp(f) is a
polynomial: 1 + f + f**2 times one of degree 4.  Its coefficients were fitted so that
the largest relative error is least, 3.1e-9.  Every lane is rounded alike, so what
becomes of a number does not depend on its place in a vector.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from odyssey.kernels.jit import serial
from odyssey.kernels.simd import (
    INT32,
    Vector,
    declare,
    fma,
    llvm_type,
    register,
    splat,
)

#: 1/log(2), and log(2) as a sum, of whose first part n times is exact.
PER_LOG_2 = 1.4426950408889634
LOG_2_HIGH, LOG_2_LOW = 0.693359375, -2.121944400546905e-4

#: The number that the exponent of a float32 is stored with, and its bits of fraction.
BIAS, FRACTION = 127, 23


@serial
def exp_minus(a, rest):
    """Return exp(-(a + rest)) of vectors, 0 <= a <= 88.3, with a rest near 0.

    From a = 87.7 on, where it would be less than half of the smallest normal float32,
    the result is 0.
    """
    n = nearest(a * -PER_LOG_2)
    f = fma(n, -LOG_2_HIGH, -a)
    f = fma(n, -LOG_2_LOW, f) - rest
    p = fma(f, 1.381446698e-03, 8.368780446e-03)
    p = fma(p, f, 4.166839422e-02)
    p = fma(p, f, 1.666652011e-01)
    p = fma(p, f, 4.999999341e-01)
    p = fma(p * f, f, f) + 1.0
    return p * power_of_two(n)


def nearest(vector: np.ndarray) -> np.ndarray:
    """Return the whole numbers that are nearest, the even one of two as near."""
    return np.rint(vector)


def power_of_two(n: np.ndarray) -> np.ndarray:
    """Return 2**n of whole float32 numbers from -127 to 127, but 0 for -127."""
    return (n.astype(np.int32) + BIAS << FRACTION).view(np.float32)


def _type_same(vector: Any) -> Any:
    is_single = isinstance(vector, Vector) and vector.dtype == types.float32
    return vector if is_single else None


def _lower_nearest(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    kind = args[0].type
    name = f"llvm.rint.v{kind.count}f32"
    return builder.call(declare(builder, name, kind, [kind]), args)


def _lower_power_of_two(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    lanes = sig.return_type.lanes
    bias, fraction = (
        splat(builder, ir.Constant(INT32, number), lanes) for number in (BIAS, FRACTION)
    )
    n = builder.fptosi(args[0], ir.VectorType(INT32, lanes))
    bits = builder.shl(builder.add(n, bias), fraction)
    return builder.bitcast(bits, llvm_type(sig.return_type))


register(nearest, _type_same, _lower_nearest, Vector)
register(power_of_two, _type_same, _lower_power_of_two, Vector)
