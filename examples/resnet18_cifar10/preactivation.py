r"""Pre-activation blocks (v2): batch norm and relu come before a convolution.

    x -> bn1 -> relu -> conv1 -> bn2 -> relu -> conv2 -> (+) -> out
     \__________________ identity ______________________/

Nothing but additions lies on the way along the shortcuts, so that a gradient reaches
the first block as it left the last one.  At both ends of the network that takes care:

- The first block is given what is through a relu already, the stem's; its bn1 would
  come twice, and it has none.
- The sum that leaves the last block is through no relu: `model.forward` does final_bn
  and relu before it pools.
- A projection ("B") is given relu(bn1), as the branch is; it has no norm.  Identity and
  subsampling ("A") take x itself.

He, Zhang, Ren & Sun 2016, arXiv:1603.05027, section 4.1 and appendix.
"""

from typing import NamedTuple

import numpy as np
from architecture import NORM_TENSORS, Block
from layers import (
    ConvCache,
    Gradients,
    Layers,
    NormCache,
    batch_norm,
    batch_norm_backward,
    block_shortcut,
    block_shortcut_backward,
    conv_bn,
    conv_bn_add,
    conv_bn_add_backward,
    conv_bn_backward,
)

from odyssey.ops.activation import relu
from odyssey.ops.addition import add
from odyssey.ops.batch_norm import batch_norm2d


class PreactivationCache(NamedTuple):
    """What the backward of either block needs of its forward."""

    bn1: NormCache | None  # None in the first block; else its x is the block's
    conv1: ConvCache  # its x is a = relu(bn1(x)), in the first block x
    conv2: ConvCache
    conv3: ConvCache | None  # of a bottleneck
    proj: ConvCache | None  # None where the shortcut has no parameters


def basic_block(
    layers: Layers, block: Block, x: np.ndarray
) -> tuple[np.ndarray, PreactivationCache]:
    """Run one basic block, as drawn above."""
    name = block.name
    a, bn1, shortcut, proj = _begin(layers, block, x)
    h, conv1 = conv_bn(layers, f"{name}_conv1", f"{name}_bn2", a, block.stride)
    out, conv2 = conv_bn_add(
        layers, block, f"{name}_conv2", None, h, shortcut, relu=False
    )
    return out, PreactivationCache(bn1, conv1, conv2, None, proj)


def basic_block_backward(
    grads: Gradients, block: Block, grad_output: np.ndarray, cache: PreactivationCache
) -> np.ndarray:
    """Find the gradients of a basic block, return that of its input."""
    # forward: out = conv2(h) + shortcut
    grad_h = conv_bn_add_backward(grads, grad_output, cache.conv2)
    return _end(grads, block, grad_h, grad_output, cache)


def bottleneck(
    layers: Layers, block: Block, x: np.ndarray
) -> tuple[np.ndarray, PreactivationCache]:
    r"""Run one bottleneck.

    x -> bn1 -> relu -> conv1 -> bn2 -> relu -> conv2 -> bn3 -> relu -> conv3 -> (+)
     \____________________________ identity ____________________________________/
    """
    name = block.name
    a, bn1, shortcut, proj = _begin(layers, block, x)
    h, conv1 = conv_bn(layers, f"{name}_conv1", f"{name}_bn2", a)
    h, conv2 = conv_bn(layers, f"{name}_conv2", f"{name}_bn3", h, block.stride)
    out, conv3 = conv_bn_add(
        layers, block, f"{name}_conv3", None, h, shortcut, relu=False
    )
    return out, PreactivationCache(bn1, conv1, conv2, conv3, proj)


def bottleneck_backward(
    grads: Gradients, block: Block, grad_output: np.ndarray, cache: PreactivationCache
) -> np.ndarray:
    """Find the gradients of a bottleneck, return that of its input."""
    # forward: out = conv3(h) + shortcut
    grad_h = conv_bn_add_backward(grads, grad_output, cache.conv3)
    # forward: h = relu(bn3(conv2(h)))
    grad_h = conv_bn_backward(grads, grad_h, cache.conv2)
    return _end(grads, block, grad_h, grad_output, cache)


def bn_relu(layers: Layers, norm: str, x: np.ndarray):
    """Return relu(batch norm of x), and a cache for `batch_norm_backward`."""
    p = layers.params
    if f"{norm}_gamma" not in p:
        return relu(x), NormCache(norm, x, None, relu=True)
    if layers.training:
        return batch_norm(layers, norm, x)
    bn = (p[f"{norm}_{kind}"] for kind in NORM_TENSORS)  # where `fold` left them
    return batch_norm2d(x, *bn, training=False, relu=True)[0], None


def _begin(layers, block, x):
    """Return a = relu(bn1(x)) and its cache, the shortcut and that of its projection.

    In the first block a is x.
    """
    a, bn1 = (x, None) if block.is_first else bn_relu(layers, f"{block.name}_bn1", x)
    shortcut, proj = block_shortcut(layers, block, a if block.shortcut == "B" else x)
    return a, bn1, shortcut, proj


def _end(grads, block, grad_h, grad_output, cache):
    """Go back through conv1 and bn1, and meet the shortcut; return x's gradient."""
    # forward: shortcut = x, subsample(x) or proj(a)
    shared = block.is_first or block.shortcut == "B"
    seen = cache.conv1.x if shared else cache.bn1.x
    grad_seen = block_shortcut_backward(grads, block, grad_output, seen, cache.proj)
    # forward: h = relu(bn2(conv1(a))); what went both ways has gradients that add up
    addend = grad_seen if shared else None
    grad_a = conv_bn_backward(grads, grad_h, cache.conv1, addend=addend)
    if block.is_first:
        return grad_a  # a = x
    # forward: a = relu(bn1(x))
    grad_x = batch_norm_backward(grads, grad_a, cache.bn1)
    return grad_x if shared else add(grad_x, grad_seen)
