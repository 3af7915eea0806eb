"""The milestones' networks, of any operations: the student's, or the library's.

A forward takes ``ops``, which has the operations by name, and returns logits and a
cache of what its backward needs; the backward takes the forward's lines in reverse
order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Tensors = dict[str, np.ndarray]
Shapes = dict[str, tuple[int, ...]]

CLASSES = 10
HIDDEN = 64  # units of the first layer in `LINEAR`
WIDTHS = (8, 16, 32)  # channels of the three blocks of `RESNET8`


@dataclass(frozen=True)
class Network:
    """A network: names and shapes of its parameters, its forward and its backward."""

    title: str
    shapes: Shapes
    forward: Callable[[Any, Tensors, np.ndarray], tuple[np.ndarray, Any]]
    backward: Callable[[Any, Tensors, np.ndarray, Any], Tensors]


def two_layers(ops: Any, p: Tensors, x: np.ndarray) -> tuple[np.ndarray, Any]:
    """Return the logits of two linear layers with a relu between them."""
    flat = x.reshape(len(x), -1)  # (N, 3072)
    h = ops.linear(flat, p["fc1_weights"], p["fc1_bias"])
    hidden = ops.relu(h)
    return ops.linear(hidden, p["fc2_weights"], p["fc2_bias"]), (flat, h, hidden)


def two_layers_backward(
    ops: Any, p: Tensors, grad_logits: np.ndarray, cache: Any
) -> Tensors:
    """Return the gradient of every parameter of `two_layers`."""
    flat, h, hidden = cache
    g: Tensors = {}
    grad, g["fc2_weights"], g["fc2_bias"] = ops.linear_backward(
        grad_logits, hidden, p["fc2_weights"]
    )
    grad = ops.relu_backward(grad, h)
    _, g["fc1_weights"], g["fc1_bias"] = ops.linear_backward(
        grad, flat, p["fc1_weights"]
    )
    return g


def lenet(ops: Any, p: Tensors, x: np.ndarray) -> tuple[np.ndarray, Any]:
    """Return the logits of LeNet-5: two convolutions, three linear layers."""
    h1 = ops.conv2d(x, p["conv1_kernel"], p["conv1_bias"])  # (N, 6, 28, 28)
    a1 = ops.relu(h1)
    pooled1 = ops.maxpool2d(a1, 2)  # (N, 6, 14, 14)
    h2 = ops.conv2d(pooled1, p["conv2_kernel"], p["conv2_bias"])  # (N, 16, 10, 10)
    a2 = ops.relu(h2)
    flat = ops.maxpool2d(a2, 2).reshape(len(x), -1)  # (N, 400)
    h3 = ops.linear(flat, p["fc1_weights"], p["fc1_bias"])
    a3 = ops.relu(h3)
    h4 = ops.linear(a3, p["fc2_weights"], p["fc2_bias"])
    a4 = ops.relu(h4)
    logits = ops.linear(a4, p["fc3_weights"], p["fc3_bias"])
    return logits, (x, h1, a1, pooled1, h2, a2, flat, h3, a3, h4, a4)


def lenet_backward(
    ops: Any, p: Tensors, grad_logits: np.ndarray, cache: Any
) -> Tensors:
    """Return the gradient of every parameter of `lenet`."""
    x, h1, a1, pooled1, h2, a2, flat, h3, a3, h4, a4 = cache
    g: Tensors = {}
    grad, g["fc3_weights"], g["fc3_bias"] = ops.linear_backward(
        grad_logits, a4, p["fc3_weights"]
    )
    grad = ops.relu_backward(grad, h4)
    grad, g["fc2_weights"], g["fc2_bias"] = ops.linear_backward(
        grad, a3, p["fc2_weights"]
    )
    grad = ops.relu_backward(grad, h3)
    grad, g["fc1_weights"], g["fc1_bias"] = ops.linear_backward(
        grad, flat, p["fc1_weights"]
    )
    grad = ops.maxpool2d_backward(grad.reshape(len(x), 16, 5, 5), a2, 2)
    grad = ops.relu_backward(grad, h2)
    grad, g["conv2_kernel"], g["conv2_bias"] = ops.conv2d_backward(
        grad, pooled1, p["conv2_kernel"]
    )
    grad = ops.maxpool2d_backward(grad, a1, 2)
    grad = ops.relu_backward(grad, h1)
    _, g["conv1_kernel"], g["conv1_bias"] = ops.conv2d_backward(
        grad, x, p["conv1_kernel"]
    )
    return g


#: Of a block: the arguments of residual_block in order, without those that may be None.
BLOCK = ("kernel1", "gamma1", "beta1", "kernel2", "gamma2", "beta2")


def _block(p: Tensors, number: int) -> list[Any]:
    """Return the tensors of a block, in the order of residual_block's arguments."""
    names = [f"b{number}_{name}" for name in (*BLOCK, "kernel_proj")]
    return [p.get(name) for name in names]


def resnet8(ops: Any, p: Tensors, x: np.ndarray) -> tuple[np.ndarray, Any]:
    """Return the logits of a convolution, three residual blocks and a linear layer."""
    h = ops.conv2d(x, p["conv1_kernel"], padding=1)
    inputs = [ops.relu(h)]
    for number in range(len(WIDTHS)):
        stride = 1 if number == 0 else 2
        block = _block(p, number)
        inputs.append(ops.residual_block(inputs[-1], *block, stride=stride))
    pooled = ops.global_avgpool2d(inputs[-1])
    flat = pooled.reshape(len(x), -1)
    return ops.linear(flat, p["fc_weights"], p["fc_bias"]), (x, h, inputs, flat)


