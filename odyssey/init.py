"""Initial values of parameters.

The sum of fan_in products w * x of independent terms has the variance
fan_in * var(w) * E[x^2].  After a ReLU, E[x^2] is half the variance of its input.
With var(w) = 2 / fan_in the two cancel, so the variance stays the same through many
layers: He et al. 2015, arXiv:1502.01852.

A convolution may also begin as the identity: Zagoruyko & Komodakis 2017, "DiracNets",
arXiv:1706.00388.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import DTypeLike

from odyssey import checks

__all__ = ["dirac", "he_normal", "uniform_fan_in"]


def _check_arguments(
    op: str,
    shape: Sequence[int],
    rng: np.random.Generator,
    dtype: DTypeLike,
    fan_in: int | None,
) -> tuple[tuple[int, ...], np.dtype, int]:
    """Return shape, dtype and fan-in, all checked."""
    if not isinstance(shape, (tuple, list)):
        raise TypeError(f"{op}: shape must be a tuple, got {type(shape).__name__}")
    shape = tuple(checks.check_int(op, "shape", length, 1) for length in shape)
    checks.check_generator(op, rng)
    dtype = np.dtype(dtype)
    if dtype not in checks.FLOAT_DTYPES:
        raise TypeError(f"{op}: dtype must be float32 or float64, got {dtype}")
    if fan_in is not None:
        return shape, dtype, checks.check_int(op, "fan_in", fan_in, 1)
    if len(shape) < 2:
        raise ValueError(
            f"{op}: shape must have two or more axes without fan_in, got {shape}"
        )
    return shape, dtype, math.prod(shape[1:])


def he_normal(
    shape: Sequence[int],
    rng: np.random.Generator,
    dtype: DTypeLike = np.float32,
) -> np.ndarray:
    """Draw from the normal distribution of mean 0 and deviation sqrt(2 / fan_in).

    Parameters
    ----------
    shape : (K, C, R, S) of a convolution's kernel, fan_in = C*R*S; or (out, in) of a
        linear layer's weights, fan_in = in
    rng : source of randomness
    dtype : float32 or float64; drawn in float64 and rounded, so both have the same
        numbers

    Returns
    -------
    values : C-contiguous array of ``shape`` and ``dtype``

    Raises
    ------
    TypeError, ValueError
        For a wrong type, or for a shape of one axis or without elements.
    """
    shape, dtype, fan_in = _check_arguments("he_normal", shape, rng, dtype, None)
    return (rng.standard_normal(shape) * math.sqrt(2 / fan_in)).astype(dtype)


def uniform_fan_in(
    shape: Sequence[int],
    rng: np.random.Generator,
    dtype: DTypeLike = np.float32,
    *,
    fan_in: int | None = None,
) -> np.ndarray:
    """Draw uniformly from the interval [-1 / sqrt(fan_in), 1 / sqrt(fan_in)).

    It is meant for the last, linear layer, whose outputs are then small at first.

    Parameters
    ----------
    shape : as in ``he_normal``; with ``fan_in`` given, any, such as (out,) of a bias
    rng, dtype : as in ``he_normal``
    fan_in : number of inputs of a unit; None to take it from ``shape``

    Returns
    -------
    values : C-contiguous array of ``shape`` and ``dtype``

    Raises
    ------
    TypeError, ValueError
        As ``he_normal``.
    """
    op = "uniform_fan_in"
    shape, dtype, fan_in = _check_arguments(op, shape, rng, dtype, fan_in)
    bound = 1 / math.sqrt(fan_in)
    return rng.uniform(-bound, bound, shape).astype(dtype)


def dirac(kernel: np.ndarray) -> np.ndarray:
    """Return a kernel with filters in front that hand on the channels of the input.

    Filter k is 1 at its centre in channel k and 0 elsewhere, for k below min(K, C): the
    first channels of a convolution with as much padding as keeps the size are those
    of its input.

    Parameters
    ----------
    kernel : (K, C, R, S), float32 or float64
        Initial values, such as those of ``he_normal`` or ``uniform_fan_in``, which the
        other filters keep; not mutated.

    Returns
    -------
    values : C-contiguous copy of ``kernel``; the centre of R x S taps is (R//2, S//2)

    Raises
    ------
    TypeError, ValueError
        If ``kernel`` is not a float32 or float64 array of four axes.
    """
    checks.check_floating("dirac", kernel=kernel)
    checks.check_ndim("dirac", "kernel", kernel, "(K, C, R, S)")
    values = np.array(kernel, kernel.dtype.newbyteorder("="), order="C")
    K, C, R, S = values.shape
    count = min(K, C)
    values[:count] = 0
    values[np.arange(count), np.arange(count), R // 2, S // 2] = 1
    return values


def initialize_by_name(
    shapes: Mapping[str, tuple[int, ...]],
    seed: int,
    dtype: DTypeLike = np.float32,
) -> dict[str, np.ndarray]:
    """Draw the tensors of a network, each as its name tells.

    ======================== ===================================================
    ``*_kernel``             ``he_normal``
    ``fc*_weights``          ``uniform_fan_in``
    ``fc*_bias``             ``uniform_fan_in`` with the inputs of its weights
    ``*_gamma``              one
    ``*_running_var``        one
    everything else          zero
    ======================== ===================================================

    Parameters
    ----------
    shapes : shape of each parameter or running statistic by its name, in the order of
        drawing
    seed : of the random generator
    dtype : float32 or float64; drawn in float64 and rounded

    Returns
    -------
    tensors : arrays with the names and in the order of ``shapes``
    """
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, shape in shapes.items():
        layer, _, kind = name.rpartition("_")
        if layer.startswith("fc"):
            fan_in = shapes[f"{layer}_weights"][1]
            tensors[name] = uniform_fan_in(shape, rng, dtype, fan_in=fan_in)
        elif kind == "kernel":
            tensors[name] = he_normal(shape, rng, dtype)
        else:
            one = kind == "gamma" or name.endswith("_running_var")
            tensors[name] = np.full(shape, one, dtype)
    return tensors
