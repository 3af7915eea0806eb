"""The speed run: its network, its recipe, and the program that trains several seeds."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner
from programs import assert_same_run, rows_of
from speedrun_cifar10 import inference, recipe, runs, train
from speedrun_cifar10.architecture import (
    BN_EPS,
    SpeedrunConfig,
    fold,
    initialize,
    units,
)
from speedrun_cifar10.example import EXAMPLE, NETWORK
from speedrun_cifar10.model import backward, forward

from odyssey import reference
from odyssey.data.cifar10 import load_cifar10
from odyssey.data.dataset import CIFAR10_MEAN, CIFAR10_STD
from odyssey.data.loader import BatchLoader
from odyssey.gradcheck import gradcheck
from odyssey.training.recipe_file import read_recipe
from odyssey.training.signals import StopFlag
from odyssey.training.step import inference as inference_of
from odyssey.weights.model import load_weights

SMALL = SpeedrunConfig(width=3, num_classes=4)
QUICK = ["--width", 2, "--batch-size", 16, "--epochs", 2, "--threads", 1]
STEPS = 6  # of an epoch of 100 images; four are left out


def drawn(config=SMALL, images=4):
    """Tensors that are not those of a fresh model, and a batch, in float64."""
    rng = np.random.default_rng(3)
    params, state = (
        {name: array.astype(np.float64) for name, array in tensors.items()}
        for tensors in initialize(config, 1)
    )
    for name, array in (*params.items(), *state.items()):
        if name.endswith(("_bias", "_beta", "_mean", "_var")):
            array += rng.uniform(-0.2, 0.2, array.shape)
    shape = params["whiten_kernel"].shape
    params["whiten_kernel"] = rng.normal(0, 12**-0.5, shape)
    return params, state, rng.standard_normal((images, 3, 32, 32))


def run(program, *arguments, status=0):
    """Run a program in this process; return what it printed."""
    result = CliRunner().invoke(program, [str(a) for a in arguments])
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture(scope="module")
def places(data):
    return ["--data-dir", data]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, places):
    """Two runs that nothing stopped, and what was printed."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, run(
        train.main, *places, *QUICK, "--seeds", 2, "--weights-dir", folder
    )


def test_the_network_has_1_971_640_parameters_of_which_the_whitening_is_fixed():
    params, state = initialize(SpeedrunConfig(), 0)
    sizes = {name: param.size for name, param in params.items()}
    assert sizes["whiten_kernel"] == 24 * 12 and sizes["fc_weights"] == 2560
    assert sum(sizes.values()) == 1_971_640
    assert len(state) == 12
    # the first filters hand the input channels on
    kernel = params["g1_conv1_kernel"]
    x = np.random.default_rng(0).standard_normal((1, 24, 5, 5)).astype(np.float32)
    out = reference.conv2d(x, kernel, padding=1)
    np.testing.assert_array_equal(out[:, :24], x)
    assert not np.isclose(out[:, 24:48], x).any()
    assert params["fc_weights"].std(ddof=1) == pytest.approx(1, rel=1e-5)


def test_the_model_is_short():
    lines = (EXAMPLE.folder / "model.py").read_text().splitlines()
    assert len(lines) < 250


@pytest.mark.parametrize("frozen", [(), ("whiten_kernel",)])
def test_gradients_of_the_whole_network(frozen, one_thread):
    params, state, x = drawn()
    names = [name for name in params if name not in frozen]

    def logits_of(*values):
        named = params | dict(zip(names, values, strict=True))
        return forward(named, state, x, SMALL)[0]

    def grads_of(grad_logits, *values):
        named = params | dict(zip(names, values, strict=True))
        cache = forward(named, state, x, SMALL)[2]
        grads = backward(grad_logits, cache, named, SMALL, frozen=frozen)
        assert list(grads) == names
        return list(grads.values())

    # a small step: pooling has corners
    values = [params[name] for name in names]
    assert gradcheck(logits_of, grads_of, values, samples=6, eps=1e-7) < 1e-6


