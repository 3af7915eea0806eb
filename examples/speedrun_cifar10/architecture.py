"""The network's units, the names, shapes and initial values of its tensors, folding.

Names are those of ResNet-18 where there is the same: ``g1_conv1_kernel``,
``g1_bn1_beta``, ``fc_weights``.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from odyssey.folding import fold_batch_norm
from odyssey.init import dirac, initialize_by_name, uniform_fan_in
from odyssey.layers.context import Tensors
from odyssey.layers.listed import Layer, statistic_shapes
from odyssey.network import Shapes
from odyssey.ops.conv import PreparedKernel

PATCH = 2  # pixels of a side of the patches that are whitened
BN_EPS = 1e-12
BN_MOMENTUM = 0.4  # weight of the batch in the new running statistics


class SpeedrunConfig(NamedTuple):
    """Options of the model."""

    width: int = 64  # channels of the first group; the others have four times as many
    num_classes: int = 10


class Unit(NamedTuple):
    """Convolution 3x3, perhaps max pooling 2x2, batch norm, gelu."""

    conv: str  # g1_conv1
    norm: str  # g1_bn1
    in_channels: int
    out_channels: int
    pooled: bool


def whitened(colours: int = 3) -> int:
    """Return the channels of the whitening: all numbers of a patch, with both signs."""
    return 2 * colours * PATCH * PATCH


def units(config: SpeedrunConfig) -> list[Unit]:
    """Return the six units, two a group, in order."""
    first, then = config.width, 4 * config.width
    found, C = [], whitened()
    for number, K in enumerate((first, then, then), 1):
        found += [
            Unit(f"g{number}_conv1", f"g{number}_bn1", C, K, pooled=True),
            Unit(f"g{number}_conv2", f"g{number}_bn2", K, K, pooled=False),
        ]
        C = K
    return found


def parameter_shapes(config: SpeedrunConfig) -> Shapes:
    """Return name and shape of every parameter, the whitening's kernel included."""
    K = whitened()
    shapes: Shapes = {"whiten_kernel": (K, 3, PATCH, PATCH), "whiten_bias": (K,)}
    for unit in units(config):
        C, K = unit.in_channels, unit.out_channels
        shapes |= {f"{unit.conv}_kernel": (K, C, 3, 3), f"{unit.norm}_beta": (K,)}
    return shapes | {"fc_weights": (config.num_classes, 4 * config.width)}


def state_shapes(config: SpeedrunConfig) -> Shapes:
    """Return name and shape of the running statistics."""
    norms = [Layer(None, unit.norm, (unit.out_channels,)) for unit in units(config)]
    return statistic_shapes(norms)


def initialize(config: SpeedrunConfig, seed: int) -> tuple[Tensors, Tensors]:
    """Return initial parameters and state.

    The first filters of a 3x3 kernel, one for each input channel, hand that channel
    on (`dirac`); the others, and the linear layer's weights, are uniform, and the
    latter are then scaled to deviation 1.  The whitening kernel is that of white
    noise, which has nothing to whiten: see `recipe.whitening_kernel`.
    """
    rng = np.random.default_rng(seed)
    params: Tensors = {}
    for name, shape in parameter_shapes(config).items():
        if name == "whiten_kernel":
            params[name] = with_both_signs(np.eye(shape[0] // 2, dtype=np.float32))
        elif name.endswith("_kernel"):
            params[name] = dirac(uniform_fan_in(shape, rng))
        elif name == "fc_weights":
            weights = uniform_fan_in(shape, rng)
            params[name] = weights / weights.std(ddof=1)
        else:
            params[name] = np.zeros(shape, np.float32)
    return params, initialize_by_name(state_shapes(config), seed)


def with_both_signs(filters: np.ndarray) -> np.ndarray:
    """Return filters (n, C*R*S) and their negatives as a kernel (2*n, C, R, S)."""
    both = np.concatenate([filters, -filters])
    return both.reshape(len(both), -1, PATCH, PATCH)


def fold(params: Tensors, state: Tensors, config: SpeedrunConfig) -> Tensors:
    """Return parameters whose kernels and biases include the batch norms.

    Where a pooling comes between convolution and batch norm, it may as well come after
    both: batch norm with gamma 1 multiplies a channel by a positive number, so the
    greatest of a window stays the greatest.  Kernels are prepared for many batches.
    """
    unchanged = ("whiten_kernel", "whiten_bias", "fc_weights")
    folded: dict[str, Any] = {name: params[name] for name in unchanged}
    for unit in units(config):
        beta = params[f"{unit.norm}_beta"]
        kernel, folded[f"{unit.conv}_bias"] = fold_batch_norm(
            params[f"{unit.conv}_kernel"],
            None,
            np.ones_like(beta),
            beta,
            state[f"{unit.norm}_running_mean"],
            state[f"{unit.norm}_running_var"],
            BN_EPS,
        )
        folded[f"{unit.conv}_kernel"] = PreparedKernel(kernel)
    return folded


def recognize(shapes: Mapping[str, tuple[int, ...]]) -> SpeedrunConfig:
    """Return the options of the network whose tensors have these shapes."""
    usual = SpeedrunConfig()
    classes, features = shapes.get("fc_weights", (usual.num_classes, 4 * usual.width))
    return SpeedrunConfig(features // 4, classes)
