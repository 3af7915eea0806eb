"""The speed run against PyTorch: see ``tests/golden/make_golden_speedrun.py``.

Both sides draw the weights with `initialize`, and the file keeps a checksum of what was
drawn, and of each tensor a summary, as for ResNet-18.
"""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from speedrun_cifar10.architecture import SpeedrunConfig, initialize
from speedrun_cifar10.example import NETWORK
from speedrun_cifar10.recipe import CHOICES, training_step
from test_model_golden import gap, group

from odyssey.training.recipe import Recipe
from odyssey.training.state import TrainingState

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "speedrun.npz"
CONFIG = SpeedrunConfig(width=6)  # fewer than the whitening's 24, and then as many
STEPS, WHITENING_STEPS, BATCH = 10, 4, 8
RECIPE = Recipe(
    **CHOICES,
    model="speedrun",
    dataset="synthetic",
    data_sha256="",
    epochs=1,
    batch_size=BATCH,
)


def start(dtype=np.float64):
    """Weights and batches, drawn as float32 so that both precisions start alike."""
    params, state = initialize(CONFIG, 17)
    rng = np.random.default_rng(18)
    shape = params["whiten_kernel"].shape
    params["whiten_kernel"] = rng.normal(0, 12**-0.5, shape).astype(np.float32)
    for name, array in (*params.items(), *state.items()):
        if name.endswith(("_bias", "_beta", "_mean", "_var")):
            array += rng.uniform(-0.2, 0.2, array.shape).astype(np.float32)
    images = rng.standard_normal((STEPS, BATCH, 3, 32, 32)).astype(np.float32)
    labels = rng.integers(0, CONFIG.num_classes, (STEPS, BATCH))
    digest = hashlib.sha256()
    for array in (*params.values(), *state.values(), images, labels.astype("<i8")):
        digest.update(np.ascontiguousarray(array).tobytes())
    params = {name: array.astype(dtype) for name, array in params.items()}
    state = {name: array.astype(dtype) for name, array in state.items()}
    return params, state, images.astype(dtype), labels, digest.hexdigest()


def one_step(state, x, labels):
    """Do an update of the recipe, at the rates of its step."""
    options = {"config": CONFIG, "recipe": RECIPE, "whitening_steps": WHITENING_STEPS}
    result = training_step(state, x, labels, RECIPE.lr_at(state.step, STEPS), **options)
    state.count_step(result.loss, result.correct, len(labels))
    return result


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        arrays = dict(file)
    if start()[4] != str(arrays["digest"]):
        pytest.fail(
            "the weights or batches drawn are not those of the golden file: NumPy's "
            "generator or `initialize` has changed; run make_golden_speedrun.py again"
        )
    return arrays


# In float32 a pooling may take the neighbour of the pixel that is the greatest.
@pytest.mark.parametrize(
    ("dtype", "loss_bar", "logits_bar", "grad_bar"),
    [(np.float64, 1e-12, 1e-11, 1e-9), (np.float32, 1e-5, 1e-4, 1e-2)],
)
def test_first_step_agrees_with_pytorch(golden, dtype, loss_bar, logits_bar, grad_bar):
    params, running, images, labels, _ = start(dtype)
    logits = NETWORK.forward(params, running, images[0], CONFIG)[0]
    want = golden["logits"]
    assert np.abs(logits - want).max() <= logits_bar * np.sqrt(np.mean(want**2))
    result = one_step(TrainingState.fresh(params, running), images[0], labels[0])
    assert result.loss == pytest.approx(float(golden["losses"][0]), rel=loss_bar)
    wanted = group(golden, "grad/")
    assert sorted(result.grads) == sorted(wanted)
    far = {name: gap(result.grads[name], want) for name, want in wanted.items()}
    assert {name: g for name, g in far.items() if not g <= grad_bar} == {}


def test_ten_steps_of_the_recipe_agree_with_pytorch(golden):
    params, running, images, labels, _ = start()
    state = TrainingState.fresh(params, running)
    results = [one_step(state, *batch) for batch in zip(images, labels, strict=True)]
    losses = [result.loss for result in results]
    np.testing.assert_allclose(losses, golden["losses"], rtol=1e-9)
    assert ["whiten_bias" in result.grads for result in results] == (
        [True] * WHITENING_STEPS + [False] * (STEPS - WHITENING_STEPS)
    )
    wanted, trained = group(golden, "trained/"), {**params, **state.running}
    assert sorted(trained) == sorted(wanted)
    far = {name: gap(trained[name], want) for name, want in wanted.items()}
    assert {name: g for name, g in far.items() if not g <= 1e-8} == {}
