"""ResNet-18 for 32x32 images: explicit forward, explicit backward.

    image (N, 3, 32, 32)
      stem      conv 3x3, batch norm, relu       (N,  64, 32, 32)
      stage 1   two basic blocks                 (N,  64, 32, 32)
      stage 2   two basic blocks, first stride 2 (N, 128, 16, 16)
      stage 3   likewise                         (N, 256,  8,  8)
      stage 4   likewise                         (N, 512,  4,  4)
      head      global average pool, linear      (N, 10)

The stem for ImageNet is a 7x7 convolution with stride 2, and a max pooling after the
relu; with it, all sides are a quarter of these.

`architecture.py` lists the blocks, and the names and shapes of all tensors.
`odyssey.layers` has convolution with batch norm, and the shortcut.  A forward changes
none of its arguments: it returns the new state and a cache, which the backward reads.
A backward overwrites a gradient only if the call allows it, by ``reuse=``.

Each tensor of the cache, and what the backward needs it for:

    stem.x                 the images            gradient of the stem's kernel
    stem.after.x           conv1's output        xhat of bn1 and its relu's mask
    blocks[i].conv1.x      the block's input     gradient of conv1's kernel (and proj's)
    blocks[i].conv1.after.x   conv1's output     xhat of bn1 and its relu's mask
    blocks[i].conv2.x      that of bn1           gradient of conv2's kernel: relu(bn1)
                                                 is not kept, but found once more
    blocks[i].conv2.after.x   conv2's output     xhat of bn2
    blocks[i].proj.after.x    proj's output      xhat of proj_bn
    blocks[i].out          the block's output    mask of its last relu; it is the same
                                                 array as the next block's conv1.x
    last                   the last output       its height and width, for the pooling
    features               (N, 512), pooled      gradient of the linear layer's weights
    unpooled               the stem's output     positions of the maxima
    dropped                mask of dropout       gradient of the features
    after.statistics       mean and variance     (C,) each; xhat without another pass

`forward` and `backward` are also those of the other networks, which have more blocks or
those of `bottleneck.py` and `preactivation.py`.  Their only steps that ResNet-18 does
not have are the stem's max pooling, pre-activation and dropout.

He, Zhang, Ren & Sun 2016, arXiv:1512.03385; section 4.2 has the 3x3 stem.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from odyssey.layers.blocks import run_blocks, run_blocks_backward
from odyssey.layers.context import Context, Gradients, Tensors
from odyssey.layers.conv_norm import (
    ConvCache,
    conv_norm,
    conv_norm_add,
    conv_norm_add_backward,
    conv_norm_backward,
)
from odyssey.layers.norm import NormCache, ReluCache, norm_backward, norm_relu
from odyssey.layers.shortcut import shortcut_backward
from odyssey.ops.activation import relu_backward
from odyssey.ops.dropout import dropout, dropout_backward
from odyssey.ops.linear import linear, linear_backward
from odyssey.ops.pooling import (
    global_avgpool2d,
    global_avgpool2d_backward,
    maxpool2d,
    maxpool2d_backward,
)
from resnet18_cifar10 import bottleneck, preactivation
from resnet18_cifar10.architecture import (
    STEM_POOL,
    STEMS,
    Block,
    ResNetConfig,
    block_shortcut,
    fold,
    network_blocks,
)


class BlockCache(NamedTuple):
    """The tensors that the backward of a basic block needs from its forward."""

    conv1: ConvCache  # its x is the block's input
    conv2: ConvCache
    proj: ConvCache | None  # None where the shortcut has no parameters
    out: np.ndarray  # (N, K, P, Q) after the last relu


class Cache(NamedTuple):
    """The tensors that `backward` needs from `forward`."""

    stem: ConvCache
    blocks: list  # a cache for each block
    final: NormCache | ReluCache | None  # of the last norm, with pre-activation
    last: np.ndarray  # (N, 512, 4, 4) input of the pooling
    features: np.ndarray  # (N, 512) input of the linear layer
    dropped: np.ndarray | None  # (N, 512) mask of dropout
    unpooled: np.ndarray | None  # (N, 64, 112, 112) input of the stem's max pooling


def basic_block(
    context: Context, block: Block, x: np.ndarray
) -> tuple[np.ndarray, BlockCache | None]:
    r"""Run one basic block.

    x -> conv1 -> bn1 -> relu -> conv2 -> bn2 -> (+) -> relu -> out
     \______________ identity, or proj -> proj_bn _/
    """
    name = block.name
    h, conv1 = conv_norm(context, f"{name}_conv1", f"{name}_bn1", x, block.stride)
    shortcut, proj = block_shortcut(context, block, x)
    out, conv2 = conv_norm_add(
        context,
        f"{name}_conv2",
        f"{name}_bn2",
        h,
        shortcut,
        drop_path=block.drop_path,
        source=conv1,
    )
    if conv1 is None or conv2 is None:  # inference
        return out, None
    return out, BlockCache(conv1, conv2, proj, out)


def basic_block_backward(
    grads: Gradients,
    block: Block,
    grad_output: np.ndarray,
    cache: BlockCache,
    *,
    reuse: np.ndarray | None = None,
) -> np.ndarray:
    """Put a basic block's gradients into ``grads``; return that of its input.

    ``reuse`` is ``grad_output`` if it may be overwritten, else None.
    """
    # forward: out = relu(bn2(conv2(h)) + shortcut)
    # branch and shortcut get the same gradient, so conv2's backward must not change it
    grad_sum = relu_backward(grad_output, cache.out, out=reuse)
    grad_h = conv_norm_add_backward(grads, grad_sum, cache.conv2)
    # forward: shortcut = x, or proj_bn(proj(x)); nothing needs grad_sum after this
    grad_shortcut = shortcut_backward(
        grads,
        block.shortcut,
        grad_sum,
        cache.conv1.x,
        block.stride,
        cache.proj,
        reuse=grad_sum,
    )
    # forward: h = relu(bn1(conv1(x))); x is used twice: its gradients add up
    return conv_norm_backward(
        grads, grad_h, cache.conv1, reuse=grad_h, addend=grad_shortcut
    )


def block_functions(config: ResNetConfig) -> tuple[Callable, Callable]:
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
    *,
    folded: bool = False,
    recompute: bool = False,
) -> tuple[np.ndarray, Tensors, Cache | None]:
    """Return logits, the new running statistics, and the cache for `backward`.

    ``x`` is (N, 3, H, W), fastest in channels-last memory; the logits are
    (N, num_classes).  In inference the state is returned unchanged and the cache is
    None: activations are freed as soon as they are used.  For many batches, call
    ``fold(params, state, config)`` once and pass the result as ``params``, with
    ``folded=True``.

    Training with stochastic depth or dropout draws random numbers from ``rng``: first
    for the blocks in order, then for the features.

    ``recompute`` keeps only the input of each block for the backward, which runs the
    block again: less memory, more time, the same bits.
    """
    if not (training or folded):
        params = fold(params, state, config)
    if training and rng is None and (config.drop_path or config.dropout):
        raise ValueError("forward: drop_path and dropout need an rng in training")
    context = Context(params, state, training, normalize=config.normalize, rng=rng)
    block_forward, _ = block_functions(config)

    stride = STEMS[config.stem][1]
    h, stem = conv_norm(context, "conv1", "bn1", x, stride)  # (N, 64, 32, 32)
    unpooled = None
    if config.stem == "imagenet":
        unpooled, h = h, maxpool2d(h, *STEM_POOL)
    h, caches = run_blocks(
        context, block_forward, network_blocks(config), h, recompute=recompute
    )
    final = dropped = None
    if config.pre_activation:
        h, final = norm_relu(context, "final_bn", h)
    pooled = global_avgpool2d(h)  # (N, 512, 1, 1)
    features = pooled.reshape(pooled.shape[:2])  # (N, 512)
    if training and config.dropout:
        features, dropped = dropout(features, config.dropout, rng)
    logits = linear(features, params["fc_weights"], params["fc_bias"])
    if stem is None:  # inference
        return logits, context.new_state, None
    cache = Cache(stem, caches, final, h, features, dropped, unpooled)
    return logits, context.new_state, cache


def backward(
    grad_logits: np.ndarray,
    cache: Cache,
    params: Tensors,
    config: ResNetConfig,
    *,
    reuse: Cache | None = None,
) -> Tensors:
    """Return the gradient of every parameter; the forward's lines in reverse order.

    Parameters
    ----------
    grad_logits : (N, num_classes)
    cache : Cache
        From the forward in training.
    params, config
        Those of the forward.
    reuse : Cache, optional
        ``cache``, if it may be emptied: activations are freed as they are used.
    """
    grads = Gradients(params)
    functions, blocks = block_functions(config), network_blocks(config)
    # forward: logits = linear(features, fc_weights, fc_bias)
    grad_features, grads["fc_weights"], grads["fc_bias"] = linear_backward(
        grad_logits, cache.features, params["fc_weights"]
    )
    # forward: features, dropped = dropout(features, ...)
    if cache.dropped is not None:
        grad_features = dropout_backward(grad_features, cache.dropped)
    # forward: pooled = global_avgpool2d(h); features = pooled.reshape(N, 512)
    grad = global_avgpool2d_backward(grad_features[:, :, None, None], cache.last)
    # forward: h = relu(final_bn(h)), with pre-activation
    grad = norm_backward(grads, grad, cache.final, reuse=grad)
    # forward: h, caches = run_blocks(context, block_forward, blocks, h)
    spent = None if reuse is None else cache.blocks
    grad = run_blocks_backward(
        grads, *functions, blocks, grad, cache.blocks, reuse=spent
    )
    # forward: h = maxpool2d(unpooled), in the stem for ImageNet
    if cache.unpooled is not None:
        grad = maxpool2d_backward(grad, cache.unpooled, *STEM_POOL)
    # forward: h = relu(bn1(conv1(x))); the images need no gradient
    conv_norm_backward(grads, grad, cache.stem, reuse=grad, needs_grad_input=False)
    return grads.in_order()
