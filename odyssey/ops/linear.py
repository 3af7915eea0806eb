"""Fully connected layer.

Forward:   out[n,o] = bias[o] + sum over i of  x[n,i] * weights[o,i]

It is linear in each argument, so a gradient puts ``grad_output`` in the place of
``out`` and sums over the index that it does not have itself:

    grad_input  [n,i] = sum over o  grad_output[n,o] * weights[o,i]
    grad_weights[o,i] = sum over n  grad_output[n,o] * x[n,i]
    grad_bias   [o]   = sum over n  grad_output[n,o]

A fully connected layer is a 1x1 convolution of a 1x1 image with as many channels as
there are features, and that is how the products are computed: the kernels of
``conv2d`` sum in the same order whatever the number of threads, which a BLAS with
threads of its own does not.
"""

from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from odyssey.checks import (
    check_activations,
    check_ndim,
    check_parameters,
    check_shape,
)
from odyssey.ops.conv import conv2d, conv2d_backward

__all__ = ["linear", "linear_backward"]


def linear(
    x: np.ndarray, weights: np.ndarray, bias: np.ndarray | None = None
) -> np.ndarray:
    """Multiply by a weight matrix and add a bias.

    Parameters
    ----------
    x : (N, in), float32, float64 or bfloat16
    weights : (out, in), same dtype; beside bfloat16 also float32
    bias : (out,), likewise, optional

    Returns
    -------
    out : (N, out), dtype of ``x``

    Raises
    ------
    TypeError
        For dtypes other than these, or that do not fit together.
    ValueError
        For wrong ranks or features that do not match.
    """
    _check("linear", x, weights)
    if bias is not None:
        check_parameters("linear", x, bias=bias)
        check_shape("linear", "bias", bias, (weights.shape[0],), "one per output")
    out = conv2d(_as_image(x), _as_kernel(weights), bias)
    return out.reshape(out.shape[:2])


def linear_backward(
    grad_output: np.ndarray, x: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the gradients of ``linear``.

    Parameters
    ----------
    grad_output : (N, out), dtype of ``x``
        Gradient of the loss by the forward's result.
    x, weights
        As given to the forward.

    Returns
    -------
    grad_input : (N, in), dtype of ``x``
    grad_weights : (out, in), same dtype; float32 where that is bfloat16
    grad_bias : (out,), likewise

    Raises
    ------
    TypeError, ValueError
        As the forward; and where ``grad_output`` has not the forward's shape.
    """
    _check("linear_backward", x, weights)
    check_activations("linear_backward", x=x, grad_output=grad_output)
    expected = (x.shape[0], weights.shape[0])
    check_shape("linear_backward", "grad_output", grad_output, expected, "(N, out)")
    # forward: out = x @ weights^T + bias
    grad_input, grad_weights, grad_bias = conv2d_backward(
        _as_image(grad_output), _as_image(x), _as_kernel(weights)
    )
    return grad_input.reshape(x.shape), grad_weights.reshape(weights.shape), grad_bias


def _as_image(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x)[:, None, None, :].transpose(0, 3, 1, 2)


def _as_kernel(weights: np.ndarray) -> np.ndarray:
    return weights[:, :, None, None]


def _check(op: str, x: np.ndarray, weights: np.ndarray) -> None:
    check_activations(op, x=x)
    check_parameters(op, x, weights=weights)
    if x.ndim > 2:
        raise ValueError(
            f"{op}: x must be 2-D (N, in), got shape {x.shape}; flatten it first"
        )
    check_ndim(op, "x", x, "(N, in)")
    check_ndim(op, "weights", weights, "(out, in)")
    if x.shape[1] != weights.shape[1]:
        raise ValueError(
            f"{op}: x must have the {weights.shape[1]} features of weights "
            f"{weights.shape}, got {x.shape[1]} (x {x.shape})"
        )
    if 0 in weights.shape:
        raise ValueError(
            f"{op}: weights must have no axis of length 0, got shape {weights.shape}"
        )


def kernel_calls(dtype: DTypeLike) -> list[partial]:
    """Return calls that between them reach every kernel used here."""
    x, weights, bias = np.ones((2, 3), dtype), np.ones((3, 3), dtype), np.ones(3, dtype)
    return [partial(linear, x, weights, bias), partial(linear_backward, x, x, weights)]
