"""summary.py: its figures are those of the model itself."""

import numpy as np
import pytest
from described import arrays_in
from family import KINDS
from programs import run_apart, run_here
from resnet18_cifar10.architecture import MODELS, initialize
from resnet18_cifar10.example import NETWORK
from resnet18_cifar10.summary import layer_table

from odyssey.precision import PRECISIONS, in_precision


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_activations_and_parameters_are_those_of_the_model(kind, precision):
    config = KINDS[kind]._replace(dropout=0.5)
    params, state = initialize(config, 0)
    x = np.ones((3, 9, 9, 3), np.float32).transpose(0, 3, 1, 2)
    rng = np.random.default_rng(0)
    network = in_precision(NETWORK, precision)
    _, _, cache = network.forward(params, state, x, config, rng=rng)
    rows = layer_table(config, side=9, precision=precision)
    kept = sum(array.nbytes for array in arrays_in(cache))
    assert 3 * sum(row.kept for row in rows) == kept
    assert sum(row.parameters for row in rows) == sum(p.size for p in params.values())
    assert rows[-2].output == (cache.features.shape[1],)


@pytest.mark.parametrize(
    "name, products",
    [
        # 0.56 G, 1.16 G, 1.30 G: kuangliu/pytorch-cifar's counts for a 3x3 stem
        ("resnet18", 555_422_720),
        ("resnet34", 1_159_402_496),
        ("resnet50", 1_297_829_888),
        # the paper's for section 4.2 by hand: stem, 7 * 2 convolutions less the halves
        ("resnet20", 442_368 + 2_359_296 * 18 - 2 * 1_179_648 + 640),
    ],
)
def test_multiply_adds(name, products):
    assert sum(row.multiply_adds for row in layer_table(MODELS[name])) == products


@pytest.mark.parametrize(
    "name, parameters, products",
    [  # torchvision's documentation: 11,689,512 and 1.81 G, 25,557,032 and 4.09 G
        ("resnet18", 11_689_512, 1_814_073_344),
        ("resnet50", 25_557_032, 4_089_184_256),
    ],
)
def test_the_networks_for_imagenet_have_their_published_sizes(
    name, parameters, products
):
    config = MODELS[name]._replace(stem="imagenet", num_classes=1000)
    rows = layer_table(config, side=224)
    assert sum(row.parameters for row in rows) == parameters
    assert sum(row.multiply_adds for row in rows) == products
    assert rows[2] == ("maxpool", (64, 56, 56), 0, 0, 4 * 64 * 56 * 56)


def test_the_program_prints_it():
    result = run_here("summary", "--model", "resnet20", "--shortcut", "B")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith("resnet20 of width 16, post-activation, shortcut B")
    assert lines[0].endswith("cifar stem")
    (row,) = (line for line in lines if line.startswith("s2b1_proj"))
    assert row.split()[:7] == [*"s2b1_proj s2b1_proj_bn 32 x 16 x 16".split()]
    assert row.split()[7:] == ["576", "131,072", "32.0"]
    assert any(line.split()[:2] == ["total", "272,474"] for line in lines)
    half = run_here("summary", "--model", "resnet20", "--precision", "bf16")
    assert "s2b1_conv1 s2b1_bn1" in half.output
    (total,) = (row for row in half.output.splitlines() if row.startswith("total"))
    (whole,) = (row for row in lines if row.startswith("total"))
    assert float(total.split()[-1]) < float(whole.split()[-1].replace(",", "")) / 1.9
    assert run_here("summary", "--model", "resnet19").exit_code == 2
    assert run_here("summary", "--drop-path", "1").exit_code == 2
    apart = run_apart("summary", "--num-classes", 100)
    assert apart.returncode == 0 and "11,220,132" in apart.stdout
