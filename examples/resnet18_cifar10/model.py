"""ResNet-18 for 32x32 images: explicit forward, explicit backward.

    image (N, 3, 32, 32)
      stem      conv 3x3, batch norm, relu       (N,  64, 32, 32)
      stage 1   two basic blocks                 (N,  64, 32, 32)
      stage 2   two basic blocks, first stride 2 (N, 128, 16, 16)
      stage 3   likewise                         (N, 256,  8,  8)
      stage 4   likewise                         (N, 512,  4,  4)
      head      global average pool, linear      (N, 10)

Parameters, gradients and momentum buffers are one type, `Tensors`: dictionaries with
the same names in the same order, so that an update is one loop.  Running statistics
(the *state*) are a fourth such dictionary, with names of their own.  Nothing here is
mutated: a forward returns the new state and a cache, a backward reads the cache.

He, Zhang, Ren & Sun 2016, arXiv:1512.03385; the 3x3 stem is that of its section 4.2.
"""

from typing import NamedTuple

import numpy as np

from odyssey.folding import fold_batch_norm
from odyssey.init import he_normal, uniform_fan_in
from odyssey.ops.activation import relu_backward
from odyssey.ops.addition import add
from odyssey.ops.batch_norm import batch_norm2d, batch_norm2d_backward
from odyssey.ops.conv import conv2d, conv2d_backward
from odyssey.ops.linear import linear, linear_backward
from odyssey.ops.pooling import global_avgpool2d, global_avgpool2d_backward

Tensors = dict[str, np.ndarray]
Shapes = dict[str, tuple[int, ...]]

BN_MOMENTUM = 0.1  # weight of the batch in the new running statistics


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


class ConvCache(NamedTuple):
    """What the backward of convolution and batch norm needs of their forward."""

    x: np.ndarray  # (N, C, H, W) input of the convolution
    conv: np.ndarray  # (N, K, P, Q) its output, which batch norm normalised


class BlockCache(NamedTuple):
    """What the backward of a basic block needs of its forward."""

    conv1: ConvCache
    conv2: ConvCache  # its x is what bn1's relu gave
    proj: ConvCache | None  # None where the shortcut is the identity
    out: np.ndarray  # (N, K, P, Q) after the last relu


class Cache(NamedTuple):
    """What `backward` needs of `forward`."""

    stem: ConvCache
    blocks: list[BlockCache]
    features: np.ndarray  # (N, 512) after the global average pool


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


class _Layers:
    """The pair convolution and batch norm, with the dictionaries that it works on."""

    def __init__(self, params: Tensors, state: Tensors, training: bool):
        self.params, self.state, self.training = params, state, training
        self.new_state = dict(state)

    def conv_bn(self, conv, norm, x, stride, padding, addend=None, relu=True):
        """Return relu(batch norm of the convolution of x, plus addend), and a cache."""
        p, s, new = self.params, self.state, self.new_state
        mean, var = f"{norm}_running_mean", f"{norm}_running_var"
        kernel, bias = p[f"{conv}_kernel"], p.get(f"{conv}_bias")
        bn = p[f"{norm}_gamma"], p[f"{norm}_beta"], s[mean], s[var]
        ending = {"addend": addend, "relu": relu}
        if not self.training:  # batch norm becomes part of the convolution
            kernel, bias = fold_batch_norm(kernel, bias, *bn)
            return conv2d(x, kernel, bias, stride, padding, **ending), None
        h = conv2d(x, kernel, bias, stride, padding)
        out, new[mean], new[var] = batch_norm2d(h, *bn, momentum=BN_MOMENTUM, **ending)
        return out, ConvCache(x, h)


def basic_block(
    layers: _Layers, block: Block, x: np.ndarray
) -> tuple[np.ndarray, BlockCache | None]:
    r"""Run one basic block.

    x -> conv1 -> bn1 -> relu -> conv2 -> bn2 -> (+) -> relu -> out
     \______________ identity, or proj -> proj_bn _/
    """
    name, stride = block.name, block.stride
    shortcut, proj = x, None
    if block.has_projection:
        names = f"{name}_proj", f"{name}_proj_bn"
        shortcut, proj = layers.conv_bn(*names, x, stride, 0, relu=False)
    h, conv1 = layers.conv_bn(f"{name}_conv1", f"{name}_bn1", x, stride, 1)
    out, conv2 = layers.conv_bn(f"{name}_conv2", f"{name}_bn2", h, 1, 1, shortcut)
    return out, BlockCache(conv1, conv2, proj, out) if layers.training else None


