"""``odyssey memory`` counts the arrays of a real step; the errors of the command."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from odyssey import footprint as module
from odyssey import memory
from odyssey.cli.find_example import find_example
from odyssey.cli.main import main
from odyssey.footprint import footprint
from odyssey.threads import called_as

NETWORK = find_example("resnet18").network
CONFIG = NETWORK.models["resnet18"]._replace(width=8, blocks=(1, 1))
DEEP = CONFIG._replace(blocks=(6, 1))


def command(*words, status=0):
    result = CliRunner().invoke(main, ["memory", *words])
    assert result.exit_code == status, result.output
    return result.output


def counted(config, recompute, kernels=None):
    """Return what a step occupies, with kernels that compute or that do nothing."""
    params, state = NETWORK.initialize(config, 0)
    x = np.zeros((96, 3, 32, 32), np.float32)
    with memory.watching() as watch, np.errstate(all="ignore"):
        if kernels is None:
            module._step(NETWORK, config, params, state, x, watch, recompute)
        else:
            with called_as(kernels):
                module._step(NETWORK, config, params, state, x, watch, recompute)
    return watch.peak, sorted(length for _, length, _ in watch.most.values())


@pytest.mark.parametrize("recompute", [False, True])
def test_a_step_that_computes_nothing_makes_the_same_arrays(recompute):
    nothing = counted(CONFIG, recompute, module.Nothing)
    assert nothing == counted(CONFIG, recompute)


def test_recomputing_keeps_less():
    assert counted(DEEP, True)[0] < 0.6 * counted(DEEP, False)[0]


def test_the_parts():
    found = footprint(NETWORK, CONFIG, 96)
    shapes = NETWORK.parameter_shapes(CONFIG).values()
    size = 4 * sum(int(np.prod(shape)) for shape in shapes)
    assert found.momentum == size
    assert found.images == 96 * 3 * 32 * 32 * 4
    assert found.total == sum(found)
    unit = 96 * 8 * 32 * 32 * 4  # an activation of the first stage
    # conv1's output, s1b1's input and two outputs, s2b1's input; those of s2b1 are half
    assert 5 * unit <= found.activations <= 7 * unit
    assert found.workspaces + found.temporaries + found.gaps <= 4 * unit
    assert 50 * 2**20 < found.program < 2000 * 2**20


def test_options_of_the_model_are_taken():
    small, large = (
        json.loads(
            command("resnet20", "--width", width, "--batch-size", "64", "--json")
        )
        for width in ("4", "16")
    )
    assert 15 < large["momentum"] / small["momentum"] < 16.5  # the last layer has 4
    assert small["activations"] < large["activations"]
    lines = command("lenet5", "--batch-size", "4", "--num-classes", "20").splitlines()
    assert lines[0].startswith("Python, Numba and compiled kernels")
    assert lines[-3].startswith("peak of a training step") and lines[-2] == "next:"
    assert lines[-1].endswith(
        "lenet5_cifar10/train.py --model lenet5 --num-classes 20 --batch-size 4"
    )


@pytest.mark.parametrize("model, kept", [("alexnet", 4), ("vgg16_bn", 8)])
def test_the_other_examples_are_known(model, kept):
    words = [model, "--width", "4", "--batch-size", "64", "--json"]
    found = json.loads(command(*words))
    network = find_example(model).network
    shapes = network.parameter_shapes(network.models[model]._replace(width=4))
    assert found["momentum"] == 4 * sum(int(np.prod(s)) for s in shapes.values())
    # at least conv1's output, or those of the first block's convolutions
    assert found["images"] == 64 * 3 * 32 * 32 * 4
    assert found["activations"] >= 64 * kept * 32 * 32 * 4


@pytest.mark.parametrize(
    "words, message",
    [
        (["resnet19"], "'resnet19' is not one of alexnet, lenet5, resnet18,"),
        (["lenet5", "--width", "3"], "No such option: --width"),
        (["lenet5", "--recompute"], "lenet5 has no blocks that could be run again."),
        (["resnet18", "--batch-size", "0"], "0 is not in the range x>=1"),
        (["resnet18", "--width", "x"], "'x' is not a"),
        ([], "Missing argument 'MODEL'"),
    ],
)
def test_errors(words, message):
    assert message in command(*words, status=2)
