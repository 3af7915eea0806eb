"""inference.py with weights that it refuses, or that need an option."""

import json
import os

import numpy as np
import pytest
from programs import change_manifest, run_here
from resnet18_cifar10.architecture import ResNetConfig, initialize
from resnet18_cifar10.weights import save_weights

from odyssey.weights.folder import load_folder, save_folder

CONFIG = ResNetConfig(width=4)


@pytest.fixture
def weights(tmp_path):
    save_weights(*initialize(CONFIG, 0), CONFIG, tmp_path / "weights")
    return tmp_path / "weights"


@pytest.fixture
def infer(data, weights):
    def infer(*more, weights_dir=weights, status=0):
        places = ["--data-dir", data, "--weights-dir", weights_dir, "--threads", 1]
        result = run_here("inference", *places, *more)
        assert result.exit_code == status, result.output
        return result.output

    return infer


@pytest.fixture
def picture(tmp_path):
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (32, 32), "red").save(tmp_path / "red.png")
    return tmp_path / "red.png"


def no_manifest(directory):
    (directory / "manifest.json").unlink()


def manifest_is_a_folder(directory):
    no_manifest(directory)
    (directory / "manifest.json").mkdir()


def link_to_itself(directory):
    (directory / "fc_bias.weights").unlink()
    os.symlink("fc_bias.weights", directory / "fc_bias.weights")


def link_to_itself_unlisted(directory):
    no_manifest(directory)
    link_to_itself(directory)


def link_to_nothing_unlisted(directory):
    no_manifest(directory)
    (directory / "fc_bias.weights").unlink()
    os.symlink("nowhere", directory / "fc_bias.weights")


def negative_variance(directory):
    tensors = {n: t.copy() for n, t in load_folder(directory).tensors.items()}
    tensors["bn1_running_var"][1] = -1e-3
    save_folder(tensors, directory, metadata={})
    no_manifest(directory)


@pytest.mark.parametrize(
    "damage, named",
    [
        (lambda d: (d / "fc_bias.weights").unlink(), "fc_bias"),
        (manifest_is_a_folder, "manifest.json"),
        (link_to_itself, "fc_bias.weights"),
        (link_to_itself_unlisted, "fc_bias.weights"),
        (link_to_nothing_unlisted, "fc_bias.weights"),
        (negative_variance, "bn1_running_var"),
    ],
)
def test_what_cannot_be_used_is_named(infer, weights, damage, named):
    damage(weights)
    last_line = infer(status=2).splitlines()[-1]
    assert last_line.startswith(f"Error: {weights}") and named in last_line


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_weights_that_are_a_pipe(infer, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    output = infer(weights_dir=tmp_path / "pipe", status=2)
    assert output == f"Error: {tmp_path}/pipe: not a regular file\n"


def test_weights_that_are_a_file(infer, weights):
    file = weights / "fc_bias.weights"
    said = infer(weights_dir=file, status=2)
    assert f"{file}: one tensor of the weights in {weights}\n" in said
    assert f"Error: {file / 'x'}: no such" in infer(weights_dir=file / "x", status=2)


def test_weights_behind_a_link_that_leads_nowhere(infer, tmp_path):
    link = tmp_path / "link"
    link.symlink_to("unplugged")
    output = infer(weights_dir=link, status=2)
    assert output == f"Error: {link}: a link to unplugged, which does not exist\n"


@pytest.mark.parametrize("classes", [None, 10, "airplane", [1] * 10, ["\n"] * 10])
def test_classes_that_are_no_names(infer, weights, picture, classes):
    change_manifest(weights, classes=classes)
    output = infer("--images", picture, status=2)
    assert f"Error: {weights}: bad classes" in output


def test_probabilities_that_are_not_numbers(infer, weights, picture):
    params, state = initialize(CONFIG, 0)
    params["fc_bias"][:] = np.nan
    save_weights(params, state, CONFIG, weights)
    output = infer("--images", picture, "--allow-nonfinite")
    assert output.splitlines()[-1].startswith(f"{picture}: airplane nan, ")
    output = infer("--images", picture, "--allow-nonfinite", "--json")
    top = json.loads(output.splitlines()[-1])["predictions"][0]["top"]
    assert [t["probability"] for t in top] == [None] * 3


def test_weights_that_are_not_finite_are_refused_by_name(infer, weights, tmp_path):
    tensors, manifest = load_folder(weights)
    tensors["s2b1_proj_kernel"] = tensors["s2b1_proj_kernel"].copy()
    tensors["s2b1_proj_kernel"][0] = np.nan
    model = {"model": "resnet18", "width": manifest["width"]}
    save_folder(tensors, tmp_path / "nan", metadata=model)
    output = infer(weights_dir=tmp_path / "nan", status=2)
    assert "s2b1_proj_kernel" in output and "--allow-nonfinite" in output
    output = infer("--allow-nonfinite", "--json", weights_dir=tmp_path / "nan")
    assert json.loads(output)["loss"] is None
