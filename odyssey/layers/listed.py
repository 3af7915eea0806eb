"""The convolutions and batch norms of a network as a list, and what follows from it.

    Layer             a convolution and the batch norm after it, or one of the two
    layer_shapes      names and shapes of the parameters
    statistic_shapes  names and shapes of the running statistics
    fold_layers       the parameters for inference

A network lists its layers in the order of its forward; the linear layers that come
after them are its own.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from odyssey.folding import fold_batch_norm
from odyssey.layers.context import Tensors
from odyssey.layers.norm import NORM_TENSORS
from odyssey.network import Shapes
from odyssey.ops.conv import PreparedKernel


class Layer(NamedTuple):
    """A convolution and the batch norm after it, or one of the two."""

    conv: str | None
    norm: str | None
    shape: tuple[int, ...]  # of the kernel, (K, C, R, S), or of a single norm, (K,)
    stride: int = 1


def layer_shapes(layers: Sequence[Layer], *, biases: bool) -> Shapes:
    """Return name and shape of every parameter; ``biases`` of convolutions too."""
    shapes: Shapes = {}
    for conv, norm, shape, _ in layers:
        if conv:
            shapes[f"{conv}_kernel"] = shape
            if biases:
                shapes[f"{conv}_bias"] = shape[:1]
        if norm:
            shapes[f"{norm}_gamma"] = shapes[f"{norm}_beta"] = shape[:1]
    return shapes


def statistic_shapes(layers: Sequence[Layer]) -> Shapes:
    """Return name and shape of every running statistic."""
    shapes: Shapes = {}
    for _, norm, shape, _ in layers:
        if norm:
            shapes[f"{norm}_running_mean"] = shape[:1]
            shapes[f"{norm}_running_var"] = shape[:1]
    return shapes


def fold_layers(params: Tensors, state: Tensors, layers: Sequence[Layer]) -> Tensors:
    """Return the parameters for inference: batch norms folded into convolutions.

    A norm after a convolution becomes part of its kernel and bias.  A norm without a
    convolution stays, and the result holds its running statistics too.  Parameters of
    no layer in the list stay as they are.  Kernels are prepared for many batches.
    """
    listed = layer_shapes(layers, biases=True)
    folded: dict[str, Any] = {n: p for n, p in params.items() if n not in listed}
    tensors = {**params, **state}
    for conv, norm, _, _ in layers:
        names = [f"{norm}_{kind}" for kind in NORM_TENSORS] if norm else []
        bn = {name: tensors[name] for name in names}
        if conv is None:
            folded |= bn
            continue
        kernel, bias = params[f"{conv}_kernel"], params.get(f"{conv}_bias")
        if norm:
            gamma, beta, mean, var = bn.values()
            kernel, bias = fold_batch_norm(kernel, bias, gamma, beta, mean, var)
        folded[f"{conv}_kernel"] = PreparedKernel(kernel)
        if bias is not None:
            folded[f"{conv}_bias"] = bias
    return folded
