"""Batch normalisation of each channel."""

import numpy as np


def batch_norm2d(
    x, gamma, beta, running_mean, running_var, training=True, momentum=0.1, eps=1e-5
):
    """Normalise each channel of x; return out and the new running mean and variance.

    xhat = (x - mean) / sqrt(var + eps),  out = gamma * xhat + beta

    In training, mean and (biased) variance are those over N, H, W, and the running
    statistics move towards them, with the unbiased variance.  In inference, mean and
    variance are the running ones.  Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167
    """
    xhat, _, mean, var = _normalize(x, running_mean, running_var, training, eps)
    out = gamma[:, None, None] * xhat + beta[:, None, None]
    if training:
        M = x.size // x.shape[1]  # values in a channel
        running_mean = (1 - momentum) * running_mean + momentum * mean
        running_var = (1 - momentum) * running_var + momentum * var * M / (M - 1)
    return tuple(result.astype(x.dtype) for result in (out, running_mean, running_var))


def batch_norm2d_backward(
    grad_output, x, gamma, beta, running_mean, running_var,
    training=True, momentum=0.1, eps=1e-5,
):  # fmt: skip
    """Return grad_input, grad_gamma and grad_beta of :func:`batch_norm2d`."""
    xhat, rstd, _, _ = _normalize(x, running_mean, running_var, training, eps)
    grad_output = grad_output.astype(np.float64)  # in float32 what cancels leaves noise
    # out = gamma * xhat + beta
    grad_beta = grad_output.sum(axis=(0, 2, 3))
    grad_gamma = (grad_output * xhat).sum(axis=(0, 2, 3))
    grad_xhat = grad_output * gamma[:, None, None]
    # xhat = (x - mean) * rstd
    if training:
        # Mean and rstd depend on every x of the channel.  They undo any shift and any
        # stretch of the channel, so these two components of the gradient vanish.
        shift = grad_xhat.mean(axis=(0, 2, 3), keepdims=True)
        stretch = (grad_xhat * xhat).mean(axis=(0, 2, 3), keepdims=True)
        grad_xhat = grad_xhat - shift - stretch * xhat
    grad_input = grad_xhat * rstd[:, None, None]
    return tuple(g.astype(x.dtype) for g in (grad_input, grad_gamma, grad_beta))


def _normalize(x, running_mean, running_var, training, eps):
    """Return xhat (N, C, H, W), and rstd, mean and var (C,), all in float64."""
    x = x.astype(np.float64)  # float32 rounds a mean of 1e4 by up to 5e-4
    mean, var = running_mean.astype(np.float64), running_var.astype(np.float64)
    if training:
        mean = x.mean(axis=(0, 2, 3))
        var = ((x - mean[:, None, None]) ** 2).mean(axis=(0, 2, 3))
    rstd = 1 / np.sqrt(var + eps)
    return (x - mean[:, None, None]) * rstd[:, None, None], rstd, mean, var
