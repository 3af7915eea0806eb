"""A small network of each kind against PyTorch: ``tests/golden/make_golden_family.py``.

All in float64: logits in training and inference, every gradient, every new statistic.
"""

from pathlib import Path

import numpy as np
import pytest
from family import DROP_SEED, KINDS, drawn
from resnet18_cifar10.architecture import fold
from resnet18_cifar10.model import backward, forward

from odyssey.ops.loss import cross_entropy_backward

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "family.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return dict(file)


def far(got, want, bar=1e-10):
    """Names of arrays that are further than ``bar`` of their size from PyTorch's.

    ``want`` has all of them one after the other.
    """
    names, start = [], 0
    for name, array in got.items():
        part = want[start : start + array.size].reshape(array.shape)
        size = np.abs(part).max()
        if not np.abs(array - part).max() <= bar * size:
            names.append(name)
        start += array.size
    assert start == len(want)
    return names


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_agrees_with_pytorch(golden, kind):
    config = KINDS[kind]
    params, state, x, labels, digest = drawn(kind)
    assert digest == str(golden[f"{kind}/digest"]), "run make_golden_family.py again"
    rng = np.random.default_rng(DROP_SEED)
    logits, new_state, cache = forward(params, state, x, config, rng=rng)
    grad_logits = cross_entropy_backward(1.0, logits, labels)
    grads = backward(grad_logits, cache, params, config)
    np.testing.assert_allclose(logits, golden[f"{kind}/logits"], rtol=0, atol=1e-11)
    assert (list(grads), list(new_state)) == (list(params), list(state))
    assert far(grads, golden[f"{kind}/grads"]) == []
    assert far(new_state, golden[f"{kind}/state"]) == []


@pytest.mark.parametrize("kind", KINDS)
def test_inference_agrees_with_pytorch(golden, kind):
    params, state, x, _, _ = drawn(kind)
    want, config = golden[f"{kind}/inference"], KINDS[kind]
    logits = forward(params, state, x, config, training=False)[0]
    np.testing.assert_allclose(logits, want, rtol=0, atol=1e-11)
    folded = fold(params, state, config)
    again = forward(folded, {}, x, config, training=False, folded=True)[0]
    np.testing.assert_array_equal(again, logits)
    # what follows a convolution is part of it
    left = {name.rpartition("_")[0] for name in folded if name.endswith("_gamma")}
    pre = config.pre_activation and config.normalize
    assert left == ({"s2b1_bn1", "s2b2_bn1", "final_bn"} if pre else set())
