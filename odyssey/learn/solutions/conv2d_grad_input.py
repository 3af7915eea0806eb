"""The gradient of a convolution's input."""

import numpy as np


def conv2d_grad_input(grad_output, x, kernel, stride=1, padding=0):
    """Return grad_input.

    For each product of a pixel and a weight the pixel receives grad_output * weight.
    """
    (_, _, H, W), (_, _, R, S), (_, _, P, Q) = x.shape, kernel.shape, grad_output.shape
    x_pad = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    grad_input_pad = np.zeros_like(x_pad)
    for r, s in np.ndindex(R, S):
        # The pixels under tap (r, s), one for each output pixel: (N, C, P, Q).
        taps = np.s_[:, :, r : r + P * stride : stride, s : s + Q * stride : stride]
        grad_input_pad[taps] += np.einsum(
            "nkpq,kc->ncpq", grad_output, kernel[:, :, r, s]
        )
    # What the padding receives is dropped.
    return grad_input_pad[:, :, padding : padding + H, padding : padding + W]
