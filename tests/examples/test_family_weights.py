"""Weights of all networks: saved, recognised, trained and used by the programs."""

import json
import signal
import warnings

import numpy as np
import pytest
from family import KINDS
from programs import (
    STEPS,
    assert_same_run,
    change_manifest,
    run_apart,
    run_here,
    run_signalled,
)
from resnet18_cifar10.architecture import MODELS, ResNetConfig, initialize, model_name
from resnet18_cifar10.recognition import config_from_shapes
from resnet18_cifar10.weights import (
    estimate_running_statistics,
    load_weights,
    save_weights,
)
from tiny_cifar import write_tiny_cifar

from odyssey.training.step import noise_generator
from odyssey.weights.hexfile import WeightsError

FAMILY = {
    f"{name}{' v2' if v2 else ''} {shortcut}": model._replace(
        width=2, pre_activation=v2, shortcut=shortcut, num_classes=7
    )
    for name, model in MODELS.items()
    for v2 in (False, True)
    for shortcut in "AB"
}
FAMILY["resnet50 imagenet"] = FAMILY["resnet50 B"]._replace(stem="imagenet")


def shapes_of(config, statistics=True):
    params, state = initialize(config, 0)
    tensors = {**params, **(state if statistics else {})}
    return {name: tensor.shape for name, tensor in tensors.items()}


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
def test_round_trip(tmp_path, config):
    config = config._replace(dropout=0.25, zero_gamma=True)
    params, state = initialize(config, 0)
    save_weights(params, state, config, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load_weights(tmp_path)
    assert loaded.config == config
    for saved, read in ((params, loaded.params), (state, loaded.state)):
        assert list(read) == list(saved)
        for name in saved:
            np.testing.assert_array_equal(read[name], saved[name])


@pytest.mark.parametrize("name", FAMILY)
def test_shapes_tell_which_network_it_is(name):
    config = FAMILY[name]
    shapes = shapes_of(config)
    assert config_from_shapes(shapes) == config
    assert model_name(config) == name.split()[0]
    # nor do some that are missing make it another one
    last = f"s{len(config.blocks)}b{config.blocks[-1]}_"
    cut = {n: s for n, s in shapes.items() if not n.startswith(last) and n != "fc_bias"}
    assert config_from_shapes(cut) == config._replace(shortcut=config.shortcut)


def test_what_is_no_network_is_held_against_resnet18():
    for shapes in ({}, {"conv9_kernel": (3,)}, {"s2b1_conv1_kernel": ()}):
        assert config_from_shapes(shapes)._replace(normalize=True) == ResNetConfig()


def test_without_norms_and_manifest_nobody_can_tell(tmp_path):
    config = KINDS["no norm"]
    save_weights(*initialize(config, 0), config, tmp_path)
    (tmp_path / "manifest.json").unlink()
    with pytest.warns(UserWarning), pytest.raises(WeightsError) as error:
        load_weights(tmp_path)
    assert "resnet without a manifest: without batch norm" in str(error.value)
    assert "pre-activation" in str(error.value)


def test_what_was_found_is_named(tmp_path):
    config = FAMILY["resnet34 B"]
    save_weights(*initialize(config, 0), config, tmp_path)
    (tmp_path / "manifest.json").unlink()
    for name in ("s3b6_conv1_kernel", "s3b6_bn2_beta"):
        (tmp_path / f"{name}.weights").unlink()
    with pytest.warns(UserWarning), pytest.raises(WeightsError) as error:
        load_weights(tmp_path)
    message = (
        "not resnet34's tensors: 2 tensors missing: s3b6_conv1_kernel, s3b6_bn2_be"
    )
    assert message in str(error.value)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"model": "resnet19"}, "'resnet19', not of resnet18, resnet34"),
        ({"shortcut": "C"}, "bad options in the manifest: shortcut must be"),
        ({"stem": "large"}, "manifest: stem must be one of cifar, imagenet"),
        ({"drop_path": 1.0}, r"manifest: drop_path must be in \[0, 1\)"),
        ({"dropout": True}, "bad dropout"),
        ({"normalize": 1}, "bad normalize"),
        ({"bottleneck": True}, "missing: s1b1_conv3_kernel"),
        ({"pre_activation": True}, "missing: final_bn_gamma"),
    ],
)
def test_a_manifest_that_lies_is_refused(tmp_path, change, message):
    config = ResNetConfig(width=2)
    save_weights(*initialize(config, 0), config, tmp_path)
    change_manifest(tmp_path, **change)
    with pytest.raises(WeightsError, match=message):
        load_weights(tmp_path)


