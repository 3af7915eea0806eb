"""Dropout with inverted scaling.

Forward, in training
    mask = 1/(1 - p) with probability 1 - p, else 0        one draw for each element
    out  = x * mask
E[mask] = 1, so that E[out] = x and evaluation needs no factor: there mask = 1.

Backward, with the forward's mask held fixed
    d out / d x = mask, hence grad_input = grad_output * mask

Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from
overfitting", JMLR 15.
"""

import numpy as np

from odyssey import checks, layout
from odyssey.bfloat16 import sum_dtype

__all__ = ["dropout", "dropout_backward"]


def dropout(
    x: np.ndarray, p: float, rng: np.random.Generator | None, training: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Set elements of ``x`` to zero with probability ``p`` and scale up the others.

    Parameters
    ----------
    x : float32, float64 or bfloat16, any shape
    p : probability of an element to be dropped, in [0, 1)
    rng : source of randomness; one float64 is drawn for each element, in C order of the
        shape whatever the memory layout; not used in evaluation, where it may be None
    training : False for evaluation, in which nothing is dropped

    Returns
    -------
    out, mask : shape, dtype and memory layout of ``x``; the mask carries the scale
        1/(1 - p), and is all ones in evaluation; that of bfloat16 is float32, because
        the scale would be rounded

    Raises
    ------
    TypeError
        If ``x`` is not a float32, float64 or bfloat16 array, ``p`` not a number or, in
        training, ``rng`` not a ``numpy.random.Generator``.
    ValueError
        If ``p`` is outside [0, 1).
    """
    dtype = checks.check_activations("dropout", x=x)
    p = checks.check_number("dropout", "p", p, 0.0, 1.0, high_open=True)
    mask = layout.empty_like_layout(x, x.shape, sum_dtype(dtype))
    if training:
        rng = checks.check_generator("dropout", rng)
        np.multiply(rng.random(x.shape) >= p, 1 / (1 - p), out=mask)
    else:
        mask[...] = 1
    out = layout.empty_like_layout(x, x.shape)
    with np.errstate(invalid="ignore"):  # Inf * 0 is NaN, as it should be
        np.multiply(x, mask, out=out)
    return out, mask


def dropout_backward(grad_output: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the gradient of ``dropout`` with respect to ``x``.

    Parameters
    ----------
    grad_output : shape of ``mask``, the gradient of the forward's ``out``, in its dtype
    mask : the forward's second result

    Returns
    -------
    grad_input : dtype of ``grad_output``, shape and memory layout of ``mask``

    Raises
    ------
    TypeError
        If ``grad_output`` is not a float32, float64 or bfloat16 array, or ``mask`` is
        not that of such an ``x``.
    ValueError
        If the shapes differ.
    """
    op = "dropout_backward"
    dtype = checks.check_activations(op, grad_output=grad_output)
    if checks.check_floating(op, mask=mask) != sum_dtype(dtype):
        raise TypeError(
            f"{op}: mask must be {sum_dtype(dtype)} where grad_output is {dtype}, "
            f"got {mask.dtype}"
        )
    checks.check_shape(op, "grad_output", grad_output, mask.shape, "as mask")
    grad_input = layout.empty_like_layout(mask, mask.shape, dtype)
    with np.errstate(invalid="ignore"):
        np.multiply(grad_output, mask, out=grad_input)  # forward: out = x * mask
    return grad_input
