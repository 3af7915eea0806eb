"""ONNX Runtime's and OpenVINO's logits beside the forward's, where they are installed.

    pip install onnxruntime openvino

OpenVINO is held to float32: left to itself it computes in bfloat16 on processors with
AMX, and logits are off by 1e-2.
"""

import functools
import shlex
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from described import NETWORKS, drawn

from odyssey.cli.find_example import find_example
from odyssey.cli.main import main
from odyssey.data.augment import normalize_batch
from odyssey.formats.onnx import Normalisation, evaluated_tensors, onnx_model
from odyssey.weights.model import estimate_running_statistics, save_weights

#: Networks of their full size, beside the small ones of every kind.
WHOLE = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet20",
    "lenet5",
    "alexnet",
    "vgg16",
    "vgg16_bn",
    "speedrun",
)


def onnxruntime(data):
    package = pytest.importorskip("onnxruntime")
    session = package.InferenceSession(data, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["logits"], {"images": images})[0]


def openvino(data):
    package = pytest.importorskip("openvino")
    core = package.Core()
    compiled = core.compile_model(
        core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    return lambda images: compiled([images])[0]


RUNTIMES = {"onnxruntime": onnxruntime, "openvino": openvino}


@functools.cache
def computed(name):
    """Return a network with its options and tensors, images, and their logits."""
    whole = name.startswith("whole ")
    if whole:
        model = name.removeprefix("whole ")
        network = find_example(model).network
        NETWORKS[name] = network, network.models[model]
    network, config, params, state, x = drawn(name, images=32 if whole else 3)
    if whole:  # of a fresh network, whose activations do not grow from block to block
        params, _ = network.initialize(config, 3)
        state = estimate_running_statistics(network, params, config, [x])
        x = x[:3]
    logits, *_ = network.forward(params, state, x, config, training=False)
    return network, config, params, state, x, logits


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("name", [*NETWORKS, *(f"whole {n}" for n in WHOLE)])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_logits_are_those_of_the_forward(runtime, name, fold):
    pytest.importorskip(runtime)
    network, config, params, state, x, logits = computed(name)
    tensors = evaluated_tensors(network, params, state, config, fold=fold)
    run = RUNTIMES[runtime](onnx_model(network.graph(config), tensors, name=name))
    for images in (x, x[:1]):  # the number of images is free
        found = run(np.ascontiguousarray(images))
        error = np.abs(found - logits[: len(images)]).max()
        assert error <= 1e-4


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_pictures_are_normalised_by_the_model(runtime):
    pytest.importorskip(runtime)
    network, config, params, state, *_ = computed("whole resnet20")
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
    tensors = evaluated_tensors(network, params, state, config, fold=True)
    data = onnx_model(
        network.graph(config), tensors, name="x", pictures=Normalisation(mean, std)
    )
    rng = np.random.default_rng(1)
    pictures = rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    x = np.empty((2, 3, 32, 32), np.float32)
    normalize_batch(pictures.transpose(0, 3, 1, 2), x, mean, std)
    logits, *_ = network.forward(params, state, x, config, training=False)
    found = RUNTIMES[runtime](data)(pictures)
    np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("more", [[], ["--uint8-input", "--batch-size", "2"]])
def test_the_command_that_comes_next(more, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    network, config, params, state, _ = drawn("lenet5")
    save_weights(network, params, state, config, "run")
    words = ["export", "--weights-dir", "run", "--to", "it's.onnx", *more]
    said = CliRunner().invoke(main, words).output.splitlines()
    python, *command = shlex.split(said[-1])
    assert python == "python"
    printed = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    rows = 2 if more else 1
    assert printed.stdout.count("[[") == 1 and printed.stdout.count("[") == rows + 2


def test_the_metadata_is_found():
    package = pytest.importorskip("onnxruntime")
    network, config, params, state, *_ = computed("whole resnet20")
    tensors = evaluated_tensors(network, params, state, config, fold=True)
    given = {"classes": '["ä", "b"]', "recipe": "lr: 0.1\n"}
    data = onnx_model(network.graph(config), tensors, name="x", metadata=given)
    session = package.InferenceSession(data, providers=["CPUExecutionProvider"])
    found = session.get_modelmeta()
    assert found.custom_metadata_map == given and found.producer_name == "odyssey"
