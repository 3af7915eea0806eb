"""The multiply-adds of whole networks, against counts by hand and by layer."""

import pytest

from odyssey.cli.find_example import find_example
from odyssey.multiply_adds import multiply_adds

LENET = 28**2 * 6 * 3 * 25 + 10**2 * 16 * 6 * 25 + 400 * 120 + 120 * 84 + 840
ALEXNET = (
    32**2 * 48 * 3 * 49
    + 16**2 * 128 * 48 * 25
    + 8**2 * 9 * (128 * 192 + 192 * 192 + 192 * 128)
    + 2048 * 512
    + 512 * 512
    + 5120
)
VGG = (
    32**2 * 9 * (3 * 64 + 64 * 64)
    + 16**2 * 9 * (64 * 128 + 128 * 128)
    + 8**2 * 9 * (128 * 256 + 2 * 256 * 256)
    + 4**2 * 9 * (256 * 512 + 2 * 512 * 512)
    + 2**2 * 9 * 3 * 512 * 512
    + 2 * 512 * 512
    + 5120
)


@pytest.mark.parametrize(
    "model, count",
    [("lenet5", LENET), ("alexnet", ALEXNET), ("vgg16", VGG), ("vgg16_bn", VGG)],
)
def test_counts_by_hand(model, count):
    example = find_example(model)
    network = example.network
    assert multiply_adds(network, network.models[model]) == count
    page = (example.folder / "README.md").read_text("utf-8")
    assert model == "lenet5" or f"{count:,} multiply-adds" in page.replace("\n", " ")


@pytest.mark.parametrize("model", ["resnet18", "resnet20", "resnet50"])
def test_counts_of_the_table_of_layers(model):
    network = find_example(model).network
    from resnet18_cifar10.summary import layer_table  # found by find_example

    config = network.models[model]
    rows = layer_table(config)
    assert multiply_adds(network, config) == sum(row.multiply_adds for row in rows)


def test_the_size_of_the_image():
    network = find_example("resnet18").network
    config = network.models["resnet18"]._replace(width=8)
    last = 10 * 64  # of the linear layer, which does not grow
    small, large = (
        multiply_adds(network, config, (3, side, side)) - last for side in (16, 32)
    )
    assert large == 4 * small
