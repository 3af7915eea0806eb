"""A network's layers as data, with the edges between them.

A network describes itself in one function, which takes the steps of its forward in
evaluation:

    def describe(graph, x, config):
        h = graph.maxpool2d(graph.relu(graph.conv2d(x, "conv1")), 2)
        return graph.linear(graph.flatten(h), "fc")

``x`` and ``h`` are names of edges, not arrays: each call notes a `Node` and returns the
name of its result.  `Network.graph` calls the function, and checks that the description
uses every tensor of the network once.  What is exported, counted or printed about a
network's layers follows from its graph, and a test computes it beside the forward.
"""

from collections import Counter
from collections.abc import Mapping
from math import prod
from typing import NamedTuple

IMAGES = "images"  # the edge that the network begins with

Shape = tuple[int, ...]


class Node(NamedTuple):
    """An operation, named as the edge that it gives.

    =================  ========================  =======================================
    operation          tensors by role           attributes
    =================  ========================  =======================================
    conv2d             kernel, perhaps bias      stride, padding
    batch_norm2d       beta, running_mean,       eps
                       running_var, perhaps
                       gamma, else 1
    linear             weights, perhaps bias
    relu, gelu, add
    maxpool2d,                                   kernel_size, stride, padding; padding
    avgpool2d                                    counts in the mean
    global_avgpool2d
    subsample                                    channels, stride: see
                                                 `odyssey.layers.shortcut.subsample`
    flatten
    scale                                        factor
    =================  ========================  =======================================
    """

    name: str
    operation: str
    inputs: tuple[str, ...]  # names of edges
    shape: Shape  # of the result for one image: (K, P, Q) or (K,)
    tensors: dict[str, str]  # names of parameters and statistics, by their role
    attributes: dict[str, int | float]
    is_named: bool  # the description names it; else its name is made from its input's


