"""Initial values that keep the variance through layers of relu."""

import math

import numpy as np


def he_normal(shape, rng):
    """Return float32 numbers of mean 0 and deviation sqrt(2 / fan_in)."""
    fan_in = math.prod(shape[1:])
    values = rng.standard_normal(shape) * math.sqrt(2 / fan_in)
    return values.astype(np.float32)