def forward(
    params: Tensors,
    state: Tensors,
    x: np.ndarray,
    config: ResNetConfig,
    training: bool = True,
) -> tuple[np.ndarray, Tensors, Cache | None]:
    """Return logits, the new running statistics, and the cache for `backward`.

    ``x`` is (N, 3, H, W), fastest in channels-last memory; the logits are
    (N, num_classes).  In inference the state comes back as it was and the cache is
    None: activations are let go as soon as they are used.
    """
    layers = _Layers(params, state, training)
    h, stem = layers.conv_bn("conv1", "bn1", x, 1, 1)  # (N, 64, 32, 32)
    caches = []
    for block in network_blocks(config):
        h, cache = basic_block(layers, block, h)
        caches.append(cache)
    pooled = global_avgpool2d(h)  # (N, 512, 1, 1)
    features = pooled.reshape(pooled.shape[:2])  # (N, 512)
    logits = linear(features, params["fc_weights"], params["fc_bias"])
    cache = Cache(stem, caches, features) if training else None
    return logits, layers.new_state, cache


def _conv_bn_backward(
    grad_output, cache, params, grads, conv, norm, stride, padding, relu, is_first=False
):
    """Add gradients to ``grads``, return x's; ``relu`` tells that one followed."""
    gamma, beta = params[f"{norm}_gamma"], params[f"{norm}_beta"]
    # In training the running statistics play no part: beta's shape will do for them.
    grad_conv, grads[f"{norm}_gamma"], grads[f"{norm}_beta"] = batch_norm2d_backward(
        grad_output, cache.conv, gamma, beta, beta, beta, relu=relu
    )
    grad_x, grads[f"{conv}_kernel"], grad_bias = conv2d_backward(
        grad_conv,
        cache.x,
        params[f"{conv}_kernel"],
        stride,
        padding,
        needs_grad_input=not is_first,
    )
    if f"{conv}_bias" in params:
        grads[f"{conv}_bias"] = grad_bias
    return grad_x


def basic_block_backward(
    grad_output: np.ndarray,
    cache: BlockCache,
    params: Tensors,
    grads: Tensors,
    block: Block,
) -> np.ndarray:
    """Add a basic block's gradients to ``grads``, return that of its input."""
    name, stride = block.name, block.stride
    # out = relu(bn2 + shortcut): addition hands the same gradient to both branches
    grad_sum = relu_backward(grad_output, cache.out)

    names = f"{name}_conv2", f"{name}_bn2"
    grad_h = _conv_bn_backward(
        grad_sum, cache.conv2, params, grads, *names, 1, 1, relu=False
    )
    names = f"{name}_conv1", f"{name}_bn1"
    grad_main = _conv_bn_backward(
        grad_h, cache.conv1, params, grads, *names, stride, 1, relu=True
    )
    grad_shortcut = grad_sum
    if cache.proj is not None:
        names = f"{name}_proj", f"{name}_proj_bn"
        grad_shortcut = _conv_bn_backward(
            grad_sum, cache.proj, params, grads, *names, stride, 0, relu=False
        )
    return add(grad_main, grad_shortcut)  # x was used twice: gradients add up


def backward(
    grad_logits: np.ndarray, cache: Cache, params: Tensors, config: ResNetConfig
) -> Tensors:
    """Return the gradient of every parameter: the forward upside-down."""
    grads: Tensors = {}
    grad_features, grads["fc_weights"], grads["fc_bias"] = linear_backward(
        grad_logits, cache.features, params["fc_weights"]
    )
    last = cache.blocks[-1].out  # (N, 512, 4, 4)
    grad = global_avgpool2d_backward(grad_features[:, :, None, None], last)
    for block, block_cache in zip(
        reversed(network_blocks(config)), reversed(cache.blocks), strict=True
    ):
        grad = basic_block_backward(grad, block_cache, params, grads, block)
    _conv_bn_backward(
        grad, cache.stem, params, grads, "conv1", "bn1", 1, 1, relu=True, is_first=True
    )
    return {name: grads[name] for name in params}