class Graph:
    """The nodes of a network, in an order in which they can be computed.

    Parameters
    ----------
    parameters, state : names and shapes of the network's tensors
    image : channels, height and width
    """

    def __init__(
        self,
        parameters: Mapping[str, Shape],
        state: Mapping[str, Shape],
        image: tuple[int, int, int],
    ) -> None:
        self.parameters, self.state = dict(parameters), dict(state)
        self.tensors = {**parameters, **state}
        self.shapes: dict[str, Shape] = {IMAGES: image}  # of every edge
        self.nodes: dict[str, Node] = {}
        self.output = IMAGES

    def conv2d(self, x: str, name: str, stride: int = 1, padding: int = 0) -> str:
        """Note the convolution with ``<name>_kernel``, and ``<name>_bias`` if it is."""
        tensors = self._tensors(name, ("kernel",), ("bias",))
        K, C, R, S = self.tensors[tensors["kernel"]]
        channels, *sides = self._image(x, name)
        self._check(name, channels == C, f"{C} channels", x)
        sizes = _sizes(sides, (R, S), stride, padding)
        self._check(name, min(sizes) > 0, f"at least {R}x{S} pixels", x)
        attributes = {"stride": stride, "padding": padding}
        return self._add(name, "conv2d", (x,), (K, *sizes), tensors, attributes)

    def batch_norm2d(self, x: str, name: str, eps: float = 1e-5) -> str:
        """Note the batch norm with ``<name>_beta`` and so on; gamma may be absent."""
        roles = "beta", "running_mean", "running_var"
        tensors = self._tensors(name, roles, ("gamma",))
        (C,) = self.tensors[tensors["beta"]]
        shape = self._image(x, name)
        self._check(name, shape[0] == C, f"{C} channels", x)
        return self._add(name, "batch_norm2d", (x,), shape, tensors, {"eps": eps})

    def linear(self, x: str, name: str) -> str:
        """Note the linear layer with ``<name>_weights``, and ``<name>_bias`` if is."""
        tensors = self._tensors(name, ("weights",), ("bias",))
        outputs, inputs = self.tensors[tensors["weights"]]
        fits = self.shapes[x] == (inputs,)
        self._check(name, fits, f"shape {(inputs,)}", x)
        return self._add(name, "linear", (x,), (outputs,), tensors)

    def relu(self, x: str, name: str | None = None) -> str:
        """Note ``max(x, 0)``."""
        return self._add(name, "relu", (x,), self.shapes[x])

    def gelu(self, x: str, name: str | None = None) -> str:
        """Note the Gaussian error linear unit, the form with erf."""
        return self._add(name, "gelu", (x,), self.shapes[x])

    def add(self, a: str, b: str, name: str | None = None) -> str:
        """Note ``a + b``, of one shape."""
        fits = self.shapes[a] == self.shapes[b]
        self._check(name or "add", fits, f"shape {self.shapes[a]}", b)
        return self._add(name, "add", (a, b), self.shapes[a])

    def scale(self, x: str, factor: float, name: str | None = None) -> str:
        """Note ``x * factor``."""
        return self._add(name, "scale", (x,), self.shapes[x], {}, {"factor": factor})

    def maxpool2d(
        self,
        x: str,
        kernel_size: int,
        stride: int | None = None,
        padding: int = 0,
        name: str | None = None,
    ) -> str:
        """Note a max pooling, of stride ``kernel_size`` if not said."""
        return self._pool("maxpool2d", x, kernel_size, stride, padding, name)

    def avgpool2d(
        self,
        x: str,
        kernel_size: int,
        stride: int | None = None,
        padding: int = 0,
        name: str | None = None,
    ) -> str:
        """Note an average pooling, in which padding counts as zeros."""
        return self._pool("avgpool2d", x, kernel_size, stride, padding, name)

    def global_avgpool2d(self, x: str, name: str | None = None) -> str:
        """Note the mean over all pixels: (C, 1, 1)."""
        C, *_ = self._image(x, name or "global_avgpool2d")
        return self._add(name, "global_avgpool2d", (x,), (C, 1, 1))

    def subsample(self, x: str, channels: int, stride: int) -> str:
        """Note every ``stride``-th pixel, with zero channels added."""
        C, *sides = self._image(x, "subsample")
        self._check("subsample", C <= channels, f"at most {channels} channels", x)
        shape = channels, *_sizes(sides, (1, 1), stride, 0)
        attributes = {"channels": channels, "stride": stride}
        return self._add(None, "subsample", (x,), shape, {}, attributes)

    def flatten(self, x: str) -> str:
        """Note the reshape from (C, H, W) to (C*H*W,)."""
        return self._add(None, "flatten", (x,), (prod(self.shapes[x]),))

    def conv_norm(
        self, x: str, conv: str, norm: str | None, stride: int = 1, *, relu: bool = True
    ) -> str:
        """Note convolution, batch norm and relu; see `odyssey.layers.conv_norm`.

        The padding is half the kernel.  There is no batch norm if ``norm`` is None, or
        if the network has no tensors of that name.
        """
        kernel = self.tensors[self._tensors(conv, ("kernel",), ())["kernel"]]
        h = self.conv2d(x, conv, stride, kernel[2] // 2)
        if norm is not None and self.has(norm):
            h = self.batch_norm2d(h, norm)
        return self.relu(h) if relu else h

    def has(self, name: str) -> bool:
        """Tell whether the network has a layer of this name: a tensor of it."""
        return any(tensor.rpartition("_")[0] == name for tensor in self.tensors)

    def finish(self, output: str) -> "Graph":
        """Note which edge holds the logits, and return the graph.

        Raises
        ------
        ValueError
            If a tensor of the network is not used just once, or an edge not at all.
        """
        used = Counter(t for node in self.nodes.values() for t in node.tensors.values())
        wrong = [name for name in self.tensors if used[name] != 1]
        if wrong:
            raise ValueError(
                f"a description must use each tensor once, but {wrong[0]} is used "
                f"{used[wrong[0]]} times"
            )
        read = {edge for node in self.nodes.values() for edge in node.inputs}
        idle = [edge for edge in self.shapes if edge not in read and edge != output]
        if idle:
            raise ValueError(f"nothing uses the edge {idle[0]} of the description")
        self.output = output
        return self

    def multiply_adds(self, node: Node) -> int:
        """Return how many multiply-adds a node does for one image.

        Products with the padding are counted too, as is usual; only convolutions and
        linear layers count.
        """
        weights = node.tensors.get("kernel") or node.tensors.get("weights")
        if weights is None:
            return 0
        return prod(node.shape) * prod(self.tensors[weights][1:])

    def _pool(
        self,
        operation: str,
        x: str,
        kernel_size: int,
        stride: int | None,
        padding: int,
        name: str | None,
    ) -> str:
        C, *sides = self._image(x, name or operation)
        stride = kernel_size if stride is None else stride
        sizes = _sizes(sides, (kernel_size, kernel_size), stride, padding)
        self._check(name or operation, min(sizes) > 0, "larger images", x)
        attributes = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
        return self._add(name, operation, (x,), (C, *sizes), {}, attributes)

    def _add(
        self,
        name: str | None,
        operation: str,
        inputs: tuple[str, ...],
        shape: Shape,
        tensors: dict[str, str] | None = None,
        attributes: Mapping[str, int | float] | None = None,
    ) -> str:
        made = name or f"{inputs[0]}_{operation}"
        if made in self.shapes:
            raise ValueError(f"the description has {made} twice")
        self.shapes[made] = shape
        self.nodes[made] = Node(
            made,
            operation,
            inputs,
            shape,
            tensors or {},
            dict(attributes or {}),
            name is not None,
        )
        return made

    def _tensors(
        self, name: str, roles: tuple[str, ...], may_be: tuple[str, ...]
    ) -> dict[str, str]:
        """Return the names of a layer's tensors by role."""
        wanted = {role: f"{name}_{role}" for role in (*roles, *may_be)}
        for role in roles:
            if wanted[role] not in self.tensors:
                raise ValueError(f"the network has no tensor {wanted[role]}")
        return {role: t for role, t in wanted.items() if t in self.tensors}

    def _image(self, x: str, name: str) -> Shape:
        shape = self.shapes[x]
        self._check(name, len(shape) == 3, "channels, height and width", x)
        return shape

    def _check(self, name: str, fits: bool, expected: str, x: str) -> None:
        if not fits:
            raise ValueError(f"{name} takes {expected}, but {x} is {self.shapes[x]}")


def _sizes(
    sides: list[int], window: tuple[int, int], stride: int, padding: int
) -> list[int]:
    """Return height and width after a window that moves by ``stride``."""
    return [
        (side + 2 * padding - size) // stride + 1
        for side, size in zip(sides, window, strict=True)
    ]
