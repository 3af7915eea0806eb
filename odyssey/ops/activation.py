"""Rectified linear unit.

Forward
    out = max(x, 0)

Backward, elementwise by the chain rule
    d out / d x = 1 for x > 0, and 0 for x < 0
    grad_input  = grad_output where x > 0, else 0
At x = 0 the function has a kink.  Any slope from 0 to 1 is a subgradient; 0 is used
here, as in most libraries.

NaN stays NaN in the forward, and the gradient passes it in the backward.  Where x is
not above 0, the gradient is *replaced* by 0: multiplying by 0 would turn an infinite
upstream gradient into NaN.

Nair & Hinton 2010, "Rectified linear units improve restricted Boltzmann machines".
"""

from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from odyssey import checks, layout
from odyssey.kernels import elementwise

__all__ = ["relu", "relu_backward"]


def relu(x: np.ndarray) -> np.ndarray:
    """Return the positive part of ``x``.

    Parameters
    ----------
    x : float32, float64 or bfloat16, any shape

    Returns
    -------
    out : shape, dtype and memory layout of ``x``

    Raises
    ------
    TypeError
        If ``x`` is not a float32, float64 or bfloat16 array.
    """
    checks.check_activations("relu", x=x)
    out = layout.empty_like_layout(x, x.shape)
    order = layout.memory_order(out)
    elementwise.relu_forward(layout.flatten(x, order), layout.flatten(out, order))
    return out


def relu_backward(
    grad_output: np.ndarray, x: np.ndarray, *, out: np.ndarray | None = None
) -> np.ndarray:
    """Return the gradient of ``relu`` with respect to ``x``.

    Parameters
    ----------
    grad_output : shape and dtype of ``x``, the gradient of ``relu(x)``
    x : float32, float64 or bfloat16, any shape, the argument of the forward
    out : array like ``grad_output``, optional
        Where to write the result; ``grad_output`` itself, if it is not needed later.

    Returns
    -------
    grad_input : ``out``, or an array of the shape, dtype and memory layout of ``x``

    Raises
    ------
    TypeError
        If an argument is not a float32, float64 or bfloat16 array, or the dtypes
        differ.
    ValueError
        If the shapes differ, or ``out`` overlaps an argument in part.

    Notes
    -----
    ``relu(x)`` may stand in for ``x``, as both are positive in the same places.
    """
    checks.check_activations("relu_backward", x=x, grad_output=grad_output)
    checks.check_shape("relu_backward", "grad_output", grad_output, x.shape, "as x")
    if out is not None:
        checks.check_out("relu_backward", out, grad_output, {"x": x})
    grad_input = layout.to_write(out, x)
    order = layout.memory_order(grad_input)
    elementwise.relu_backward(
        layout.flatten(grad_output, order),
        layout.flatten(x, order),
        layout.flatten(grad_input, order),  # forward: out = max(x, 0)
    )
    return layout.into(out, grad_input)


def kernel_calls(dtype: DTypeLike) -> list[partial]:
    """Return calls that between them reach every kernel used here."""
    x = np.ones((2, 3), dtype)
    return [partial(relu, x), partial(relu_backward, x, x)]
