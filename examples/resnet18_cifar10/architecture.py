"""The residual networks as data: their blocks, the names and shapes of their tensors.

Parameters, gradients and momentum buffers have one type, `Tensors`: dictionaries with
the same names in the same order, so that an update is one loop.  Running statistics
(the *state*) are a fourth dictionary of this type, with other names.
"""

from typing import NamedTuple

import numpy as np

from odyssey.init import initialize_by_name
from odyssey.layers.context import Context, Tensors
from odyssey.layers.conv_norm import ConvCache
from odyssey.layers.listed import (
    Layer,
    fold_layers,
    layer_shapes,
    statistic_shapes,
)
from odyssey.layers.shortcut import shortcut
from odyssey.network import Shapes, check_options

MAX_BLOCKS = 1000
CHANCES = ("drop_path", "dropout")  # options that draw random numbers in training
EXPANSION = 4  # output channels of a bottleneck, divided by those within it
STEMS = {"cifar": (3, 1), "imagenet": (7, 2)}  # kernel and stride of the stem
STEM_POOL = (3, 2, 1)  # window, stride and padding after the stem for ImageNet


class ResNetConfig(NamedTuple):
    """Options of the model; the defaults are ResNet-18."""

    width: int = 64  # channels of the first stage, doubled at each further one
    blocks: tuple[int, ...] = (2, 2, 2, 2)  # residual blocks of each stage
    num_classes: int = 10
    conv_bias: bool = False  # True in the original project; batch norm cancels it
    bottleneck: bool = False  # convolutions 1x1, 3x3, 1x1 rather than 3x3, 3x3
    pre_activation: bool = False  # norm and relu before a convolution, not after (v2)
    shortcut: str = "B"  # where shapes change: "A" subsamples, zero channels; "B" 1x1
    normalize: bool = True  # False: biases instead of batch norm
    zero_gamma: bool = False  # every residual branch starts as zero
    drop_path: float = 0.0  # probability that the last block's branch is dropped
    dropout: float = 0.0  # probability that a feature is dropped before the last layer
    stem: str = "cifar"  # conv 3x3; "imagenet": 7x7 with stride 2, max pooling


#: He et al. 2016, arXiv:1512.03385: the networks of its table 1 and of section 4.2.
MODELS = {
    "resnet18": ResNetConfig(),
    "resnet34": ResNetConfig(blocks=(3, 4, 6, 3)),
    "resnet50": ResNetConfig(blocks=(3, 4, 6, 3), bottleneck=True),
    "resnet101": ResNetConfig(blocks=(3, 4, 23, 3), bottleneck=True),
    **{
        f"resnet{6 * n + 2}": ResNetConfig(width=16, blocks=(n, n, n), shortcut="A")
        for n in (3, 5, 7, 9, 18)
    },
}


def model_name(config: ResNetConfig) -> str:
    """Return the name of a network with these blocks, "resnet" if it has none."""
    for name, model in MODELS.items():
        if (model.blocks, model.bottleneck) == (config.blocks, config.bottleneck):
            return name
    return "resnet"


def check(config: ResNetConfig) -> None:
    """Raise ``ValueError`` for options that no network of the family has."""
    blocks, wrong = config.blocks, []
    if not blocks or min(blocks) < 1 or sum(blocks) > MAX_BLOCKS:
        wrong.append(f"blocks must be 1 to {MAX_BLOCKS} in all, at least one a stage")
    if config.shortcut not in ("A", "B"):
        wrong.append('shortcut must be "A" or "B"')
    if config.stem not in STEMS:
        wrong.append(f"stem must be one of {', '.join(STEMS)}")
    check_options(config, *wrong)


class Block(NamedTuple):
    """A residual block: its place in the network, and its options."""

    name: str  # s2b1
    in_channels: int
    channels: int  # within the block
    out_channels: int
    stride: int
    shortcut: str  # "A" or "B" where the shape changes, else "identity"
    is_first: bool  # of the network: a relu has just been applied to its input
    drop_path: float  # probability that the branch is dropped
    projection_norm: str | None  # s2b1_proj_bn; None with pre-activation


def network_blocks(config: ResNetConfig) -> list[Block]:
    """Return the residual blocks in the order of the forward."""
    blocks: list[Block] = []
    in_channels = config.width
    for stage, count in enumerate(config.blocks):
        channels = config.width * 2**stage
        out_channels = channels * (EXPANSION if config.bottleneck else 1)
        for index in range(count):
            stride = 2 if stage > 0 and index == 0 else 1
            same = stride == 1 and in_channels == out_channels
            name = f"s{stage + 1}b{index + 1}"
            blocks.append(
                Block(
                    name=name,
                    in_channels=in_channels,
                    channels=channels,
                    out_channels=out_channels,
                    stride=stride,
                    shortcut="identity" if same else config.shortcut,
                    is_first=not blocks,
                    drop_path=config.drop_path * (len(blocks) + 1) / sum(config.blocks),
                    projection_norm=None
                    if config.pre_activation
                    else f"{name}_proj_bn",
                )
            )
            in_channels = out_channels
    return blocks


