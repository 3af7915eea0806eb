"""Each operation of a graph as ONNX's, and what cannot be written."""

import sys

import numpy as np
import onnx
import pytest
from interpreter import interpret
from onnx.reference import ReferenceEvaluator

from odyssey.errors import InputError
from odyssey.formats import onnx as module
from odyssey.formats.onnx import Normalisation, onnx_model
from odyssey.formats.tensor_file import FormatError
from odyssey.graph import IMAGES, Graph

SHAPES = {
    "conv_kernel": (3, 2, 3, 3),
    "biased_kernel": (3, 2, 1, 1),
    "biased_bias": (3,),
    "norm_beta": (2,),
    "scaled_gamma": (2,),
    "scaled_beta": (2,),
    "fc_weights": (4, 2 * 7 * 8),
    "last_weights": (4, 2 * 7 * 8),
    "last_bias": (4,),
}
STATE = {
    f"{norm}_running_{kind}": (2,)
    for norm in ("norm", "scaled")
    for kind in ("mean", "var")
}
STEPS = {
    "convolution": lambda g: g.conv2d(IMAGES, "conv", 2, 1),
    "with a bias": lambda g: g.conv2d(IMAGES, "biased"),
    "batch norm without gamma": lambda g: g.batch_norm2d(IMAGES, "norm", 1e-12),
    "batch norm": lambda g: g.batch_norm2d(IMAGES, "scaled", 0.1),
    "linear": lambda g: g.linear(g.flatten(IMAGES), "fc"),
    "linear with a bias": lambda g: g.linear(g.flatten(IMAGES), "last"),
    "relu": lambda g: g.relu(IMAGES),
    "gelu": lambda g: g.gelu(IMAGES),
    "add": lambda g: g.add(IMAGES, g.relu(IMAGES)),
    "scale": lambda g: g.scale(IMAGES, -0.3),
    "max pooling": lambda g: g.maxpool2d(IMAGES, 3, 2, 1),
    "max pooling without overlap": lambda g: g.maxpool2d(IMAGES, 3),
    "average pooling": lambda g: g.avgpool2d(IMAGES, 3, 2, 1),
    "global average": lambda g: g.global_avgpool2d(IMAGES),
    "every second pixel": lambda g: g.subsample(IMAGES, 5, 2),
    "every pixel": lambda g: g.subsample(IMAGES, 2, 1),
}


def described(step):
    """Return the graph of one step, and random tensors for all that it uses."""
    graph = Graph(SHAPES, STATE, (2, 7, 8))
    step(graph)
    used = {t for node in graph.nodes.values() for t in node.tensors.values()}
    parts = [{n: shapes[n] for n in shapes if n in used} for shapes in (SHAPES, STATE)]
    graph = Graph(*parts, (2, 7, 8))
    graph.finish(step(graph))
    rng = np.random.default_rng(2)
    tensors = {
        name: rng.uniform(0.2, 1, shape).astype(np.float32)
        for name, shape in graph.tensors.items()
    }
    x = rng.standard_normal((3, 2, 7, 8)).astype(np.float32)
    return graph, tensors, x


@pytest.mark.parametrize("step", STEPS)
def test_an_operation(step):
    graph, tensors, x = described(STEPS[step])
    model = onnx.load_from_string(onnx_model(graph, tensors, name="one step"))
    (found,) = ReferenceEvaluator(model).run(None, {"images": x})
    expected = interpret(graph, tensors, x)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_gelu_is_not_written_as_openvino_recognises_it():
    graph, tensors, _ = described(STEPS["gelu"])
    model = onnx.load_from_string(onnx_model(graph, tensors, name="gelu"))
    made_by = {edge: n for n in model.graph.node for edge in n.output}
    (adds,) = (n for n in model.graph.node if n.op_type == "Add")
    # it looks for 1 + erf; here half of erf is added to a half
    assert [made_by[adds.input[0]].op_type, adds.input[1]] == ["Mul", "gelu_half"]


def test_a_number_of_images_can_be_fixed():
    graph, tensors, _ = described(STEPS["linear"])
    data = onnx_model(graph, tensors, name="fixed", batch_size=3)
    written = onnx.load_from_string(data).graph
    images, logits = (
        [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*written.input, *written.output)
    )
    assert images == [3, 2, 7, 8] and logits == [3, 4]


def test_grey_pictures():
    graph = Graph({"fc_weights": (2, 12)}, {}, (1, 3, 4))
    graph.finish(graph.linear(graph.flatten(IMAGES), "fc"))
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((2, 12)).astype(np.float32)
    pictures = rng.integers(0, 256, (5, 3, 4, 1), dtype=np.uint8)
    data = onnx_model(
        graph,
        {"fc_weights": weights},
        name="grey",
        pictures=Normalisation([0.25], [0.5]),
    )
    run = ReferenceEvaluator(onnx.load_from_string(data)).run
    expected = (pictures.reshape(5, 12) / 255 - 0.25) / 0.5 @ weights.T
    np.testing.assert_allclose(run(None, {"images": pictures})[0], expected, rtol=1e-5)


def test_metadata_is_text_by_name():
    graph, tensors, _ = described(STEPS["relu"])
    given = {"classes": '["é", "b"]', "recipe": "lr: 0.1\n"}
    model = onnx.load_from_string(onnx_model(graph, tensors, name="m", metadata=given))
    assert {p.key: p.value for p in model.metadata_props} == given
    assert model.graph.name == "m"


def test_more_than_an_onnx_file_can_hold(monkeypatch):
    graph, tensors, _ = described(STEPS["convolution"])
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    with pytest.raises(FormatError, match="an ONNX file holds less than 2 GiB, and"):
        onnx_model(graph, tensors, name="large")


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    graph, tensors, _ = described(STEPS["relu"])
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"pip install onnx \(the extra odyssey-by-h"):
        onnx_model(graph, tensors, name="none")
