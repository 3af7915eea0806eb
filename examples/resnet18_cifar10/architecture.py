"""ResNet-18 for 32x32 images as data: its blocks, and its tensors by name and shape.

Parameters, gradients and momentum buffers are one type, `Tensors`: dictionaries with
the same names in the same order, so that an update is one loop.  Running statistics
(the *state*) are a fourth such dictionary, with names of their own.
"""

from typing import NamedTuple

import numpy as np

from odyssey.folding import fold_batch_norm
from odyssey.init import he_normal, uniform_fan_in

Tensors = dict[str, np.ndarray]
Shapes = dict[str, tuple[int, ...]]


class ResNetConfig(NamedTuple):
    """Options of the model."""

    width: int = 64  # channels of the first stage, doubled at each further one
    blocks: tuple[int, ...] = (2, 2, 2, 2)  # basic blocks of each stage
    num_classes: int = 10
    conv_bias: bool = False  # True as in the original project; batch norm undoes it


class Block(NamedTuple):
    """One basic block's place in the network."""

    name: str  # s2b1
    in_channels: int
    channels: int
    stride: int

    @property
    def has_projection(self) -> bool:
        """Tell whether the shortcut needs a 1x1 convolution to match the shape."""
        return self.stride != 1 or self.in_channels != self.channels


def network_blocks(config: ResNetConfig) -> list[Block]:
    """Return the basic blocks in the order of the forward."""
    blocks, in_channels = [], config.width
    for stage, count in enumerate(config.blocks):
        channels = config.width * 2**stage
        for index in range(count):
            stride = 2 if stage > 0 and index == 0 else 1
            name = f"s{stage + 1}b{index + 1}"
            blocks.append(Block(name, in_channels, channels, stride))
            in_channels = channels
    return blocks


def conv_layers(config: ResNetConfig) -> list[tuple[str, str, tuple[int, ...]]]:
    """Return (convolution, its batch norm, shape of its kernel) for all of them."""
    layers = [("conv1", "bn1", (config.width, 3, 3, 3))]
    for block in network_blocks(config):
        name, C, K = block.name, block.in_channels, block.channels
        layers.append((f"{name}_conv1", f"{name}_bn1", (K, C, 3, 3)))
        layers.append((f"{name}_conv2", f"{name}_bn2", (K, K, 3, 3)))
        if block.has_projection:
            layers.append((f"{name}_proj", f"{name}_proj_bn", (K, C, 1, 1)))
    return layers


def parameter_shapes(config: ResNetConfig) -> Shapes:
    """Return name and shape of every trainable tensor: 62, with conv_bias 82."""
    shapes: Shapes = {}
    for conv, norm, kernel in conv_layers(config):
        shapes[f"{conv}_kernel"] = kernel
        if config.conv_bias:
            shapes[f"{conv}_bias"] = kernel[:1]
        shapes[f"{norm}_gamma"] = shapes[f"{norm}_beta"] = kernel[:1]
    features = network_blocks(config)[-1].channels
    shapes["fc_weights"] = (config.num_classes, features)
    shapes["fc_bias"] = (config.num_classes,)
    return shapes


def state_shapes(config: ResNetConfig) -> Shapes:
    """Return name and shape of every running statistic: 40."""
    shapes: Shapes = {}
    for _, norm, kernel in conv_layers(config):
        shapes[f"{norm}_running_mean"] = shapes[f"{norm}_running_var"] = kernel[:1]
    return shapes


def initialize(
    config: ResNetConfig, seed: int, dtype: type = np.float32
) -> tuple[Tensors, Tensors]:
    """Return fresh parameters and running statistics.

    Kernels are He-normal, gamma and running variances one, beta, running means and
    biases of convolutions zero; the linear layer is uniform in +-1/sqrt(features).
    """
    rng = np.random.default_rng(seed)
    params: Tensors = {}
    shapes = parameter_shapes(config)
    for name, shape in shapes.items():
        if name.startswith("fc_"):
            fan_in = shapes["fc_weights"][1]
            params[name] = uniform_fan_in(shape, rng, dtype, fan_in=fan_in)
        elif name.endswith("_kernel"):
            params[name] = he_normal(shape, rng, dtype)
        else:
            params[name] = np.full(shape, name.endswith("_gamma"), dtype)
    state = {
        name: np.full(shape, name.endswith("_var"), dtype)
        for name, shape in state_shapes(config).items()
    }
    return params, state


def fold(params: Tensors, state: Tensors, config: ResNetConfig) -> Tensors:
    """Return the parameters for inference: batch norms folded into convolutions.

    Each convolution has a bias then, and no batch norm is left.
    """
    folded = {name: params[name] for name in ("fc_weights", "fc_bias")}
    for conv, norm, _ in conv_layers(config):
        folded[f"{conv}_kernel"], folded[f"{conv}_bias"] = fold_batch_norm(
            params[f"{conv}_kernel"],
            params.get(f"{conv}_bias"),
            params[f"{norm}_gamma"],
            params[f"{norm}_beta"],
            state[f"{norm}_running_mean"],
            state[f"{norm}_running_var"],
        )
    return folded
