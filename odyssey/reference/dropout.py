"""Dropout with inverted scaling."""

import numpy as np


def dropout(x, p, rng, training=True):
    """Zero each element with probability p; return out and mask, 0 or 1 / (1 - p)."""
    mask = np.ones_like(x)
    if training:
        mask = ((rng.random(x.shape) >= p) / (1 - p)).astype(x.dtype)
    return x * mask, mask


def dropout_backward(grad_output, mask):
    """Return grad_input: grad_output times the mask that x was multiplied by."""
    return grad_output * mask
