"""Addition, broadcast as NumPy does."""

import numpy as np


def add(a, b):
    """Return a + b, broadcast as NumPy does."""
    return np.asarray(a + b)


def add_backward(grad_output, a, b):
    """Return grad_a and grad_b: an element that was repeated sums the gradients."""
    return _sum_to(a.shape, grad_output), _sum_to(b.shape, grad_output)


def _sum_to(shape, grad):
    """Sum grad over the axes that broadcasting repeated; the result is a new array."""
    grad = grad.sum(axis=tuple(range(grad.ndim - len(shape))))
    stretched = tuple(axis for axis, size in enumerate(shape) if size == 1)
    return np.array(grad.sum(axis=stretched, keepdims=True))
