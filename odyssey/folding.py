"""Batch norm of inference, folded into the convolution before it.

In inference batch norm multiplies each channel k by one constant and adds another.
After a convolution that is again a convolution, with another kernel and bias:

    h[n,k,p,q]   = bias[k] + sum over c,r,s  x[n,c,h,w] * kernel[k,c,r,s]
    out[n,k,p,q] = gamma[k] * (h[n,k,p,q] - running_mean[k]) * rstd[k] + beta[k]

    with scale[k] = gamma[k] * rstd[k] and rstd[k] = 1 / sqrt(running_var[k] + eps):

    out[n,k,p,q] = (bias[k] - running_mean[k]) * scale[k] + beta[k]
                   + sum over c,r,s  x[n,c,h,w] * (kernel[k,c,r,s] * scale[k])

This replaces a pass over the activations of every image by one over the kernel.
Jacob et al. 2018, arXiv:1712.05877, section 3.2.
"""

import numpy as np

from odyssey.checks import check_floating, check_ndim, check_number, check_shape

__all__ = ["fold_batch_norm"]


def fold_batch_norm(
    kernel: np.ndarray,
    bias: np.ndarray | None,
    gamma: np.ndarray,
    beta: np.ndarray,
    running_mean: np.ndarray,
    running_var: np.ndarray,
    eps: float = 1e-5,
) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel and bias of a convolution that includes a batch norm.

    Parameters
    ----------
    kernel : (K, C, R, S), float32 or float64
    bias : (K,), same dtype, or None
        Bias of the convolution.
    gamma, beta, running_mean, running_var : (K,), same dtype
        Parameters and statistics of the batch norm after it.
    eps : float > 0
        The batch norm's.

    Returns
    -------
    kernel : (K, C, R, S)
    bias : (K,)
        With them ``conv2d`` gives the result of the convolution followed by
        ``batch_norm2d`` in inference mode, up to rounding.

    Raises
    ------
    TypeError
        For dtypes that are not float32 or float64, or that differ.
    ValueError
        For wrong shapes, a negative running variance, eps out of range.
    """
    op = "fold_batch_norm"
    parameters = {
        "gamma": gamma,
        "beta": beta,
        "running_mean": running_mean,
        "running_var": running_var,
    }
    if bias is not None:
        parameters["bias"] = bias
    dtype = check_floating(op, kernel=kernel, **parameters)
    check_ndim(op, "kernel", kernel, "(K, C, R, S)")
    for name, parameter in parameters.items():
        check_shape(op, name, parameter, kernel.shape[:1], "one value per kernel")
    check_number(op, "eps", eps, 0, low_open=True)
    if (running_var < 0).any():
        raise ValueError(
            f"{op}: running_var must not be negative, got {running_var.min()}"
        )
    # scale and bias in float64: running_var may be small against the squared mean
    scale = gamma / np.sqrt(running_var.astype(np.float64) + eps)
    before = 0.0 if bias is None else bias
    folded_bias = (before - running_mean.astype(np.float64)) * scale + beta
    folded = kernel * scale.astype(dtype)[:, None, None, None]
    return folded.astype(dtype, copy=False), folded_bias.astype(dtype)
