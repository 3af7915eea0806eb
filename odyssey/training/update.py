"""The update of a run's parameters: which rule moves each of them, and at which rate.

With the optimizer "sgd", all move by SGD with momentum.  With "muon", the kernels of
convolutions move by Muon, and what has fewer axes by SGD: gamma, beta, biases and the
matrices of linear layers, of which the last is better off with its gradient's scale.
"""

import math

import numpy as np

from odyssey.layers.context import Tensors
from odyssey.muon import muon_update_inplace, scale_to_norm_inplace
from odyssey.optim import sgd_momentum_update_inplace
from odyssey.training.recipe import Recipe


def update_parameters(
    params: Tensors, grads: Tensors, velocities: Tensors, lr: float, recipe: Recipe
) -> None:
    """Move all parameters one step against their gradients, in place.

    Parameters
    ----------
    params, grads, velocities : by the parameters' names; only ``grads`` are unchanged
    lr : the learning rate of the step; Muon's is the same share of ``recipe.muon_lr``
        as this of ``recipe.lr``
    recipe : the run's
    """
    for name, param in params.items():
        if recipe.optimizer == "muon" and param.ndim == 4:
            _move_by_muon(param, grads[name], velocities[name], lr / recipe.lr, recipe)
        else:
            factor = recipe.beta_lr_factor if name.endswith("_beta") else 1.0
            sgd_momentum_update_inplace(
                param,
                grads[name],
                velocities[name],
                lr * factor,
                recipe.momentum,
                weight_decay=recipe.weight_decay_of(param),
                nesterov=recipe.nesterov,
            )


def _move_by_muon(
    kernel: np.ndarray,
    grad: np.ndarray,
    velocity: np.ndarray,
    share: float,
    recipe: Recipe,
) -> None:
    """Move a kernel at ``share`` of Muon's highest rate."""
    if recipe.muon_rescale:
        scale_to_norm_inplace(kernel, math.sqrt(len(kernel)))
    muon_update_inplace(
        kernel,
        grad,
        velocity,
        share * recipe.muon_lr,
        recipe.muon_momentum,
        weight_decay=recipe.muon_weight_decay,
        steps=recipe.muon_steps,
    )
