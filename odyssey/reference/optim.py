"""The update by stochastic gradient descent, and clipping."""

import numpy as np


def sgd_momentum_update_inplace(
    param, grad, velocity, lr, momentum=0.9, *, weight_decay=0.0, nesterov=False
):
    """Take one step of stochastic gradient descent, in param and in velocity."""
    # The velocity does not contain lr, so a new lr changes the whole step at once.
    g = grad + weight_decay * param
    velocity[...] = momentum * velocity + g
    param -= lr * (g + momentum * velocity if nesterov else velocity)


def clip_grad_norm_inplace(grads, max_norm):
    """Scale a list or dict of grads down to max_norm; return their 2-norm before it."""
    arrays = list(grads.values() if isinstance(grads, dict) else grads)
    norm = sum(float((g.astype(np.float64) ** 2).sum()) for g in arrays) ** 0.5
    if max_norm < norm < np.inf:
        for g in arrays:
            g *= max_norm / (norm + 1e-6)  # a little less, because of rounding
    return norm
