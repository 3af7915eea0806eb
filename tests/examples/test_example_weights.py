import json
import warnings

import numpy as np
import pytest
from model import ResNetConfig, forward, initialize
from programs import run_here
from tiny_cifar import write_tiny_cifar
from weights import estimate_running_statistics, load_weights, save_weights

from odyssey.weights.folder import save_folder
from odyssey.weights.hexfile import WeightsError, save_tensor

CONFIG = ResNetConfig(width=4)


def original_folder(directory, config=None):
    """Write a folder in the form of the original project; return its parameters."""
    params, _ = initialize(config or CONFIG._replace(conv_bias=True), 1)
    directory.mkdir()
    for name, tensor in params.items():
        save_tensor(tensor, directory / f"{name}.weights", name)
    return params


@pytest.mark.parametrize("conv_bias", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_round_trip(tmp_path, conv_bias, dtype):
    config = ResNetConfig(width=4, conv_bias=conv_bias)
    params, state = initialize(config, 0, dtype)
    save_weights(params, state, config, tmp_path, {"dataset": "cifar10"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load_weights(tmp_path)
    assert loaded.config == config
    assert loaded.has_statistics
    assert loaded.metadata["dataset"] == "cifar10"
    for saved, read in ((params, loaded.params), (state, loaded.state)):
        assert list(read) == list(saved)
        for name in saved:
            assert read[name].dtype == dtype
            np.testing.assert_array_equal(read[name], saved[name])


def test_original_folder_loads_with_its_biases_and_a_warning(tmp_path):
    params = original_folder(tmp_path / "original")
    assert len(params) == 82
    with pytest.warns(UserWarning) as caught:
        loaded = load_weights(tmp_path / "original")
    messages = [str(warning.message) for warning in caught]
    assert any("no running statistics" in message for message in messages)
    assert loaded.config == CONFIG._replace(conv_bias=True)
    assert not loaded.has_statistics
    assert len(loaded.state) == 40
    assert (loaded.state["bn1_running_mean"] == 0).all()
    assert (loaded.state["s4b2_bn2_running_var"] == 1).all()
    for name in params:
        np.testing.assert_array_equal(loaded.params[name], params[name])


def test_statistics_come_back_from_training_images(tmp_path):
    params, state = initialize(CONFIG, 2)
    rng = np.random.default_rng(3)
    batches = [rng.standard_normal((n, 3, 32, 32)).astype("f4") for n in (8, 8)]
    estimated = estimate_running_statistics(params, CONFIG, batches)
    # The definition: each batch's own statistics, which training moves a tenth towards.
    for name in ("bn1_running_mean", "s3b1_proj_bn_running_var"):
        own = []
        for x in batches:
            _, new, _ = forward(params, state, x, CONFIG, training=True)
            own.append((new[name].astype("f8") - 0.9 * state[name]) / 0.1)
        assert estimated[name].dtype == np.float32
        np.testing.assert_allclose(
            estimated[name], np.mean(own, 0), rtol=1e-4, atol=1e-6
        )
    with pytest.raises(ValueError, match="batches"):
        estimate_running_statistics(params, CONFIG, [])


def test_inference_recalibrates_an_original_folder(tmp_path):
    original_folder(tmp_path / "original")
    write_tiny_cifar(tmp_path / "data")
    places = ["--weights-dir", tmp_path / "original", "--data-dir", tmp_path / "data"]
    plain = run_here("inference", *places)
    assert plain.exit_code == 0, plain.output
    assert "Warning: " in plain.output and "--recalibrate" in plain.output
    again = run_here("inference", *places, "--recalibrate")
    assert again.exit_code == 0
    assert again.output.split("loss")[1] != plain.output.split("loss")[1]


def test_every_missing_and_unexpected_tensor_is_named_at_once(tmp_path):
    params = original_folder(tmp_path / "original")
    gone = ["s1b1_conv1_kernel", "s2b1_proj_bias", "fc_bias"]
    for name in gone:
        (tmp_path / "original" / f"{name}.weights").unlink()
    save_tensor(params["fc_bias"], tmp_path / "original" / "stray.weights", "stray")
    save_tensor(
        params["fc_weights"].T,
        tmp_path / "original" / "fc_weights.weights",
        "fc_weights",
    )
    with pytest.warns(UserWarning), pytest.raises(WeightsError) as error:
        load_weights(tmp_path / "original")
    for name in [*gone, "stray", "fc_weights has shape"]:
        assert name in str(error.value)


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda t: t.pop("bn1_running_var"), "missing: bn1_running_var"),
        (lambda t: t.update(x=np.zeros(2, "f4")), "unexpected: x"),
        (lambda t: t.update(fc_bias=np.zeros(11, "f4")), r"fc_bias has shape \(11,\)"),
        (lambda t: t.update(fc_bias=np.zeros(10, "f8")), "dtype float32, float64"),
        (lambda t: t.update({n: t[n].astype("f2") for n in t}), "dtype float16"),
    ],
)
def test_a_set_that_is_not_the_models_is_refused(tmp_path, damage, message):
    params, state = initialize(CONFIG, 0)
    tensors = {**params, **state}
    damage(tensors)
    metadata = {"model": "resnet18", "width": 4, "num_classes": 10, "conv_bias": False}
    save_folder(tensors, tmp_path, metadata=metadata)
    with pytest.raises(WeightsError, match=message):
        load_weights(tmp_path)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"model": "lenet5"}, "lenet5"),
        ({"width": "4"}, "bad width"),
        ({"width": -4}, "bad width"),
        ({"conv_bias": 1}, "bad conv_bias"),
        ({"width": 8}, "has shape"),
    ],
)
def test_a_manifest_that_lies_is_refused(tmp_path, change, message):
    save_weights(*initialize(CONFIG, 0), CONFIG, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, **change}))
    with pytest.raises(WeightsError, match=message):
        load_weights(tmp_path)


def test_no_such_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_weights(tmp_path / "nowhere")
