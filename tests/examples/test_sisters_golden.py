"""AlexNet and VGG-16 against PyTorch: see ``tests/golden/make_golden_sisters.py``.

Both sides draw the weights with `initialize`, and the masks of dropout from the same
generators.  The file keeps a checksum of what was drawn, and of each tensor a summary,
as for ResNet-18.
"""

import functools
import hashlib
from pathlib import Path

import numpy as np
import pytest
from alexnet_cifar10.model import NETWORK as ALEXNET
from test_model_golden import gap, group
from vgg16_cifar10.model import NETWORK as VGG

from odyssey.ops.loss import cross_entropy, cross_entropy_backward
from odyssey.optim import sgd_momentum_update_inplace

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "sisters.npz"
NETWORKS = {"alexnet": ALEXNET, "vgg16": VGG, "vgg16_bn": VGG}
STEPS, BATCH = 4, 4
RECIPE = {"lr": 0.002, "momentum": 0.9, "weight_decay": 5e-4, "nesterov": True}
models = pytest.mark.parametrize("model", NETWORKS)


def start(model, dtype=np.float64):
    """Weights and batches, drawn as float32 so that both precisions start alike."""
    network = NETWORKS[model]
    params, state = network.initialize(network.models[model], 17)
    rng = np.random.default_rng(18)
    images = rng.standard_normal((STEPS, BATCH, 3, 32, 32)).astype(np.float32)
    labels = rng.integers(0, 10, (STEPS, BATCH))
    digest = hashlib.sha256()
    for array in (*params.values(), images, labels.astype("<i8")):
        digest.update(np.ascontiguousarray(array).tobytes())
    params = {name: array.astype(dtype) for name, array in params.items()}
    state = {name: array.astype(dtype) for name, array in state.items()}
    return params, state, images.astype(dtype), labels, digest.hexdigest()


def generator_of(step):
    """The generator that the masks of a step are drawn from."""
    return np.random.default_rng([19, step])


@functools.cache
def golden(model):
    with np.load(GOLDEN) as file:
        arrays = group(dict(file), f"{model}/")
    if start(model)[4] != str(arrays["digest"]):
        pytest.fail(
            "the weights or batches drawn are not those of the golden file: NumPy's "
            "generator or `initialize` has changed; run make_golden_sisters.py again"
        )
    return arrays


def one_step(model, params, state, x, labels, step):
    network = NETWORKS[model]
    config = network.models[model]
    logits, state, cache = network.forward(
        params, state, x, config, True, generator_of(step)
    )
    loss = cross_entropy(logits, labels)
    grad_logits = cross_entropy_backward(1.0, logits, labels)
    grads = network.backward(grad_logits, cache, params, config)
    return logits, loss, state, grads


# In float32 a relu may open or close by a rounding, and a pooling take its neighbour.
# Behind batch norms over the 16 values of the last block this weighs more: in float64,
# images changed by 1e-6 of their size move gradients of vgg16_bn by 1.2e-2, and before
# such a change by 3e-6.
@models
@pytest.mark.parametrize(
    ("dtype", "loss_bar", "logits_bar", "grad_bar"),
    [(np.float64, 1e-12, 1e-11, 1e-9), (np.float32, 1e-5, 1e-4, 1e-2)],
)
def test_first_step_agrees_with_pytorch(model, dtype, loss_bar, logits_bar, grad_bar):
    want = golden(model)
    if model == "vgg16_bn" and dtype == np.float32:
        grad_bar = 1e-1
    params, state, images, labels, _ = start(model, dtype)
    logits, loss, _, grads = one_step(model, params, state, images[0], labels[0], 0)
    assert loss == pytest.approx(float(want["losses"][0]), rel=loss_bar)
    size = np.sqrt(np.mean(want["logits"] ** 2))
    assert np.abs(logits - want["logits"]).max() <= logits_bar * size
    wanted = group(want, "grad/")
    assert list(grads) == list(wanted)
    far = {name: gap(grads[name], want) for name, want in wanted.items()}
    assert {name: g for name, g in far.items() if not g <= grad_bar} == {}


@models
def test_steps_of_training_agree_with_pytorch(model):
    want = golden(model)
    params, state, images, labels, _ = start(model)
    velocities = {name: np.zeros_like(param) for name, param in params.items()}
    losses = []
    for step in range(STEPS):
        _, loss, state, grads = one_step(
            model, params, state, images[step], labels[step], step
        )
        for name, param in params.items():
            sgd_momentum_update_inplace(param, grads[name], velocities[name], **RECIPE)
        losses.append(loss)
    np.testing.assert_allclose(losses, want["losses"], rtol=1e-9)
    wanted = group(want, "trained/")
    trained = {**params, **state}
    assert list(trained) == list(wanted)
    far = {name: gap(trained[name], want) for name, want in wanted.items()}
    assert {name: g for name, g in far.items() if not g <= 1e-8} == {}
