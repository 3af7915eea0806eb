"""The gradients of a convolution's kernel and bias."""

import numpy as np


def conv2d_grad_kernel(grad_output, x, kernel, stride=1, padding=0):
    """Return grad_kernel and grad_bias.

    For each product of a pixel and a weight the weight receives grad_output * pixel.
    """
    (_, _, R, S), (_, _, P, Q) = kernel.shape, grad_output.shape
    x_pad = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    grad_kernel = np.zeros_like(kernel)
    for r, s in np.ndindex(R, S):
        # The pixels under tap (r, s), one for each output pixel: (N, C, P, Q).
        taps = np.s_[:, :, r : r + P * stride : stride, s : s + Q * stride : stride]
        grad_kernel[:, :, r, s] = np.einsum("nkpq,ncpq->kc", grad_output, x_pad[taps])
    return grad_kernel, grad_output.sum(axis=(0, 2, 3))
