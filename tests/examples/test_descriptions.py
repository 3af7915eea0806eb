"""What the examples' networks say of their layers is what their forwards compute."""

import numpy as np
import pytest
from described import NETWORKS, arrays_in, drawn
from interpreter import interpret

from odyssey.cli.copy_example import examples
from odyssey.layer_table import layer_rows


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", NETWORKS)
def test_a_description_computes_the_logits_of_the_forward(name):
    network, config, params, state, x = drawn(name, np.float64)
    logits, *_ = network.forward(params, state, x, config, training=False)
    found = interpret(network.graph(config), {**params, **state}, x)
    assert found.std() > 1e-3  # not all the same
    np.testing.assert_allclose(found, logits, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_and_statistic_is_used_once(name):
    network, config = NETWORKS[name]
    graph = network.graph(config)
    used = [t for node in graph.nodes.values() for t in node.tensors.values()]
    assert sorted(used) == sorted(
        [*network.parameter_shapes(config), *network.state_shapes(config)]
    )
    assert graph.shapes[graph.output] == (config.num_classes,)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", NETWORKS)
def test_a_table_counts_what_the_forward_keeps_for_the_backward(name):
    network, config, params, state, x = drawn(name)
    config = network.without_noise(config)
    _, _, cache = network.forward(params, state, x, config, True)
    rows = layer_rows(network.graph(config))
    kept = sum(array.nbytes for array in arrays_in(cache))
    assert len(x) * sum(row.kept for row in rows) == kept
    assert sum(row.parameters for row in rows) == sum(p.size for p in params.values())
    assert rows[0].output == (3, 32, 32) and rows[-1].output == (config.num_classes,)


def test_the_rows_of_a_table():
    network, config = NETWORKS["lenet5"]
    assert [row.name for row in layer_rows(network.graph(config))] == (
        "image conv1 conv2 fc1 fc2 fc3".split()
    )
    network, config = NETWORKS["speedrun"]
    rows = layer_rows(network.graph(config))
    assert [row.name for row in rows][:3] == ["image", "whiten", "g1_conv1 g1_bn1"]
    assert rows[2].output == (2, 31, 31) and rows[-1].name == "fc"


def test_every_named_model_describes_itself():
    described = {network.family for network, _ in NETWORKS.values()}
    assert len(described) == len(examples())
    for network, _ in NETWORKS.values():
        for config in network.models.values():
            network.graph(config)
