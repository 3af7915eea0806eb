"""Shapes and random inputs of the operations of ResNet-18 on 32x32 images.

Nothing of Odyssey is imported here, so that the process of a peer holds only the peer.
"""

from typing import NamedTuple

import numpy as np

#: (channels, height and width) of the activations of the four stages
STAGES = ((64, 32), (128, 16), (256, 8), (512, 4))
FEATURES, CLASSES = 512, 10
#: A step this small moves the loss of the deepest network in proportion to it: larger
#: ones overshoot, and what rounding does to the gradients decides where they land.
LR, MOMENTUM = 1e-4, 0.9


class Conv(NamedTuple):
    """The shape of a convolution, and the number of layers that have it."""

    C: int
    K: int
    H: int  # height and width of the input
    R: int  # height and width of the kernel
    stride: int
    layers: int

    @property
    def name(self) -> str:
        strided = ", stride 2" if self.stride == 2 else ""
        return (
            f"conv {self.R}x{self.R}{strided}, {self.C} to {self.K}, {self.H}x{self.H}"
        )

    @property
    def padding(self) -> int:
        return self.R // 2


CONVS = (
    Conv(3, 64, 32, 3, 1, 1),  # the stem
    *(Conv(C, C, H, 3, 1, 4 if C == 64 else 3) for C, H in STAGES),
    *(Conv(C, 2 * C, H, 3, 2, 1) for C, H in STAGES[:-1]),
    *(Conv(C, 2 * C, H, 1, 2, 1) for C, H in STAGES[:-1]),
)

#: Operations that are timed together in one process, at the shapes of all stages.
SMALL_OPS = (
    "batch norm",
    "batch norm, relu",
    "batch norm, add, relu",
    "relu",
    "add",
    "average pool",
    "linear",
    "cross entropy",
    "update",
)

#: What one process measures.
JOBS = (*(conv.name for conv in CONVS), *SMALL_OPS)


def conv_named(job: str) -> Conv | None:
    """Return the convolution with this name, or None if there is none."""
    return next((conv for conv in CONVS if conv.name == job), None)


def conv_inputs(conv: Conv, batch: int) -> dict[str, np.ndarray]:
    """Return x, kernel and grad_output."""
    rng = np.random.default_rng(0)
    P = (conv.H + 2 * conv.padding - conv.R) // conv.stride + 1
    spread = np.sqrt(2 / (conv.C * conv.R * conv.R))
    kernel = spread * rng.standard_normal((conv.K, conv.C, conv.R, conv.R))
    return {
        "x": activations(rng, batch, conv.C, conv.H),
        "kernel": kernel.astype(np.float32),
        "grad_output": activations(rng, batch, conv.K, P),
    }


def stage_inputs(batch: int, C: int, H: int) -> dict[str, np.ndarray]:
    """Return two activations, a gradient, and tensors of batch norm, for one stage."""
    rng = np.random.default_rng(0)
    arrays = {
        name: activations(rng, batch, C, H) for name in ("x", "other", "grad_output")
    }
    for name, low, high in (
        ("gamma", 0.5, 1.5),
        ("beta", -0.5, 0.5),
        ("running_mean", -0.5, 0.5),
        ("running_var", 0.5, 1.5),
    ):
        arrays[name] = rng.uniform(low, high, C).astype(np.float32)
    # No gradient where rounding decides whether it passes the relu.
    x, axes = arrays["x"].astype(np.float64), (0, 2, 3)
    scale = arrays["gamma"] / np.sqrt(x.var(axes) + 1e-5)
    shift = arrays["beta"] - scale * x.mean(axes)
    normalised = x * scale[:, None, None] + shift[:, None, None]
    arrays["grad_output"][np.abs(normalised) < 1e-5] = 0
    return arrays


def head_inputs(batch: int) -> dict[str, np.ndarray]:
    """Return the arguments of pooling, of the linear layer and of the loss."""
    rng = np.random.default_rng(0)
    return {
        "x": activations(rng, batch, *STAGES[-1]),
        "grad_pooled": _normal(rng, batch, FEATURES, 1, 1),
        "features": _normal(rng, batch, FEATURES),
        "weights": _normal(rng, CLASSES, FEATURES) / 16,
        "bias": _normal(rng, CLASSES),
        "logits": _normal(rng, batch, CLASSES),
        "grad_logits": _normal(rng, batch, CLASSES),
        "labels": rng.integers(0, CLASSES, batch),
    }


def update_inputs() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return parameters and gradients with the sizes of the whole network."""
    rng = np.random.default_rng(0)
    shapes = [(CLASSES, FEATURES), (CLASSES,)]
    for conv in CONVS:
        kernel = (conv.K, conv.C, conv.R, conv.R)
        shapes += conv.layers * [kernel, (conv.K,), (conv.K,)]  # and gamma, beta
    return [_normal(rng, *shape) for shape in shapes], [
        _normal(rng, *shape) for shape in shapes
    ]


def activations(rng: np.random.Generator, N: int, C: int, H: int) -> np.ndarray:
    """Return normal numbers of shape (N, C, H, H) in channels-last memory."""
    return _normal(rng, N, H, H, C).transpose(0, 3, 1, 2)


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape, np.float32)
