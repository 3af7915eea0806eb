"""LeNet-5 against PyTorch: see ``tests/golden/make_golden_lenet.py``.

Both sides draw the weights with `initialize`, and the file keeps a checksum of what was
drawn, and of each tensor a summary, as for ResNet-18.
"""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from lenet5_cifar10.model import NETWORK, LeNetConfig, backward, forward
from test_model_golden import gap, group

from odyssey.ops.loss import cross_entropy, cross_entropy_backward
from odyssey.optim import sgd_momentum_update_inplace

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "lenet.npz"
CONFIG = LeNetConfig()
STEPS, BATCH = 10, 8
RECIPE = {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4, "nesterov": True}


def start(dtype=np.float64):
    """Weights and batches, drawn as float32 so that both precisions start alike."""
    params, _ = NETWORK.initialize(CONFIG, 17)
    rng = np.random.default_rng(18)
    images = rng.standard_normal((STEPS, BATCH, 3, 32, 32)).astype(np.float32)
    labels = rng.integers(0, CONFIG.num_classes, (STEPS, BATCH))
    digest = hashlib.sha256()
    for array in (*params.values(), images, labels.astype("<i8")):
        digest.update(np.ascontiguousarray(array).tobytes())
    params = {name: array.astype(dtype) for name, array in params.items()}
    return params, images.astype(dtype), labels, digest.hexdigest()


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        arrays = dict(file)
    if start()[3] != str(arrays["digest"]):
        pytest.fail(
            "the weights or batches drawn are not those of the golden file: NumPy's "
            "generator or `initialize` has changed; run make_golden_lenet.py again"
        )
    return arrays


def one_step(params, x, labels):
    logits, _, cache = forward(params, {}, x, CONFIG)
    loss = cross_entropy(logits, labels)
    grad_logits = cross_entropy_backward(1.0, logits, labels)
    return logits, loss, backward(grad_logits, cache, params, CONFIG)


# In float32 a relu may open or close by a rounding, and a pooling take its neighbour.
@pytest.mark.parametrize(
    ("dtype", "loss_bar", "logits_bar", "grad_bar"),
    [(np.float64, 1e-12, 1e-11, 1e-9), (np.float32, 1e-5, 1e-4, 1e-2)],
)
def test_first_step_agrees_with_pytorch(golden, dtype, loss_bar, logits_bar, grad_bar):
    params, images, labels, _ = start(dtype)
    logits, loss, grads = one_step(params, images[0], labels[0])
    want = golden["logits"]
    assert loss == pytest.approx(float(golden["losses"][0]), rel=loss_bar)
    assert np.abs(logits - want).max() <= logits_bar * np.sqrt(np.mean(want**2))
    wanted = group(golden, "grad/")
    assert list(grads) == list(wanted)
    far = {name: gap(grads[name], want) for name, want in wanted.items()}
    assert {name: g for name, g in far.items() if not g <= grad_bar} == {}


def test_ten_steps_of_training_agree_with_pytorch(golden):
    params, images, labels, _ = start()
    velocities = {name: np.zeros_like(param) for name, param in params.items()}
    losses = []
    for x, y in zip(images, labels, strict=True):
        _, loss, grads = one_step(params, x, y)
        for name, param in params.items():
            sgd_momentum_update_inplace(param, grads[name], velocities[name], **RECIPE)
        losses.append(loss)
    np.testing.assert_allclose(losses, golden["losses"], rtol=1e-9)
    wanted = group(golden, "trained/")
    assert list(params) == list(wanted)
    far = {name: gap(params[name], want) for name, want in wanted.items()}
    assert {name: g for name, g in far.items() if not g <= 1e-8} == {}
