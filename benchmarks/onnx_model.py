"""ONNX Runtime's and OpenVINO's evaluation of the same network, as tasks to time.

The graph is written with the package `onnx` from Odyssey's tensors, in the order of
`examples/resnet18_cifar10/model.py`.  Both runtimes may then fold and fuse operators.
"""

from functools import partial

import numpy as np
import onnx
from measuring import Task
from onnx import TensorProto, helper, numpy_helper
from resnet18_cifar10.architecture import (
    ResNetConfig,
    block_layers,
    model_name,
    network_blocks,
    network_layers,
)

SIDE = 32  # pixels of an image
OPSET, IR_VERSION = 17, 8  # of 2022: the reader may be older than the writer


class _Graph:
    """An ONNX graph that grows; each method adds a node and returns its output."""

    def __init__(self, arrays: dict[str, np.ndarray]):
        self.nodes, self.used = [], {}
        self.tensors = {name.partition("/")[2]: arrays[name] for name in arrays}

    def node(self, operator, *inputs, **attributes):
        name = f"h{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        self.used |= {i: self.tensors[i] for i in inputs if i in self.tensors}
        return name

    def constant(self, name, values):
        self.tensors[name] = np.array(values, np.int64)
        return name

    def conv_bn(self, x, layer):
        conv, norm, (_, _, R, _), stride = layer
        kernel = f"{conv}_kernel"
        h = self.node("Conv", x, kernel, strides=[stride] * 2, pads=[R // 2] * 4)
        parts = "gamma", "beta", "running_mean", "running_var"
        return self.node("BatchNormalization", h, *(f"{norm}_{p}" for p in parts))

    def subsample(self, x, block):
        every = self.constant("every", [block.stride] * 2)
        bounds = self.constant("from", [0, 0]), self.constant("to", [SIDE, SIDE])
        x = self.node("Slice", x, *bounds, self.constant("axes", [2, 3]), every)
        added = block.out_channels - block.in_channels
        pads = self.constant(f"{block.name}_pads", [0, 0, 0, 0, 0, added, 0, 0])
        return self.node("Pad", x, pads)

    def block(self, x, block, config):
        branch, shortcut = block_layers(block, config), x
        if block.shortcut == "A":
            shortcut = self.subsample(x, block)
        elif block.shortcut == "B":
            *branch, proj = branch
            shortcut = self.conv_bn(x, proj)
        main = self.conv_bn(x, branch[0])
        for layer in branch[1:]:
            main = self.conv_bn(self.node("Relu", main), layer)
        return self.node("Relu", self.node("Add", main, shortcut))


def write_graph(arrays: dict[str, np.ndarray], config: ResNetConfig) -> bytes:
    """Return the network as a serialised ONNX model for batches of one size."""
    graph = _Graph(arrays)
    h = graph.node("Relu", graph.conv_bn("images", network_layers(config)[0]))
    for block in network_blocks(config):
        h = graph.block(h, block, config)
    h = graph.node("Flatten", graph.node("GlobalAveragePool", h))
    logits = graph.node("Gemm", h, "fc_weights", "fc_bias", transB=1)
    N, H, W, C = arrays["images"].shape
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            model_name(config),
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, [N, C, H, W])],
            [helper.make_tensor_value_info(logits, TensorProto.FLOAT, [N, 10])],
            [numpy_helper.from_array(a, name) for name, a in graph.used.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model)
    return model.SerializeToString()


def prepare(
    job: str,
    contender: str,
    arrays: dict[str, np.ndarray],
    threads: int,
    config: ResNetConfig,
) -> Task:
    """Return the evaluation by the contender; ``job`` is always "eval"."""
    images = np.ascontiguousarray(arrays["images"].transpose(0, 3, 1, 2))
    start = {
        "onnxruntime": _onnxruntime,
        "openvino": partial(_openvino, INFERENCE_PRECISION_HINT="f32"),
        "openvino-default": _openvino,
    }[contender]
    run = start(write_graph(arrays, config), images, threads)
    return Task(run, lambda logits: {"logits": logits})


def _onnxruntime(graph, images, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        graph, options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"images": images})[0]


def _openvino(graph, images, threads, **chosen):
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        **chosen,  # without a precision: bfloat16, if the processor has it
    }
    request = core.compile_model(
        core.read_model(graph), "CPU", settings
    ).create_infer_request()
    return lambda: request.infer([images], share_inputs=True)[0]
