"""ResNet-18 for 32x32 images: explicit forward, explicit backward.

    image (N, 3, 32, 32)
      stem      conv 3x3, batch norm, relu       (N,  64, 32, 32)
      stage 1   two basic blocks                 (N,  64, 32, 32)
      stage 2   two basic blocks, first stride 2 (N, 128, 16, 16)
      stage 3   likewise                         (N, 256,  8,  8)
      stage 4   likewise                         (N, 512,  4,  4)
      head      global average pool, linear      (N, 10)

`architecture.py` lists the blocks, and names and shapes of all tensors; `layers.py` has
convolution with batch norm, and the shortcut.  Nothing here is mutated: a forward
returns the new state and a cache, a backward reads the cache.

`forward` and `backward` serve the rest of the family, too: other blocks, from
`bottleneck.py` and `preactivation.py`, or more of them.  Pre-activation and dropout are
the only steps there that ResNet-18 goes without.

He, Zhang, Ren & Sun 2016, arXiv:1512.03385; the 3x3 stem is that of its section 4.2.
"""

from typing import NamedTuple

import bottleneck
import numpy as np
import preactivation
from architecture import Block, ResNetConfig, Tensors, fold, network_blocks
from layers import (
    ConvCache,
    Gradients,
    Layers,
    NormCache,
    batch_norm_backward,
    block_shortcut,
    block_shortcut_backward,
    conv_bn,
    conv_bn_add,
    conv_bn_add_backward,
    conv_bn_backward,
)

from odyssey.ops.activation import relu_backward
from odyssey.ops.dropout import dropout, dropout_backward
from odyssey.ops.linear import linear, linear_backward
from odyssey.ops.pooling import global_avgpool2d, global_avgpool2d_backward


class BlockCache(NamedTuple):
    """What the backward of a basic block needs of its forward."""

    conv1: ConvCache  # its x is the block's
    conv2: ConvCache
    proj: ConvCache | None  # None where the shortcut has no parameters
    out: np.ndarray  # (N, K, P, Q) after the last relu


class Cache(NamedTuple):
    """What `backward` needs of `forward`."""

    stem: ConvCache
    blocks: list  # a cache for each block
    final: NormCache | None  # of the last norm, with pre-activation
    last: np.ndarray  # (N, 512, 4, 4) what is pooled
    features: np.ndarray  # (N, 512) what the linear layer was given
    dropped: np.ndarray | None  # (N, 512) mask of dropout


def basic_block(
    layers: Layers, block: Block, x: np.ndarray
) -> tuple[np.ndarray, BlockCache]:
    r"""Run one basic block.

    x -> conv1 -> bn1 -> relu -> conv2 -> bn2 -> (+) -> relu -> out
     \______________ identity, or proj -> proj_bn _/
    """
    name = block.name
    h, conv1 = conv_bn(layers, f"{name}_conv1", f"{name}_bn1", x, block.stride)
    shortcut, proj = block_shortcut(layers, block, x)
    out, conv2 = conv_bn_add(layers, block, f"{name}_conv2", f"{name}_bn2", h, shortcut)
    return out, BlockCache(conv1, conv2, proj, out)


def basic_block_backward(
    grads: Gradients, block: Block, grad_output: np.ndarray, cache: BlockCache
) -> np.ndarray:
    """Find the gradients of a basic block, return that of its input.

    ``grad_output`` is overwritten.
    """
    # forward: out = relu(bn2(conv2(h)) + shortcut)
    # addition hands the same gradient to both branches
    grad_sum = relu_backward(grad_output, cache.out, out=grad_output)
    grad_h = conv_bn_add_backward(grads, grad_sum, cache.conv2)
    # forward: shortcut = x, or proj_bn(proj(x))
    grad_x = block_shortcut_backward(grads, block, grad_sum, cache.conv1.x, cache.proj)
    # forward: h = relu(bn1(conv1(x))); x went both ways: the gradients add up
    return conv_bn_backward(grads, grad_h, cache.conv1, addend=grad_x)


def block_functions(config: ResNetConfig) -> tuple:
    """Return forward and backward of the network's kind of block."""
    if config.pre_activation and config.bottleneck:
        return preactivation.bottleneck, preactivation.bottleneck_backward
    if config.pre_activation:
        return preactivation.basic_block, preactivation.basic_block_backward
    if config.bottleneck:
        return bottleneck.bottleneck, bottleneck.bottleneck_backward
    return basic_block, basic_block_backward


def forward(
    params: Tensors,
    state: Tensors,
    x: np.ndarray,
    config: ResNetConfig,
    training: bool = True,
    rng: np.random.Generator | None = None,
) -> tuple[np.ndarray, Tensors, Cache | None]:
    """Return logits, the new running statistics, and the cache for `backward`.

    ``x`` is (N, 3, H, W), fastest in channels-last memory; the logits are
    (N, num_classes).  In inference the state comes back as it was and the cache is
    None: activations are let go as soon as they are used.  Whoever has many batches
    gives ``fold(params, state, config)`` for ``params``, to have it done once.

    Training with stochastic depth or dropout draws from ``rng``: first for the blocks
    in their order, then for the features.
    """
    if not training and "bn1_gamma" in params:
        params = fold(params, state, config)
    if training and rng is None and (config.drop_path or config.dropout):
        raise ValueError("forward: drop_path and dropout need an rng in training")
    layers = Layers(params, state, training, rng)
    block_forward, _ = block_functions(config)

    h, stem = conv_bn(layers, "conv1", "bn1", x)  # (N, 64, 32, 32)
    caches = []
    for block in network_blocks(config):
        h, cache = block_forward(layers, block, h)
        if training:
            caches.append(cache)
    final = dropped = None
    if config.pre_activation:
        h, final = preactivation.bn_relu(layers, "final_bn", h)
    pooled = global_avgpool2d(h)  # (N, 512, 1, 1)
    features = pooled.reshape(pooled.shape[:2])  # (N, 512)
    if training and config.dropout:
        features, dropped = dropout(features, config.dropout, rng)
    logits = linear(features, params["fc_weights"], params["fc_bias"])
    if not training:
        return logits, layers.new_state, None
    return logits, layers.new_state, Cache(stem, caches, final, h, features, dropped)


def backward(
    grad_logits: np.ndarray, cache: Cache, params: Tensors, config: ResNetConfig
) -> Tensors:
    """Return the gradient of every parameter: the forward upside-down."""
    grads = Gradients(params)
    _, block_backward = block_functions(config)
    grad_features, grads["fc_weights"], grads["fc_bias"] = linear_backward(
        grad_logits, cache.features, params["fc_weights"]
    )
    if cache.dropped is not None:
        grad_features = dropout_backward(grad_features, cache.dropped)
    grad = global_avgpool2d_backward(grad_features[:, :, None, None], cache.last)
    if cache.final is not None:
        grad = batch_norm_backward(grads, grad, cache.final)
    for block, block_cache in zip(
        reversed(network_blocks(config)), reversed(cache.blocks), strict=True
    ):
        grad = block_backward(grads, block, grad, block_cache)
    conv_bn_backward(grads, grad, cache.stem, needs_grad_input=False)
    return {name: grads[name] for name in params}
