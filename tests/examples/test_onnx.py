"""The examples' networks as ONNX models: structure, and logits by ONNX's own evaluator.

Those of ONNX Runtime and OpenVINO are compared in test_onnx_runtimes.py.
"""

import numpy as np
import onnx
import pytest
from described import NETWORKS, drawn
from onnx import numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from odyssey.data.augment import normalize_batch
from odyssey.formats.onnx import Normalisation, evaluated_tensors, onnx_model

pytestmark = pytest.mark.usefixtures("one_thread")


def exported(name, *, fold=True, pictures=None):
    """Return the model, and images with the logits of the forward."""
    network, config, params, state, x = drawn(name)
    graph = network.graph(config)
    tensors = evaluated_tensors(network, params, state, config, fold=fold)
    data = onnx_model(graph, tensors, name=name, pictures=pictures)
    logits, *_ = network.forward(params, state, x, config, training=False)
    return onnx.load_from_string(data), graph, x, logits


def operators(model):
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_those_of_the_forward(name, fold):
    model, _, x, logits = exported(name, fold=fold)
    (found,) = ReferenceEvaluator(model).run(["logits"], {"images": x})
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_edges_have_the_names_and_shapes_of_the_description(name):
    model, graph, *_ = exported(name, fold=False)
    inferred = shape_inference.infer_shapes(model, strict_mode=True).graph
    values = [*inferred.input, *inferred.value_info, *inferred.output]
    dims = {v.name: v.type.tensor_type.shape.dim for v in values}
    for edge, shape in graph.shapes.items():
        batch, *rest = dims["logits" if edge == graph.output else edge]
        assert batch.dim_param == "N"
        assert tuple(dim.dim_value for dim in rest) == shape, edge


@pytest.mark.parametrize("name", NETWORKS)
def test_batch_norms_are_folded_or_kept(name):
    _, config, _, state, _ = drawn(name)
    whole, *_ = exported(name, fold=False)
    assert operators(whole).count("BatchNormalization") == len(state) // 2
    model, *_ = exported(name)
    made_by = {edge: n.op_type for n in model.graph.node for edge in n.output}
    before = [
        made_by[n.input[0]]
        for n in model.graph.node
        if n.op_type == "BatchNormalization"
    ]
    if getattr(config, "pre_activation", False) and config.normalize:
        assert before and set(before) <= {"Add", "MaxPool"}  # no convolution
    else:
        assert before == []


def test_tensors_keep_their_names_and_bits():
    model, *_ = exported("resnet, basic", fold=False)
    _, _, params, state, _ = drawn("resnet, basic")
    found = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    assert found.keys() == params.keys() | state.keys()
    for name, tensor in {**params, **state}.items():
        assert np.array_equal(found[name], tensor)


def test_the_form_of_the_file():
    model, *_ = exported("speedrun")
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)
    assert model.producer_name == "odyssey"
    (images,), (logits,) = model.graph.input, model.graph.output
    assert images.name == "images" and logits.name == "logits"
    dims = images.type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == ["N", 3, 32, 32]
    assert images.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_pictures_are_normalised_by_the_model():
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
    model, *_ = exported("resnet, basic", pictures=Normalisation(mean, std))
    (images,) = model.graph.input
    dims = images.type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == ["N", 32, 32, 3]
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    rng = np.random.default_rng(1)
    pictures = rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    x = np.empty((2, 3, 32, 32), np.float32)
    normalize_batch(pictures.transpose(0, 3, 1, 2), x, mean, std)
    network, config, params, state, _ = drawn("resnet, basic")
    logits, *_ = network.forward(params, state, x, config, training=False)
    (found,) = ReferenceEvaluator(model).run(None, {"images": pictures})
    np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-5)
