"""The Gaussian error linear unit, computed in float64 whatever the dtype of x."""

import math

import numpy as np

#: The complementary error function of each element: erfc(z) = 1 - erf(z).
erfc = np.vectorize(math.erfc, otypes=[np.float64])


def gelu(x, approximate="none"):
    """Return x times the normal distribution function of x, or its tanh form."""
    share, _ = _share(x.astype(np.float64), approximate)
    return np.asarray(x * share, x.dtype)


def gelu_backward(grad_output, x, approximate="none"):
    """Return grad_input = grad_output * (share + x * share')."""
    # x * share
    share, slope = _share(x.astype(np.float64), approximate)
    return np.asarray(grad_output * (share + x * slope), x.dtype)


def _share(x, approximate):
    """Return the factor of x in the forward, and its derivative."""
    if approximate == "tanh":
        tanh = np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))
        slope = (1 - tanh**2) * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x**2)
        return (1 + tanh) / 2, slope / 2
    return erfc(-x / np.sqrt(2)) / 2, np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