def test_what_is_frozen_or_reused_changes_no_other_gradient(one_thread):
    params, state, x = drawn()
    logits, _, cache = forward(params, state, x, SMALL)
    grad_logits = np.random.default_rng(5).standard_normal(logits.shape)
    whole = backward(grad_logits, cache, params, SMALL)
    assert list(whole) == list(params) and len(cache.units) == 6
    both = {"whiten_kernel", "whiten_bias"}
    rest = backward(grad_logits, cache, params, SMALL, reuse=cache, frozen=both)
    assert list(rest) == [name for name in params if name not in both]
    assert cache.units == []
    for name, grad in rest.items():
        np.testing.assert_array_equal(grad, whole[name])


def test_batch_norms_may_be_folded_past_the_pooling(one_thread):
    params, state, x = drawn()
    h = reference.conv2d(x, params["whiten_kernel"], params["whiten_bias"])
    h = reference.gelu(h)
    for unit in units(SMALL):
        h = reference.conv2d(h, params[f"{unit.conv}_kernel"], padding=1)
        if unit.pooled:
            h = reference.maxpool2d(h, 2)
        beta = params[f"{unit.norm}_beta"]
        statistics = (state[f"{unit.norm}_running_{kind}"] for kind in ("mean", "var"))
        h = reference.batch_norm2d(
            h, np.ones_like(beta), beta, *statistics, training=False, eps=BN_EPS
        )[0]
        h = reference.gelu(h)
    features = reference.maxpool2d(h, 3).reshape(len(x), -1)
    want = reference.linear(features, params["fc_weights"]) / features.shape[1]
    found, same, cache = forward(params, state, x, SMALL, training=False)
    np.testing.assert_allclose(found, want, rtol=1e-9, atol=1e-12)
    assert same is state and cache is None
    folded = fold(params, state, SMALL)
    again = forward(folded, {}, x, SMALL, training=False, folded=True)[0]
    np.testing.assert_array_equal(again, found)


def test_the_whitening_makes_patches_uncorrelated_with_variance_1():
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 200, (60, 3, 8, 8)).repeat(4, axis=2).repeat(4, axis=3)
    noise = rng.integers(-20, 20, (60, 3, 32, 32))
    images = (coarse + noise).astype(np.uint8)
    kernel = recipe.whitening_kernel(images, CIFAR10_MEAN, CIFAR10_STD)
    assert kernel.dtype == np.float32 and kernel.shape == (24, 3, 2, 2)
    np.testing.assert_array_equal(kernel[12:], -kernel[:12])
    x, _ = next(BatchLoader(images, np.arange(60), 60, shuffle=False).epoch(0))
    out = reference.conv2d(x.astype(np.float64), kernel[:12].astype(np.float64))
    rows = out.transpose(1, 0, 2, 3).reshape(12, -1)
    second_moments = rows @ rows.T / rows.shape[1]
    # less than 1 by eps / (eigenvalue + eps), and the eigenvalues are 0.01 or more
    np.testing.assert_allclose(second_moments, np.eye(12), atol=0.05)
    assert (np.diag(second_moments) < 1).all()


def test_the_six_views_are_two_sides_of_the_image_and_of_two_shifts():
    x = np.random.default_rng(1).standard_normal((2, 3, 6, 6))
    wide = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    assert (wide[:, :, 0, 1:-1] == x[:, :, 1]).all()
    seen = []

    def predict(view):
        seen.append(np.array(view))
        return np.full((2, 4), 2.0 ** len(seen))

    found = recipe.six_views(predict, x)
    middle, mirror, *shifted = seen
    np.testing.assert_array_equal(middle, x)
    np.testing.assert_array_equal(mirror, x[..., ::-1])
    for number, corner in enumerate((slice(0, 6), slice(2, 8))):
        view = wide[:, :, corner, corner]
        np.testing.assert_array_equal(shifted[2 * number], view)
        np.testing.assert_array_equal(shifted[2 * number + 1], view[..., ::-1])
    means = {name: logits.mean() for name, logits in found.items()}
    assert means == {
        "single": 2,
        "mirrored": (2 + 4) / 2,
        "six": ((2 + 4) / 2 + (8 + 16 + 32 + 64) / 4) / 2,
    }