def block_shortcut(
    context: Context, block: Block, x: np.ndarray
) -> tuple[np.ndarray, ConvCache | None]:
    """Return the shortcut, which is added to a block's branch, and its cache."""
    return shortcut(
        context,
        block.shortcut,
        x,
        out_channels=block.out_channels,
        stride=block.stride,
        conv=f"{block.name}_proj",
        norm=block.projection_norm,
    )


def block_layers(block: Block, config: ResNetConfig) -> list[Layer]:
    """Return the layers of a block: those of its branch, then the projection."""
    name, stride = block.name, block.stride
    C, K, K_out = block.in_channels, block.channels, block.out_channels
    convs = [((K, C, 3, 3), stride), ((K, K, 3, 3), 1)]
    if config.bottleneck:
        convs = [((K, C, 1, 1), 1), ((K, K, 3, 3), stride), ((K_out, K, 1, 1), 1)]
    layers = [
        Layer(f"{name}_conv{number}", f"{name}_bn{number}", *conv)
        for number, conv in enumerate(convs, 1)
    ]
    if config.pre_activation:
        layers = _norms_first(layers, block)
    if block.shortcut == "B":
        kernel = (K_out, C, 1, 1)
        layers.append(Layer(f"{name}_proj", block.projection_norm, kernel, stride))
    return layers


def _norms_first(layers: list[Layer], block: Block) -> list[Layer]:
    """Return a branch in which each norm comes before its convolution (v2).

    So each convolution is followed by the norm of the next one, and the last by none.
    """
    norms = [layer.norm for layer in layers]
    branch = [
        layer._replace(norm=after)
        for layer, after in zip(layers, [*norms[1:], None], strict=True)
    ]
    if block.is_first:  # it uses the stem's norm and relu
        return branch
    return [Layer(None, norms[0], (block.in_channels,)), *branch]


def network_layers(config: ResNetConfig) -> list[Layer]:
    """Return all convolutions and batch norms in the order of the forward."""
    side, stride = STEMS[config.stem]
    layers = [Layer("conv1", "bn1", (config.width, 3, side, side), stride)]
    blocks = network_blocks(config)
    for block in blocks:
        layers += block_layers(block, config)
    if config.pre_activation:
        layers.append(Layer(None, "final_bn", (blocks[-1].out_channels,)))
    if not config.normalize:
        layers = [layer._replace(norm=None) for layer in layers if layer.conv]
    return layers


def parameter_shapes(config: ResNetConfig) -> Shapes:
    """Return name and shape of every trainable tensor; ResNet-18 has 62."""
    biases = config.conv_bias or not config.normalize
    features = network_blocks(config)[-1].out_channels
    return {
        **layer_shapes(network_layers(config), biases=biases),
        "fc_weights": (config.num_classes, features),
        "fc_bias": (config.num_classes,),
    }


def state_shapes(config: ResNetConfig) -> Shapes:
    """Return name and shape of every running statistic; ResNet-18 has 40."""
    return statistic_shapes(network_layers(config))


def initialize(
    config: ResNetConfig, seed: int, dtype: type = np.float32
) -> tuple[Tensors, Tensors]:
    """Return initial parameters and running statistics.

    Kernels are He-normal; gamma and running variances are one; beta, running means and
    biases of convolutions are zero; the linear layer is uniform in +-1/sqrt(features).
    Options may change the last kernel or gamma of each residual branch.
    """
    params = initialize_by_name(parameter_shapes(config), seed, dtype)
    _initialize_branch_ends(params, config)
    return params, initialize_by_name(state_shapes(config), seed, dtype)


def _initialize_branch_ends(params: Tensors, config: ResNetConfig) -> None:
    """Scale the last kernel or gamma of each residual branch, if options say so.

    With ``zero_gamma`` a branch starts as zero, so that the block starts as its
    shortcut.  If a norm ends the branch, its gamma is zero (Goyal et al. 2017,
    arXiv:1706.02677, section 5.1), else the last kernel is.  A gamma of zero before a
    relu would stay zero, because the gradient of the relu is zero there.

    Without norms each branch would double the variance.  With the last kernels divided
    by the root of the number L of blocks, all branches together multiply it by
    (1 + 1/L)^L < e.
    """
    if config.normalize and not config.zero_gamma:
        return
    blocks = network_blocks(config)
    for block in blocks:
        branch = [
            layer
            for layer in block_layers(block, config)
            if layer.conv and not layer.conv.endswith("_proj")
        ]
        conv, norm = branch[-1].conv, branch[-1].norm
        end = f"{norm}_gamma" if norm and config.normalize else f"{conv}_kernel"
        params[end] *= 0 if config.zero_gamma else len(blocks) ** -0.5


def fold(params: Tensors, state: Tensors, config: ResNetConfig) -> Tensors:
    """Return the parameters for inference: batch norms folded into convolutions.

    The norms of pre-activation that follow an addition stay; the result holds their
    running statistics too.  Kernels are prepared for many batches.
    """
    return fold_layers(params, state, network_layers(config))
