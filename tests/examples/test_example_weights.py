import warnings

import ml_dtypes
import numpy as np
import pytest
from programs import change_manifest, run_here
from resnet18_cifar10.architecture import ResNetConfig, initialize
from resnet18_cifar10.model import forward
from resnet18_cifar10.weights import (
    estimate_running_statistics,
    load_weights,
    save_weights,
)
from tiny_cifar import write_tiny_cifar

from odyssey.weights.folder import save_folder
from odyssey.weights.hexfile import WeightsError, load_tensor, save_tensor

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
    "missing",
    [
        ["conv1_bias"],
        ["conv1_kernel"],
        ["fc_weights"],
        ["s3b1_proj_bias", "fc_bias"],
        [f"s1b1_{n}" for n in ("conv1_kernel", "conv1_bias", "bn1_gamma", "bn1_beta")],
    ],
)
@pytest.mark.parametrize("stray", ["", "s4b3_conv1_kernel", "old_bias"])
def test_what_is_missing_does_not_mislead(tmp_path, missing, stray):
    """No manifest, no tensor that must be there: still just what is wrong is said."""
    directory = tmp_path / "original"
    original_folder(directory)
    for name in missing:
        (directory / f"{name}.weights").unlink()
    problems = [f"{len(missing)} tensors missing: {', '.join(missing)}"]
    if stray:
        save_tensor(np.zeros(3, "f4"), directory / f"{stray}.weights", stray)
        problems.append(f"1 tensors unexpected: {stray}")
    with pytest.warns(UserWarning), pytest.raises(WeightsError) as error:
        load_weights(directory)
    assert str(error.value).endswith("'s tensors: " + "; ".join(problems))


def test_a_copy_that_stopped_half_way_is_no_smaller_model(tmp_path):
    original_folder(tmp_path / "original")
    last = sorted((tmp_path / "original").glob("s4*"))
    for path in last:
        path.unlink()
    with pytest.warns(UserWarning), pytest.raises(WeightsError) as error:
        load_weights(tmp_path / "original")
    assert "unexpected" not in str(error.value)
    assert f"{len(last)} tensors missing: " in str(error.value)


def test_tensor_of_another_dtype_is_named_without_a_manifest_too(tmp_path):
    original_folder(tmp_path / "original")
    path = tmp_path / "original" / "s1b1_conv1_kernel.weights"
    save_tensor(load_tensor(path).astype("f8"), path, path.stem)
    with pytest.warns(UserWarning), pytest.raises(WeightsError) as error:
        load_weights(path.parent)
    assert str(error.value) == (
        f"{path.parent}: not resnet18's tensors: s1b1_conv1_kernel is float64, "
        "all others float32"
    )


def test_a_loaded_model_is_shown_in_a_line(tmp_path):
    save_weights(*initialize(CONFIG, 0), CONFIG, tmp_path / "new")
    loaded = load_weights(tmp_path / "new")
    numbers = sum(param.size for param in loaded.params.values())
    text = f"LoadedWeights(resnet18 of width 4, 62 tensors, {numbers:,} numbers"
    assert repr(loaded) == f"{text})"
    loaded = loaded._replace(has_statistics=False)
    assert repr(loaded) == f"{text}, no running statistics)"


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda t: t.pop("bn1_running_var"), "missing: bn1_running_var"),
        (lambda t: t.update(x=np.zeros(2, "f4")), "unexpected: x"),
        (lambda t: t.update(fc_bias=np.zeros(11, "f4")), r"fc_bias has shape \(11,\)"),
        (
            lambda t: t.update(fc_bias=np.zeros(10, "f8")),
            "tensors: fc_bias is float64, all others float32$",
        ),
        (
            lambda t: t.update({n: t[n].astype("f2") for n in t}),
            "tensors: dtype float16, not float32 or float64$",
        ),
        (
            lambda t: t.update({n: t[n].astype(ml_dtypes.bfloat16) for n in t}),
            "tensors: dtype bfloat16, not float32 or float64$",
        ),
        (lambda t: t["bn1_running_var"].fill(-1), "bn1_running_var holds a negative"),
    ],
)
def test_a_set_that_is_not_the_models_is_refused(tmp_path, damage, message):
    params, state = initialize(CONFIG, 0)
    tensors = {**params, **state}
    damage(tensors)
    metadata = {"model": "resnet18", "width": 4, "num_classes": 10, "conv_bias": False}
    save_folder(tensors, tmp_path / "damaged", metadata=metadata)
    with pytest.raises(WeightsError, match=message):
        load_weights(tmp_path / "damaged")
    good = initialize(CONFIG, 1)
    save_weights(*good, CONFIG, tmp_path / "good")
    with pytest.raises(WeightsError, match=message):
        save_weights(tensors, {}, CONFIG, tmp_path / "good")
    for name, tensor in load_weights(tmp_path / "good").params.items():
        np.testing.assert_array_equal(tensor, good[0][name])


def test_saving_says_all_that_is_wrong_at_once(tmp_path):
    params, state = initialize(CONFIG, 0)
    del params["fc_bias"]
    params.update(x=np.zeros(2, "f4"), bn1_beta=np.zeros(5, "f8"))
    with pytest.raises(WeightsError) as error:
        save_weights(params, state, CONFIG, tmp_path / "new")
    for part in ("missing: fc_bias", "unexpected: x", "bn1_beta has shape", "float64"):
        assert part in str(error.value)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "blocks", [(2, 2, 2, 6), (1, 1, 1, 1), (1, 2), (2, 3, 2, 2, 1)]
)
def test_other_stages(tmp_path, blocks):
    config = ResNetConfig(width=2, blocks=blocks)
    save_weights(*initialize(config, 0), config, tmp_path)
    assert load_weights(tmp_path).config == config


def test_a_manifest_from_before_blocks_stood_in_it(tmp_path):
    config = ResNetConfig(width=2, blocks=(2, 2, 2, 3))
    save_weights(*initialize(config, 0), config, tmp_path)
    change_manifest(tmp_path, "blocks")
    assert load_weights(tmp_path).config == config


@pytest.mark.parametrize(
    "change, message",
    [
        ({"model": "lenet5"}, "lenet5"),
        ({"width": "4"}, "bad width"),
        ({"width": -4}, "bad options in the manifest: width must be 1 to "),
        ({"width": 0, "num_classes": 10**4000}, "width must .*; num_classes must "),
        ({"conv_bias": 1}, "bad conv_bias"),
        ({"blocks": [2, 2, 2, 10**9]}, "blocks must be 1 to 1000 in all"),
        ({"blocks": []}, "blocks must be 1 to "),
        ({"blocks": 2}, "bad blocks"),
        ({"blocks": [2, 2, 2, 3]}, "missing: s4b3_conv1_kernel"),
        ({"width": 8}, "has shape"),
    ],
)
def test_a_manifest_that_lies_is_refused(tmp_path, change, message):
    save_weights(*initialize(CONFIG, 0), CONFIG, tmp_path)
    change_manifest(tmp_path, **change)
    with pytest.raises(WeightsError, match=message):
        load_weights(tmp_path)


def test_no_such_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_weights(tmp_path / "nowhere")