def test_two_seeds_give_two_runs_and_their_table(whole, places):
    folder, said = whole
    rows = list(csv.DictReader((folder / "results.csv").open()))
    assert [row["seed"] for row in rows] == ["0", "1"]
    for row in rows:
        path = folder / f"seed{row['seed']}"
        last = rows_of(path)[-1]
        assert float(row["single"]) == float(last[5])
        assert int(row["steps"]) == 2 * STEPS
        kept = json.loads((path / "views.json").read_text())
        assert kept["test"] == {view: float(row[view]) for view in runs.VIEWS}
        choices = read_recipe(path / "recipe.yml")
        assert choices["seed"] == int(row["seed"]) and choices["width"] == 2
        loaded = load_weights(NETWORK, path)
        assert loaded.config == SpeedrunConfig(width=2)
    mean = 100 * np.mean([float(row["six"]) for row in rows])
    (line,) = (li for li in said.splitlines() if li.startswith("mean"))
    assert f"{mean:.2f}" in line
    table = (folder / "results.md").read_text()
    assert table.splitlines()[-1].startswith("| mean | ")
    assert rows_of(folder / "seed0") != rows_of(folder / "seed1")


def test_the_six_views_are_those_of_the_saved_weights(whole, data):
    folder = whole[0] / "seed1"
    loaded = load_weights(NETWORK, folder)
    test = load_cifar10(data)
    x, labels = next(BatchLoader(*test[2:4], 20, shuffle=False).epoch(0))
    predict = inference_of(NETWORK, loaded.params, loaded.state, loaded.config)
    right = recipe.six_views(predict, x)["six"].argmax(axis=1) == labels
    kept = json.loads((folder / "views.json").read_text())
    assert kept["test"]["six"] == right.mean()


def test_inference_classifies_with_the_weights(whole, places):
    folder = whole[0] / "seed0"
    kept = json.loads((folder / "views.json").read_text())["test"]
    options = [*places, "--weights-dir", folder, "--json"]
    for view, more in (("single", []), ("mirrored", ["--tta"])):
        found = json.loads(run(inference.main, *options, *more))
        assert found["accuracy"] == kept[view]


def test_a_set_of_seeds_that_was_stopped_goes_on_to_the_same_runs(
    whole, places, tmp_path, monkeypatch
):
    options = [*places, *QUICK, "--seeds", 2, "--weights-dir", tmp_path]

    class Stops(StopFlag):
        checks = 0

        def check(self):
            self.checks += 1
            if self.checks == stop_at:
                self.signum = 15
            super().check()

    monkeypatch.setattr(train, "StopFlag", Stops)
    stop_at = 9
    said = run(train.main, *options, status=143)
    assert "--resume continues" in said and not (tmp_path / "seed1").exists()
    stop_at = 22  # while the six views of the first run are found, or later
    said = run(train.main, *options, "--resume", status=143)
    assert "steps done" in said
    monkeypatch.setattr(train, "StopFlag", StopFlag)
    said = run(train.main, *options, "--resume")
    for seed in ("seed0", "seed1"):
        assert_same_run(tmp_path / seed, whole[0] / seed)
        assert (tmp_path / seed / "views.json").read_bytes() == (
            whole[0] / seed / "views.json"
        ).read_bytes()
    said = run(train.main, *options, "--resume")
    assert said.count("nothing left to do") == 2
    run(train.main, *options, status=2)  # runs are not overwritten unasked


def test_training_stops_after_max_steps_without_a_result(places, tmp_path):
    options = [*places, *QUICK, "--max-steps", 3, "--weights-dir", tmp_path]
    assert "seed 0: stopped after --max-steps" in run(train.main, *options)
    assert not (tmp_path / "results.csv").exists()


def test_a_batch_of_more_images_than_there_are_is_refused(places, tmp_path):
    options = [*places, *QUICK, "--batch-size", 101, "--weights-dir", tmp_path]
    said = run(train.main, *options, status=2)
    assert "--batch-size" in said and "101 is more than the 100" in said


def test_training_in_bfloat16(places, tmp_path):
    pytest.importorskip("ml_dtypes")
    options = [*places, *QUICK, "--precision", "bf16", "--weights-dir", tmp_path]
    run(train.main, *options)
    params = load_weights(NETWORK, tmp_path / "seed0").params
    assert {param.dtype for param in params.values()} == {np.dtype(np.float32)}
    losses = [
        json.loads(li)["loss"] for li in (tmp_path / "seed0" / "steps.jsonl").open()
    ]
    assert len(losses) == 2 * STEPS and np.isfinite(losses).all()
