"""Gaussian error linear unit.

Forward
    out = x * Phi(x),  where Phi(x) = (1 + erf(x / sqrt(2))) / 2
is the share of the standard normal distribution that lies below x.  The tanh form has
in its place
    Phi(x) ~ (1 + tanh(u)) / 2,  where u = sqrt(2 / pi) * (x + 0.044715 * x**3)

Backward, elementwise by the product rule
    d out / d x = Phi(x) + x * Phi'(x)
    grad_input  = grad_output * (Phi(x) + x * Phi'(x))
with Phi'(x) = exp(-x**2 / 2) / sqrt(2 * pi), and in the tanh form
    Phi'(x) ~ (1 - tanh(u)**2) / 2 * u',  u' = sqrt(2 / pi) * (1 + 0.134145 * x**2)
The steps, and how float32 numbers are computed, are in docs/derivations/gelu.md.

Far from 0, Phi is rounded to 0 or 1 and Phi' to 0, so that the gradient is exactly 0 or
1.  At an infinite x, infinity times 0 is NaN: in the forward at -Inf, in the backward
at both.

Hendrycks & Gimpel 2016, "Gaussian error linear units", arXiv:1606.08415.
"""

from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from odyssey import checks, layout
from odyssey.kernels import gelu as of_float32
from odyssey.kernels import gelu_float64 as of_float64

__all__ = ["gelu", "gelu_backward"]


def gelu(x: np.ndarray, approximate: str = "none") -> np.ndarray:
    """Return ``x`` times the share of the normal distribution that is below ``x``.

    Parameters
    ----------
    x : float32, float64 or bfloat16, any shape
    approximate : "none", or "tanh" for the form with tanh in place of erf, which
        differs by up to 5e-4

    Returns
    -------
    out : shape, dtype and memory layout of ``x``

    Raises
    ------
    TypeError
        If ``x`` is not a float32, float64 or bfloat16 array.
    ValueError
        If ``approximate`` is not "none" or "tanh".
    """
    dtype = checks.check_activations("gelu", x=x)
    tanh = _is_tanh("gelu", approximate)
    out = layout.empty_like_layout(x, x.shape)
    order = layout.memory_order(out)
    kernels = _kernels(dtype)
    kernels.gelu_forward(layout.flatten(x, order), layout.flatten(out, order), tanh)
    return out


def gelu_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    approximate: str = "none",
    *,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Return the gradient of ``gelu`` with respect to ``x``.

    Parameters
    ----------
    grad_output : shape and dtype of ``x``, the gradient of ``gelu(x, approximate)``
    x, approximate : the arguments of the forward
    out : array like ``grad_output``, optional
        Where to write the result; ``grad_output`` itself, if it is not needed later.

    Returns
    -------
    grad_input : ``out``, or an array of the shape, dtype and memory layout of ``x``

    Raises
    ------
    TypeError
        If an array is not float32, float64 or bfloat16, or the dtypes differ.
    ValueError
        If the shapes differ, ``out`` overlaps an argument in part, or ``approximate``
        is not "none" or "tanh".
    """
    op = "gelu_backward"
    dtype = checks.check_activations(op, x=x, grad_output=grad_output)
    tanh = _is_tanh(op, approximate)
    checks.check_shape(op, "grad_output", grad_output, x.shape, "as x")
    if out is not None:
        checks.check_out(op, out, grad_output, {"x": x})
    grad_input = layout.to_write(out, x)
    order = layout.memory_order(grad_input)
    _kernels(dtype).gelu_backward(
        layout.flatten(grad_output, order),
        layout.flatten(x, order),
        layout.flatten(grad_input, order),
        tanh,
    )
    return layout.into(out, grad_input)


def _is_tanh(op: str, approximate: Any) -> bool:
    """Return whether the tanh form is meant; ``ValueError`` if neither is."""
    if not isinstance(approximate, str) or approximate not in ("none", "tanh"):
        raise ValueError(
            f'{op}: approximate must be "none" or "tanh", got {approximate!r}'
        )
    return approximate == "tanh"


def _kernels(dtype: np.dtype) -> ModuleType:
    """Return the module with the kernels for activations of ``dtype``."""
    return of_float64 if dtype == np.float64 else of_float32


def kernel_calls(dtype: DTypeLike) -> list[partial]:
    """Return calls that between them reach every kernel used here."""
    x = np.ones((2, 3), dtype)
    return [partial(gelu, x), partial(gelu_backward, x, x)]