def resnet8_backward(
    ops: Any, p: Tensors, grad_logits: np.ndarray, cache: Any
) -> Tensors:
    """Return the gradient of every parameter of `resnet8`."""
    x, h, inputs, flat = cache
    g: Tensors = {}
    grad, g["fc_weights"], g["fc_bias"] = ops.linear_backward(
        grad_logits, flat, p["fc_weights"]
    )
    grad = ops.global_avgpool2d_backward(grad.reshape(*grad.shape, 1, 1), inputs[-1])
    for number in reversed(range(len(WIDTHS))):
        stride = 1 if number == 0 else 2
        block = _block(p, number)
        grad, *grads = ops.residual_block_backward(
            grad, inputs[number], *block, stride=stride
        )
        names = [f"b{number}_{name}" for name in (*BLOCK, "kernel_proj")]
        g |= {n: one for n, one in zip(names, grads, strict=True) if n in p}
    grad = ops.relu_backward(grad, h)
    _, g["conv1_kernel"], _ = ops.conv2d_backward(grad, x, p["conv1_kernel"], padding=1)
    return g


def residual_block(
    ops: Any, x: np.ndarray, *tensors: Any, stride: int = 1
) -> tuple[np.ndarray, Any]:
    """Return the result of the exercise's residual block, and a cache.

    x -> conv1 -> bn1 -> relu -> conv2 -> bn2 -> (+) -> relu -> out, and x or its
    projection to the (+).
    """
    kernel1, gamma1, beta1, kernel2, gamma2, beta2, proj = tensors
    h1 = ops.conv2d(x, kernel1, stride=stride, padding=1)
    n1 = ops.batch_norm2d(h1, gamma1, beta1, *_statistics(gamma1))[0]
    a1 = ops.relu(n1)
    h2 = ops.conv2d(a1, kernel2, padding=1)
    n2 = ops.batch_norm2d(h2, gamma2, beta2, *_statistics(gamma2))[0]
    shortcut = x if proj is None else ops.conv2d(x, proj, stride=stride)
    total = ops.add(n2, shortcut)
    return ops.relu(total), (h1, n1, a1, h2, total)


def residual_block_backward(
    ops: Any, grad_output: np.ndarray, x: np.ndarray, *tensors: Any, stride: int = 1
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of `residual_block`, whose forward is run once more."""
    kernel1, gamma1, beta1, kernel2, gamma2, beta2, proj = tensors
    _, (h1, n1, a1, h2, total) = residual_block(ops, x, *tensors, stride=stride)
    grad = ops.relu_backward(grad_output, total)
    grad_h2, grad_gamma2, grad_beta2 = ops.batch_norm2d_backward(
        grad, h2, gamma2, beta2, *_statistics(gamma2)
    )
    grad_a1, grad_kernel2, _ = ops.conv2d_backward(grad_h2, a1, kernel2, padding=1)
    grad_h1, grad_gamma1, grad_beta1 = ops.batch_norm2d_backward(
        ops.relu_backward(grad_a1, n1), h1, gamma1, beta1, *_statistics(gamma1)
    )
    grad_input, grad_kernel1, _ = ops.conv2d_backward(
        grad_h1, x, kernel1, stride=stride, padding=1
    )
    grad_shortcut, grad_proj = grad, None
    if proj is not None:
        grad_shortcut, grad_proj, _ = ops.conv2d_backward(grad, x, proj, stride=stride)
    return (
        grad_input + grad_shortcut,
        *(grad_kernel1, grad_gamma1, grad_beta1),
        *(grad_kernel2, grad_gamma2, grad_beta2),
        grad_proj,
    )


def _statistics(gamma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return running statistics, which training does not use."""
    return np.zeros_like(gamma), np.ones_like(gamma)


def _resnet8_shapes() -> Shapes:
    shapes: Shapes = {"conv1_kernel": (WIDTHS[0], 3, 3, 3)}
    before = WIDTHS[0]
    for number, width in enumerate(WIDTHS):
        block: Shapes = {
            "kernel1": (width, before, 3, 3),
            "kernel2": (width, width, 3, 3),
        }
        block |= {name: (width,) for name in ("gamma1", "beta1", "gamma2", "beta2")}
        if number:
            block["kernel_proj"] = (width, before, 1, 1)
        shapes |= {f"b{number}_{name}": shape for name, shape in block.items()}
        before = width
    return {**shapes, "fc_weights": (CLASSES, before), "fc_bias": (CLASSES,)}


LINEAR = Network(
    f"two linear layers, {HIDDEN} hidden units",
    {
        "fc1_weights": (HIDDEN, 3072),
        "fc1_bias": (HIDDEN,),
        "fc2_weights": (CLASSES, HIDDEN),
        "fc2_bias": (CLASSES,),
    },
    two_layers,
    two_layers_backward,
)
LENET = Network(
    "LeNet-5: two convolutions, three linear layers",
    {
        "conv1_kernel": (6, 3, 5, 5),
        "conv1_bias": (6,),
        "conv2_kernel": (16, 6, 5, 5),
        "conv2_bias": (16,),
        "fc1_weights": (120, 400),
        "fc1_bias": (120,),
        "fc2_weights": (84, 120),
        "fc2_bias": (84,),
        "fc3_weights": (CLASSES, 84),
        "fc3_bias": (CLASSES,),
    },
    lenet,
    lenet_backward,
)
RESNET8 = Network(
    "ResNet-8: a convolution, three residual blocks, a linear layer",
    _resnet8_shapes(),
    resnet8,
    resnet8_backward,
)
