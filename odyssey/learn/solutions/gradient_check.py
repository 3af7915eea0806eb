"""A gradient check: what a backward says, beside what is measured."""

import numpy as np


def numerical_gradient(f, x, grad_output, h=1e-5):
    """Return the gradient of sum(f(x) * grad_output), measured for each element of x.

    grad[i] = sum((f(x + h e_i) - f(x - h e_i)) * grad_output) / (2 h)
    """
    grad = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        plus, minus = x.copy(), x.copy()
        plus[i] += h
        minus[i] -= h
        grad[i] = np.sum((f(plus) - f(minus)) * grad_output) / (2 * h)
    return grad


def relative_error(one, other):
    """Return norm(one - other), relative to the larger of the two norms; 0 for zeros.

    The norm of an array is the square root of the sum of its squares.
    """
    size = max(np.linalg.norm(one), np.linalg.norm(other))
    if size == 0:
        return 0.0
    return float(np.linalg.norm(one - other) / size)


def gradient_check(forward, backward, x, rng):
    """Return whether backward is right at x, to 1e-6, for a random grad_output."""
    grad_output = rng.standard_normal(forward(x).shape)
    grad = backward(grad_output, x)
    return relative_error(grad, numerical_gradient(forward, x, grad_output)) < 1e-6
