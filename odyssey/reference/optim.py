"""The updates by stochastic gradient descent and by Muon, and clipping."""

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


def orthogonalize(x, steps=5):
    """Move the singular values of x, (K, ...), towards 1; keep its singular vectors."""
    matrix = x.reshape(len(x), -1)
    y = matrix / (np.sqrt((matrix**2).sum()) + 1e-7)
    for _ in range(steps):
        # with y = U S V^T: y y^T y = U S^3 V^T and y y^T y y^T y = U S^5 V^T
        cubes = y @ y.T @ y
        y = 3.4445 * y - 4.7750 * cubes + 2.0315 * y @ y.T @ cubes
    return y.reshape(x.shape)


def muon_update_inplace(
    param,
    grad,
    velocity,
    lr,
    momentum=0.95,
    *,
    weight_decay=0.0,
    nesterov=True,
    steps=5,
):
    """Take one orthogonal step against the momentum, in param and in velocity."""
    velocity[...] = momentum * velocity + grad
    update = grad + momentum * velocity if nesterov else velocity
    param *= 1 - lr * weight_decay
    param -= lr * orthogonalize(update, steps)


def scale_to_norm_inplace(param, norm):
    """Scale param so that its 2-norm is norm, unless it is zero."""
    now = np.sqrt((param**2).sum())
    if 0 < now < np.inf:
        param *= norm / now
