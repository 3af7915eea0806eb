"""Convolution, one tap of the kernel at a time."""

import numpy as np


def conv2d(x, kernel, bias=None, stride=1, padding=0):
    """Slide kernel (K, C, R, S) over x (N, C, H, W) and return out (N, K, P, Q).

    out[n, k, p, q] = bias[k] + sum over c, r, s of
                      x_pad[n, c, p * stride + r, q * stride + s] * kernel[k, c, r, s]
    """
    (N, _, H, W), (K, _, R, S) = x.shape, kernel.shape
    P = (H + 2 * padding - R) // stride + 1
    Q = (W + 2 * padding - S) // stride + 1
    x_pad = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    out = np.zeros((N, K, P, Q), x.dtype)
    for r, s in np.ndindex(R, S):
        # The pixels under tap (r, s), one for each output pixel: (N, C, P, Q).
        taps = np.s_[:, :, r : r + P * stride : stride, s : s + Q * stride : stride]
        out += np.einsum("ncpq,kc->nkpq", x_pad[taps], kernel[:, :, r, s])
    return out if bias is None else out + bias[:, None, None]


def conv2d_backward(grad_output, x, kernel, stride=1, padding=0):
    """Return grad_input, grad_kernel and grad_bias of :func:`conv2d`.

    The forward sums products of a pixel and a weight.  For each of these products the
    weight receives grad_output * pixel, and the pixel receives grad_output * weight.
    """
    (_, _, H, W), (_, _, R, S), (_, _, P, Q) = x.shape, kernel.shape, grad_output.shape
    x_pad = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    grad_input_pad, grad_kernel = np.zeros_like(x_pad), np.zeros_like(kernel)
    for r, s in np.ndindex(R, S):
        taps = np.s_[:, :, r : r + P * stride : stride, s : s + Q * stride : stride]
        # out += np.einsum("ncpq,kc->nkpq", x_pad[taps], kernel[:, :, r, s])
        grad_kernel[:, :, r, s] = np.einsum("nkpq,ncpq->kc", grad_output, x_pad[taps])
        grad_input_pad[taps] += np.einsum(
            "nkpq,kc->ncpq", grad_output, kernel[:, :, r, s]
        )
    # x_pad = np.pad(x, ...): the gradient of the padding is dropped
    grad_input = grad_input_pad[:, :, padding : padding + H, padding : padding + W]
    # out + bias[:, None, None]
    return grad_input, grad_kernel, grad_output.sum(axis=(0, 2, 3))
