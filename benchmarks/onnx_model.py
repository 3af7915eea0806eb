"""ONNX Runtime's and OpenVINO's evaluation of the same network, as tasks to time.

The graph is that of `odyssey export --keep-batch-norm`, for one number of images.  Both
runtimes may then fold and fuse operators.
"""

from functools import partial

import numpy as np
from measuring import Task, tensors
from resnet18_cifar10.architecture import ResNetConfig
from resnet18_cifar10.example import NETWORK

from odyssey.formats.onnx import evaluated_tensors, onnx_model


def write_graph(arrays: dict[str, np.ndarray], config: ResNetConfig) -> bytes:
    """Return the network as a serialised ONNX model for batches of one size."""
    params, state = tensors(arrays, "params/"), tensors(arrays, "state/")
    return onnx_model(
        NETWORK.graph(config),
        evaluated_tensors(NETWORK, params, state, config, fold=False),
        name=NETWORK.name_of(config),
        batch_size=len(arrays["images"]),
    )


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
