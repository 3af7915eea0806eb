"""The graph of a network: its edges, and what a wrong description is told."""

import numpy as np
import pytest
from interpreter import OPERATIONS, interpret

from odyssey.graph import IMAGES, Graph, Node

PARAMETERS = {
    "conv1_kernel": (4, 3, 3, 3),
    "conv1_bias": (4,),
    "bn1_gamma": (4,),
    "bn1_beta": (4,),
    "fc_weights": (5, 4),
}
STATE = {"bn1_running_mean": (4,), "bn1_running_var": (4,)}


def graph():
    return Graph(PARAMETERS, STATE, (3, 9, 8))


def described():
    g = graph()
    h = g.conv_norm(IMAGES, "conv1", "bn1", 2)
    return g.finish(g.linear(g.flatten(g.global_avgpool2d(h)), "fc"))


def test_nodes_and_shapes():
    g = described()
    assert list(g.nodes) == [
        "conv1",
        "bn1",
        "bn1_relu",
        "bn1_relu_global_avgpool2d",
        "bn1_relu_global_avgpool2d_flatten",
        "fc",
    ]
    assert g.output == "fc"
    assert g.nodes["conv1"] == Node(
        "conv1",
        "conv2d",
        (IMAGES,),
        (4, 5, 4),
        {"kernel": "conv1_kernel", "bias": "conv1_bias"},
        {"stride": 2, "padding": 1},
        True,
    )
    assert g.nodes["bn1"].tensors == {
        "beta": "bn1_beta",
        "running_mean": "bn1_running_mean",
        "running_var": "bn1_running_var",
        "gamma": "bn1_gamma",
    }
    assert g.nodes["bn1_relu"].inputs == ("bn1",) and not g.nodes["bn1_relu"].is_named
    assert g.multiply_adds(g.nodes["conv1"]) == 4 * 5 * 4 * 3 * 9
    assert g.multiply_adds(g.nodes["fc"]) == 20
    assert g.multiply_adds(g.nodes["bn1"]) == 0


@pytest.mark.parametrize("padding, stride", [(0, None), (1, None), (1, 2), (0, 1)])
@pytest.mark.parametrize("kind", ["maxpool2d", "avgpool2d"])
def test_sizes_after_a_pooling(kind, padding, stride):
    g = Graph({}, {}, (2, 7, 8))
    h = getattr(g, kind)(IMAGES, 3, stride, padding)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 2, 7, 8))
    out = interpret(g.finish(g.scale(h, 0.5)), {}, x)
    assert np.array_equal(
        out, 0.5 * OPERATIONS[kind](x, 3, 3 if stride is None else stride, padding)
    )


def test_every_operation_is_listed_and_interpreted():
    others = {"conv_norm", "has", "finish", "multiply_adds"}
    steps = {name for name in vars(Graph) if not name.startswith("_")} - others
    assert steps == set(OPERATIONS)
    assert all(f" {name}" in Node.__doc__ for name in steps)


def idle(g):
    """Describe the network, with an edge that leads nowhere."""
    h = g.conv_norm(IMAGES, "conv1", "bn1")
    g.gelu(h)
    g.finish(g.linear(g.flatten(g.global_avgpool2d(h)), "fc"))


@pytest.mark.parametrize(
    "step, message",
    [
        (lambda g: g.conv2d(IMAGES, "conv2"), "the network has no tensor conv2_kernel"),
        (
            lambda g: g.batch_norm2d(IMAGES, "bn1"),
            r"bn1 takes 4 channels, but images is \(3, 9, 8\)",
        ),
        (
            lambda g: g.linear(IMAGES, "fc"),
            r"fc takes shape \(4,\), but images is \(3, 9, 8\)",
        ),
        (
            lambda g: g.conv2d(g.maxpool2d(IMAGES, 4), "conv1"),
            "conv1 takes at least 3x3 pixels, but images_maxpool2d is",
        ),
        (
            lambda g: g.maxpool2d(IMAGES, 10),
            "maxpool2d takes larger images, but images is",
        ),
        (
            lambda g: g.add(IMAGES, g.flatten(IMAGES)),
            r"add takes shape \(3, 9, 8\), but images_flatten is \(216,\)",
        ),
        (
            lambda g: g.subsample(IMAGES, 2, 1),
            "subsample takes at most 2 channels, but images is",
        ),
        (
            lambda g: g.global_avgpool2d(g.flatten(IMAGES)),
            "takes channels, height and width, but images_flatten is",
        ),
        (
            lambda g: (g.relu(IMAGES), g.relu(IMAGES)),
            "the description has images_relu twice",
        ),
        (
            lambda g: g.finish(g.conv2d(IMAGES, "conv1")),
            "must use each tensor once, but bn1_gamma is used 0 times",
        ),
        (
            lambda g: g.finish(
                g.add(g.conv2d(IMAGES, "conv1"), g.conv2d(IMAGES, "conv1", 1, 1))
            ),
            "the description has conv1 twice",
        ),
        (idle, "nothing uses the edge bn1_relu_gelu of the description"),
    ],
)
def test_a_wrong_description(step, message):
    with pytest.raises(ValueError, match=message):
        step(graph())
