"""Write a network as an ONNX model, which other runtimes compute.

The model is for evaluation.  All its numbers are float32, and the number N of images is
free unless it is fixed.

    input    images   float32 (N, C, H, W), normalised: (image / 255 - mean) / std;
                      or uint8 (N, H, W, C), as pictures lie in memory once they are
                      decoded, and the model normalises them
    output   logits   float32 (N, K)

Edges and tensors have the names that they have here.  Operators are those of opset 17
and IR 8, of 2022: what the installed package would write by default can be newer than
the runtimes that are released.

ONNX's operators are not quite this library's.  Its average pooling leaves the padding
out of the mean unless it is told.  Gelu came with opset 20, and is written as a formula
that is not the usual one: OpenVINO recognises that, and computes it before a max
pooling that should come first (``findings/openvino_activation_before_max_pooling.sh``).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

import odyssey
from odyssey.errors import InputError
from odyssey.formats.tensor_file import FormatError
from odyssey.graph import IMAGES, Graph, Node
from odyssey.layers.context import Tensors
from odyssey.network import Config, Network
from odyssey.ops.conv import PreparedKernel

OPSET, IR_VERSION = 17, 8
LOGITS = "logits"
MAX_BYTES = 2**31 - 2**20  # a file of protocol buffers ends at 2 GiB


class Normalisation(NamedTuple):
    """The mean and the standard deviation of each channel, on the scale 0 to 1."""

    mean: Sequence[float]
    std: Sequence[float]


def evaluated_tensors(
    network: Network, params: Tensors, state: Tensors, config: Config, *, fold: bool
) -> Tensors:
    """Return the tensors of a network's graph as float32.

    With ``fold``, the batch norms that `Network.fold` takes into convolutions are not
    among them, and these convolutions have biases.
    """
    tensors = {**params, **state}
    if fold:
        folded = network.fold(params, state, config)
        gone = {
            f"{name.removesuffix('_beta')}_{statistic}"
            for name in params
            if name.endswith("_beta") and name not in folded
            for statistic in ("running_mean", "running_var")
        }
        tensors = {**{n: t for n, t in state.items() if n not in gone}, **folded}
    arrays = {
        name: tensor.array if isinstance(tensor, PreparedKernel) else tensor
        for name, tensor in tensors.items()
    }
    return {name: np.asarray(array, np.float32) for name, array in arrays.items()}


def onnx_model(
    graph: Graph,
    tensors: Mapping[str, np.ndarray],
    *,
    name: str,
    metadata: Mapping[str, str] | None = None,
    pictures: Normalisation | None = None,
    batch_size: int | None = None,
) -> bytes:
    """Return the content of a file ``.onnx``, checked by ONNX's checker.

    Parameters
    ----------
    graph : the network's
    tensors : from `evaluated_tensors`; a batch norm that has none is left out
    name : of the network
    metadata : texts by name, which the file carries
    pictures : if given, the input is uint8 (N, H, W, C), and normalised by the model
    batch_size : number of images; None leaves it free

    Raises
    ------
    InputError
        If the package onnx is not installed.
    FormatError
        If the tensors have 2 GiB or more.
    """
    onnx = _package()
    size = sum(array.nbytes for array in tensors.values())
    if size > MAX_BYTES:
        raise FormatError(
            f"an ONNX file holds less than 2 GiB, and these tensors are "
            f"{size / 2**30:.1f} GiB"
        )
    writer = _Writer(onnx, graph, tensors)
    shape: tuple[int, ...] = graph.shapes[IMAGES]
    kind = onnx.TensorProto.FLOAT
    if pictures is not None:
        shape, kind = (*shape[1:], shape[0]), onnx.TensorProto.UINT8
        writer.normalise(pictures)
    for node in graph.nodes.values():
        writer.write(node)
    writer.rename(graph.output, LOGITS)
    N, value = batch_size or "N", onnx.helper.make_tensor_value_info
    logits = graph.shapes[graph.output]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            writer.nodes,
            name,
            [value(IMAGES, kind, [N, *shape])],
            [value(LOGITS, onnx.TensorProto.FLOAT, [N, *logits])],
            [onnx.numpy_helper.from_array(a, n) for n, a in writer.constants.items()],
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="odyssey",
        producer_version=odyssey.__version__,
    )
    onnx.helper.set_model_props(model, dict(metadata or {}))
    data = model.SerializeToString()
    onnx.checker.check_model(data, full_check=True)
    return data


class _Writer:
    """The nodes and constants of an ONNX graph, as they are added."""

    def __init__(
        self, onnx: ModuleType, graph: Graph, tensors: Mapping[str, np.ndarray]
    ) -> None:
        self._onnx, self._graph, self._tensors = onnx, graph, tensors
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}  # those that are used
        self._edges = {IMAGES: IMAGES}  # of the network, and their names in the file

    def normalise(self, pictures: Normalisation) -> None:
        """Add the steps from uint8 (N, H, W, C) to the network's input."""
        mean, std = (np.asarray(values, np.float64) for values in pictures)
        h = self._node("pixels", "Cast", IMAGES, to=self._onnx.TensorProto.FLOAT)
        scale = self._constant("pixels_scale", (1 / (255 * std)).astype(np.float32))
        h = self._node("pixels_scaled", "Mul", h, scale)
        shift = self._constant("pixels_shift", (-mean / std).astype(np.float32))
        h = self._node("pixels_normalised", "Add", h, shift)
        h = self._node("normalised", "Transpose", h, perm=[0, 3, 1, 2])
        self._edges[IMAGES] = h

    def write(self, node: Node) -> None:
        """Add the nodes of an operation."""
        inputs = [self._edges[edge] for edge in node.inputs]
        self._edges[node.name] = _WRITERS[node.operation](self, node, *inputs)

    def rename(self, output: str, name: str) -> None:
        """Give the edge ``output`` of the network another name in the file."""
        edge = self._edges[output]
        for node in self.nodes:
            node.output[:] = [name if e == edge else e for e in node.output]

    def conv2d(self, node: Node, x: str) -> str:
        side, padding = node.attributes["stride"], node.attributes["padding"]
        kernel = self._tensor(node.tensors["kernel"])
        weights = [kernel, *self._bias(node)]
        return self._node(
            node.name,
            "Conv",
            x,
            *weights,
            kernel_shape=self.constants[kernel].shape[2:],
            strides=[side] * 2,
            pads=[padding] * 4,
        )

    def batch_norm2d(self, node: Node, x: str) -> str:
        if node.tensors["beta"] not in self._tensors:  # it is in the convolution
            return x
        parts = {role: self._tensor(name) for role, name in node.tensors.items()}
        if "gamma" not in parts:
            ones = np.ones_like(self.constants[parts["beta"]])
            parts["gamma"] = self._constant(f"{node.name}_gamma", ones)
        roles = "gamma", "beta", "running_mean", "running_var"
        given = [parts[role] for role in roles]
        epsilon = node.attributes["eps"]
        return self._node(node.name, "BatchNormalization", x, *given, epsilon=epsilon)

    def linear(self, node: Node, x: str) -> str:
        weights = [self._tensor(node.tensors["weights"]), *self._bias(node)]
        return self._node(node.name, "Gemm", x, *weights, transB=1)

    def gelu(self, node: Node, x: str) -> str:
        """Write x * (erf(x / sqrt(2)) / 2 + 1/2)."""

        def step(part: str, operator: str, *inputs: str) -> str:
            return self._node(f"{node.name}_{part}", operator, *inputs)

        root, half = (
            self._constant(f"gelu_{name}", np.array(value, np.float32))
            for name, value in (("root", math.sqrt(2)), ("half", 0.5))
        )
        erf = step("erf", "Erf", step("divided", "Div", x, root))
        below = step("below", "Add", step("halved", "Mul", erf, half), half)
        return self._node(node.name, "Mul", x, below)

    def pool(self, node: Node, x: str) -> str:
        size, stride, padding = (
            node.attributes[name] for name in ("kernel_size", "stride", "padding")
        )
        averages = node.operation == "avgpool2d"
        more = {"count_include_pad": 1} if averages else {}
        return self._node(
            node.name,
            "AveragePool" if averages else "MaxPool",
            x,
            kernel_shape=[size] * 2,
            strides=[stride] * 2,
            pads=[padding] * 4,
            **more,
        )

    def subsample(self, node: Node, x: str) -> str:
        C, H, W = self._graph.shapes[node.inputs[0]]
        stride, channels = node.attributes["stride"], int(node.attributes["channels"])

        def whole(part: str, *numbers: int) -> str:
            return self._constant(f"{node.name}_{part}", np.array(numbers, np.int64))

        bounds = whole("from", 0, 0), whole("to", H, W), whole("axes", 2, 3)
        every = whole("every", int(stride), int(stride))
        part = self._node(f"{node.name}_pixels", "Slice", x, *bounds, every)
        before, after = (0, 0, 0, 0), (0, channels - C, 0, 0)
        return self._node(node.name, "Pad", part, whole("pads", *before, *after))

    def flatten(self, node: Node, x: str) -> str:
        return self._node(node.name, "Flatten", x)

    def scale(self, node: Node, x: str) -> str:
        factor = np.array(node.attributes["factor"], np.float32)
        return self._node(
            node.name, "Mul", x, self._constant(f"{node.name}_factor", factor)
        )

    def plain(self, node: Node, *inputs: str) -> str:
        operator = {"relu": "Relu", "add": "Add"}.get(node.operation)
        return self._node(node.name, operator or "GlobalAveragePool", *inputs)

    def _bias(self, node: Node) -> list[str]:
        """Return the bias of a layer, if it has one or batch norm has given it one."""
        name = f"{node.name}_bias"
        return [self._tensor(name)] if name in self._tensors else []

    def _tensor(self, name: str) -> str:
        return self._constant(name, self._tensors[name])

    def _constant(self, name: str, array: np.ndarray) -> str:
        self.constants[name] = array
        return name

    def _node(self, name: str, operator: str, *inputs: str, **attributes: Any) -> str:
        make = self._onnx.helper.make_node
        self.nodes.append(make(operator, inputs, [name], name=name, **attributes))
        return name


_WRITERS: dict[str, Callable[..., str]] = {
    "conv2d": _Writer.conv2d,
    "batch_norm2d": _Writer.batch_norm2d,
    "linear": _Writer.linear,
    "relu": _Writer.plain,
    "gelu": _Writer.gelu,
    "add": _Writer.plain,
    "maxpool2d": _Writer.pool,
    "avgpool2d": _Writer.pool,
    "global_avgpool2d": _Writer.plain,
    "subsample": _Writer.subsample,
    "flatten": _Writer.flatten,
    "scale": _Writer.scale,
}


def _package() -> ModuleType:
    """Return the package onnx with the modules that are used here."""
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise InputError(
            "ONNX files need the package onnx: pip install onnx "
            "(the extra odyssey-by-hand[onnx])"
        ) from None
    return onnx
