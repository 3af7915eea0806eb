"""ResNet-18 for 32x32 images: explicit forward, explicit backward.

    image (N, 3, 32, 32)
      stem      conv 3x3, batch norm, relu       (N,  64, 32, 32)
      stage 1   two basic blocks                 (N,  64, 32, 32)
      stage 2   two basic blocks, first stride 2 (N, 128, 16, 16)
      stage 3   likewise                         (N, 256,  8,  8)
      stage 4   likewise                         (N, 512,  4,  4)
      head      global average pool, linear      (N, 10)

`architecture.py` lists the blocks, and names and shapes of all tensors.  Nothing here
is mutated: a forward returns the new state and a cache, a backward reads the cache.

He, Zhang, Ren & Sun 2016, arXiv:1512.03385; the 3x3 stem is that of its section 4.2.
"""

from typing import NamedTuple

import numpy as np
from architecture import Block, ResNetConfig, Tensors, fold, network_blocks

from odyssey.ops.activation import relu_backward
from odyssey.ops.batch_norm import batch_norm2d, batch_norm2d_backward
from odyssey.ops.batch_statistics import BatchStatistics, batch_statistics
from odyssey.ops.conv import conv2d, conv2d_backward
from odyssey.ops.linear import linear, linear_backward
from odyssey.ops.pooling import global_avgpool2d, global_avgpool2d_backward

BN_MOMENTUM = 0.1  # weight of the batch in the new running statistics


class ConvCache(NamedTuple):
    """What the backward of convolution and batch norm needs of their forward."""

    x: np.ndarray  # (N, C, H, W) input of the convolution
    conv: np.ndarray  # (N, K, P, Q) its output, which batch norm normalised
    statistics: BatchStatistics  # mean and variance of each channel of that


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


class _Layers:
    """The pair convolution and batch norm, with the dictionaries that it works on."""

    def __init__(self, params: Tensors, state: Tensors, training: bool):
        self.params, self.state, self.training = params, state, training
        self.new_state = dict(state)

    def conv_bn(self, conv, norm, x, stride, padding, addend=None, relu=True):
        """Return relu(batch norm of the convolution of x, plus addend), and a cache."""
        p, s, new = self.params, self.state, self.new_state
        kernel, bias = p[f"{conv}_kernel"], p.get(f"{conv}_bias")
        ending = {"addend": addend, "relu": relu}  # in the same pass over memory
        if not self.training:  # batch norm is part of the convolution
            return conv2d(x, kernel, bias, stride, padding, **ending), None
        mean, var = f"{norm}_running_mean", f"{norm}_running_var"
        bn = p[f"{norm}_gamma"], p[f"{norm}_beta"], s[mean], s[var]
        h = conv2d(x, kernel, bias, stride, padding)
        statistics = batch_statistics(h)
        out, new[mean], new[var] = batch_norm2d(
            h, *bn, momentum=BN_MOMENTUM, statistics=statistics, **ending
        )
        return out, ConvCache(x, h, statistics)


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
    None: activations are let go as soon as they are used.  Whoever has many batches
    gives ``fold(params, state, config)`` for ``params``, to have it done once.
    """
    if not training and "bn1_gamma" in params:
        params = fold(params, state, config)
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


class _Gradients:
    """The gradients as they are found, and the parameters that they belong to."""

    def __init__(self, params: Tensors):
        self.params, self.grads = params, {}

    def conv_bn(
        self, conv, norm, grad_output, cache, stride, padding, relu, keep=False, **more
    ):
        """Keep a pair's gradients, return x's; ``relu`` tells that one followed.

        ``grad_output`` is overwritten, for want of memory, unless ``keep`` is True.
        """
        p, grads = self.params, self.grads
        gamma, beta = p[f"{norm}_gamma"], p[f"{norm}_beta"]
        # In training the running statistics play no part: beta's shape will do.
        bn = cache.conv, gamma, beta, beta, beta
        options = {"relu": relu, "statistics": cache.statistics}
        options["out"] = None if keep else grad_output
        grad_conv, grads[f"{norm}_gamma"], grads[f"{norm}_beta"] = (
            batch_norm2d_backward(grad_output, *bn, **options)
        )
        kernel, has_bias = p[f"{conv}_kernel"], f"{conv}_bias" in p
        grad_x, grads[f"{conv}_kernel"], grad_bias = conv2d_backward(
            grad_conv,
            cache.x,
            kernel,
            stride,
            padding,
            needs_grad_bias=has_bias,
            **more,
        )
        if has_bias:
            grads[f"{conv}_bias"] = grad_bias
        return grad_x


def basic_block_backward(
    grads: _Gradients, block: Block, grad_output: np.ndarray, cache: BlockCache
) -> np.ndarray:
    """Keep the gradients of a basic block, return that of its input.

    ``grad_output`` is overwritten.
    """
    name, stride = block.name, block.stride
    # out = relu(bn2 + shortcut): addition hands the same gradient to both branches
    grad_sum = grad_x = relu_backward(grad_output, cache.out, out=grad_output)
    if cache.proj is not None:
        names = f"{name}_proj", f"{name}_proj_bn"
        grad_x = grads.conv_bn(
            *names, grad_sum, cache.proj, stride, 0, relu=False, keep=True
        )

    names, keep = (f"{name}_conv2", f"{name}_bn2"), grad_x is grad_sum
    grad_h = grads.conv_bn(*names, grad_sum, cache.conv2, 1, 1, relu=False, keep=keep)
    names = f"{name}_conv1", f"{name}_bn1"
    # x went both ways: the gradients add up
    return grads.conv_bn(
        *names, grad_h, cache.conv1, stride, 1, relu=True, addend=grad_x
    )


def backward(
    grad_logits: np.ndarray, cache: Cache, params: Tensors, config: ResNetConfig
) -> Tensors:
    """Return the gradient of every parameter: the forward upside-down."""
    found = _Gradients(params)
    grads = found.grads
    grad_features, grads["fc_weights"], grads["fc_bias"] = linear_backward(
        grad_logits, cache.features, params["fc_weights"]
    )
    last = cache.blocks[-1].out  # (N, 512, 4, 4)
    grad = global_avgpool2d_backward(grad_features[:, :, None, None], last)
    for block, block_cache in zip(
        reversed(network_blocks(config)), reversed(cache.blocks), strict=True
    ):
        grad = basic_block_backward(found, block, grad, block_cache)
    stem = "conv1", "bn1", grad, cache.stem, 1, 1
    found.conv_bn(*stem, relu=True, needs_grad_input=False)
    return {name: grads[name] for name in params}
