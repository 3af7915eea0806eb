"""Which rule moves each parameter of a run, and at which rate."""

import numpy as np
import pytest
from standin import recipe

import odyssey
from odyssey.training.update import update_parameters

SHAPES = {
    "conv1_kernel": (6, 3, 3, 3),
    "conv1_bias": (6,),
    "bn1_gamma": (6,),
    "bn1_beta": (6,),
    "shortcut_kernel": (8, 6, 1, 1),
    "fc_weights": (3, 8),
    "fc_bias": (3,),
}
KERNELS = ["conv1_kernel", "shortcut_kernel"]


def drawn(seed):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(s).astype("f4") for name, s in SHAPES.items()}


def moved(lr=0.1, steps=2, **changes):
    """Parameters and velocities after two steps, and what they were before."""
    params, velocities = drawn(0), {n: np.zeros(s, "f4") for n, s in SHAPES.items()}
    made = recipe(**{"lr": 0.4, "weight_decay": 0.01, **changes})
    for step in range(steps):
        update_parameters(params, drawn(1 + step), velocities, lr, made)
    return params, velocities


def by_sgd(name, lr, **options):
    param, velocity = drawn(0)[name], np.zeros(SHAPES[name], "f4")
    for step in range(2):
        odyssey.sgd_momentum_update_inplace(
            param, drawn(1 + step)[name], velocity, lr, **options
        )
    return param, velocity


def assert_moved(result, name, want):
    for got, array in zip(result, want, strict=True):
        np.testing.assert_array_equal(got[name], array)


def test_sgd_moves_all_by_default():
    result = moved()
    for name in SHAPES:
        assert_moved(result, name, by_sgd(name, 0.1, weight_decay=0.01))


@pytest.mark.parametrize("rescale", [False, True])
def test_muon_moves_the_kernels_alone(rescale):
    result = moved(
        optimizer="muon",
        muon_lr=0.02,
        muon_momentum=0.6,
        muon_steps=3,
        muon_weight_decay=0.5,
        muon_rescale=rescale,
        nesterov=True,
    )
    for name in SHAPES.keys() - set(KERNELS):
        want = by_sgd(name, 0.1, weight_decay=0.01, nesterov=True)
        assert_moved(result, name, want)
    for name in KERNELS:
        kernel, velocity = drawn(0)[name], np.zeros(SHAPES[name], "f4")
        for step in range(2):
            if rescale:
                odyssey.scale_to_norm_inplace(kernel, len(kernel) ** 0.5)
            odyssey.muon_update_inplace(
                kernel,
                drawn(1 + step)[name],
                velocity,
                0.005,  # a quarter of muon_lr, as 0.1 is of lr
                0.6,
                steps=3,
                weight_decay=0.5,
            )
        assert_moved(result, name, (kernel, velocity))


def test_the_rate_of_beta_may_be_another():
    result = moved(beta_lr_factor=64.0)
    for name in SHAPES:
        lr = 6.4 if name == "bn1_beta" else 0.1
        assert_moved(result, name, by_sgd(name, lr, weight_decay=0.01))