def test_statistics_are_estimated_without_noise():
    config = KINDS["drop path"]._replace(dropout=0.5)
    params, _ = initialize(config, 2)
    batches = [np.random.default_rng(3).standard_normal((8, 3, 8, 8)).astype("f4")]
    noisy = estimate_running_statistics(params, config, batches)
    plain = estimate_running_statistics(params, KINDS["basic"], batches)
    for name in plain:
        np.testing.assert_array_equal(noisy[name], plain[name])


def test_noise_is_a_function_of_seed_and_step():
    draws = [
        noise_generator(*at).random(3).tolist() for at in ((5, 9), (5, 10), (6, 9))
    ]
    assert draws[0] == noise_generator(5, 9).random(3).tolist()
    assert len({draw[0] for draw in draws}) == 3
    assert noise_generator(2**63 - 1, 0).random() >= 0


TINY = ["--model", "resnet20", "--width", 2, "--batch-size", 16, "--epochs", 1]
TINY += ["--lr", 0.05, "--threads", 1]
NOISY = ["--drop-path", 0.5, "--dropout", 0.25, "--pre-activation"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_tiny_cifar(root)
    return ["--data-dir", root]


@pytest.mark.parametrize(
    "options",
    [[], NOISY, ["--no-normalize"], ["--shortcut", "B", "--zero-gamma"]],
    ids=["plain", "noisy", "no norm", "B"],
)
def test_programs_train_and_classify(tmp_path, data, options):
    place = ["--weights-dir", tmp_path / "run"]
    result = run_here("train", *TINY, *data, *place, *options)
    assert result.exit_code == 0, result.output
    assert "resnet20 of width 2" in result.output
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert (manifest["model"], manifest["blocks"]) == ("resnet20", [3, 3, 3])
    used = run_here("inference", *data, *place, "--json")
    assert used.exit_code == 0, used.output
    last = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    row = dict(zip(last[0].split(","), last[-1].split(","), strict=True))
    assert json.loads(used.output)["accuracy"] == float(row["test_accuracy"])
    # resuming needs the same model
    other = run_here(
        "train", *TINY, *data, *place, *options, "--resume", "--dropout", 0.1
    )
    assert other.exit_code == 2 and "--dropout was" in other.output


def test_a_killed_run_with_noise_ends_in_the_same_bits(tmp_path, data):
    options = [*TINY, *data, *NOISY]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    result = run_apart("train", *options, "--weights-dir", whole)
    assert result.returncode == 0, result.stderr
    options += ["--weights-dir", killed]
    result = run_signalled(signal.SIGTERM, "step", STEPS // 2, *options)
    assert result.returncode == 143, result.stderr
    result = run_apart("train", *options, "--resume")
    assert result.returncode == 0, result.stderr
    assert_same_run(whole, killed)


def test_width_is_the_models_own_unless_given(tmp_path, data):
    options = ["--max-steps", 1, "--batch-size", 4, "--limit-train", 4]
    options += ["--limit-test", 4, *data, "--weights-dir", tmp_path / "run"]
    result = run_here("train", "--model", "resnet20", *options)
    assert "resnet20 of width 16, 269,722 parameters" in result.output
