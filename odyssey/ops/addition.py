"""Addition with broadcasting, which joins the two branches of a residual block.

Forward
    out = a + b, where an axis of length one (or missing in front) is repeated

Backward
    The derivative of a sum in either term is one, so without broadcasting
        grad_a = grad_output        grad_b = grad_output
    An element of ``a`` that was repeated enters every ``out`` that it was added to:
        out[i, j] = a[j] + b[i, j]    =>    grad_a[j] = sum over i of grad_output[i, j]
    The backward of repeating is a sum over exactly the axes that were repeated.
"""

from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from odyssey import checks, layout
from odyssey.kernels import elementwise

__all__ = ["add", "add_backward"]


def _broadcast_shape(op: str, a: np.ndarray, b: np.ndarray) -> tuple[int, ...]:
    """Return the shape of ``a + b``."""
    try:
        return np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise ValueError(
            f"{op}: a and b must have shapes that broadcast together, "
            f"got {a.shape} and {b.shape}"
        ) from None


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return ``a + b``, broadcast as NumPy does.

    Parameters
    ----------
    a, b : float32, float64 or bfloat16, shapes that broadcast together

    Returns
    -------
    out : the broadcast shape, in the memory layout of the first of the two that has it

    Raises
    ------
    TypeError
        If an argument is not a float32, float64 or bfloat16 array, or the dtypes
        differ.
    ValueError
        If the shapes do not broadcast together.
    """
    dtype = checks.check_activations("add", a=a, b=b)
    shape = _broadcast_shape("add", a, b)
    if a.shape == b.shape:
        out = layout.empty_like_layout(a, shape)
        order = layout.memory_order(out)
        elementwise.add_forward(
            *(layout.flatten(array, order) for array in (a, b, out))
        )
        return out
    full = [array for array in (a, b) if array.shape == shape]
    out = layout.empty_like_layout(full[0], shape) if full else np.empty(shape, dtype)
    with np.errstate(invalid="ignore"):  # Inf - Inf is NaN, as it should be
        return np.add(a, b, out=out)


def _sum_to(grad_output: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return ``grad_output`` summed over the axes along which ``x`` was repeated."""
    grad = layout.empty_like_layout(x, x.shape)
    prepended = grad_output.ndim - x.ndim
    repeated = tuple(
        axis
        for axis, length in enumerate(grad_output.shape)
        if axis < prepended or x.shape[axis - prepended] != length
    )
    # in float64 sums over many elements are exact to the last digits of float32
    if repeated:
        grad_output = grad_output.sum(axis=repeated, dtype=np.float64)
    grad[...] = np.reshape(grad_output, x.shape)
    return grad


def add_backward(
    grad_output: np.ndarray, a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradients of ``add`` with respect to ``a`` and ``b``.

    Parameters
    ----------
    grad_output : shape of ``a + b``, the gradient of the forward's result
    a, b : float32, float64 or bfloat16, the arguments of the forward

    Returns
    -------
    grad_a, grad_b : shape, dtype and memory layout of ``a`` and of ``b``; two separate
        buffers, neither of them that of ``grad_output``

    Raises
    ------
    TypeError
        If an argument is not a float32, float64 or bfloat16 array, or the dtypes
        differ.
    ValueError
        If the shapes do not fit together.
    """
    checks.check_activations("add_backward", a=a, b=b, grad_output=grad_output)
    shape = _broadcast_shape("add_backward", a, b)
    checks.check_shape("add_backward", "grad_output", grad_output, shape, "as a + b")
    if a.shape != b.shape:
        return _sum_to(grad_output, a), _sum_to(grad_output, b)
    grad_a = layout.empty_like_layout(a, shape)
    grad_b = layout.empty_like_layout(b, shape)
    order = layout.memory_order(grad_a)
    if grad_a.strides != grad_b.strides:
        grad_a[...], grad_b[...] = grad_output, grad_output
        return grad_a, grad_b
    elementwise.add_backward(
        *(layout.flatten(array, order) for array in (grad_output, grad_a, grad_b))
    )
    return grad_a, grad_b


def kernel_calls(dtype: DTypeLike) -> list[partial]:
    """Return calls that between them reach every kernel used here."""
    x = np.ones((2, 3), dtype)
    return [partial(add, x, x), partial(add_backward, x, x, x)]
