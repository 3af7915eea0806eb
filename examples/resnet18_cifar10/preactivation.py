r"""Pre-activation blocks (v2): batch norm and relu come before a convolution.

    x -> bn1 -> relu -> conv1 -> bn2 -> relu -> conv2 -> (+) -> out
     \__________________ identity ______________________/

Along the shortcuts there are only additions, so the gradient of the last block reaches
the first one unchanged.  Both ends of the network and projections are special cases:

- The stem has applied a norm and a relu to the input of the first block, so this block
  has no bn1 and no relu before conv1.
- No relu has been applied to the output of the last block, so `model.forward` applies
  final_bn and relu before the pooling.
- A projection ("B") has the input relu(bn1(x)), as the branch has, and no norm.
  Identity and subsampling ("A") have the input x.

He, Zhang, Ren & Sun 2016, arXiv:1603.05027, section 4.1 and appendix.
"""

from typing import NamedTuple

import numpy as np

from odyssey.layers.context import Context, Gradients
from odyssey.layers.conv_norm import (
    ConvCache,
    conv_norm,
    conv_norm_add,
    conv_norm_add_backward,
    conv_norm_backward,
)
from odyssey.layers.norm import NormCache, ReluCache, norm_backward, norm_relu
from odyssey.layers.shortcut import shortcut_backward
from odyssey.ops.addition import add
from resnet18_cifar10.architecture import Block, block_shortcut


class PreactivationCache(NamedTuple):
    """The tensors that the backward of either block needs from its forward."""

    bn1: NormCache | ReluCache | None  # None in the first block
    conv1: ConvCache  # its x is a = relu(bn1(x)); in the first block it is x
    conv2: ConvCache
    conv3: ConvCache | None  # of a bottleneck
    proj: ConvCache | None  # None where the shortcut has no parameters


def basic_block(
    context: Context, block: Block, x: np.ndarray
) -> tuple[np.ndarray, PreactivationCache | None]:
    """Run one basic block, as drawn above."""
    name = block.name
    a, bn1, shortcut, proj = _begin(context, block, x)
    h, conv1 = conv_norm(context, f"{name}_conv1", f"{name}_bn2", a, block.stride)
    out, conv2 = conv_norm_add(
        context,
        f"{name}_conv2",
        None,
        h,
        shortcut,
        drop_path=block.drop_path,
        source=conv1,
        relu=False,
    )
    if conv1 is None or conv2 is None:  # inference
        return out, None
    return out, PreactivationCache(bn1, conv1, conv2, None, proj)


def basic_block_backward(
    grads: Gradients,
    block: Block,
    grad_output: np.ndarray,
    cache: PreactivationCache,
    *,
    reuse: np.ndarray | None = None,
) -> np.ndarray:
    """Put a basic block's gradients into ``grads``; return that of its input.

    ``reuse`` is not used; other kinds of blocks need it.
    """
    # forward: out = conv2(h) + shortcut
    grad_h = conv_norm_add_backward(grads, grad_output, cache.conv2)
    return _end(grads, block, grad_h, grad_output, cache)


def bottleneck(
    context: Context, block: Block, x: np.ndarray
) -> tuple[np.ndarray, PreactivationCache | None]:
    r"""Run one bottleneck.

    x -> bn1 -> relu -> conv1 -> bn2 -> relu -> conv2 -> bn3 -> relu -> conv3 -> (+)
     \____________________________ identity ____________________________________/
    """
    name = block.name
    a, bn1, shortcut, proj = _begin(context, block, x)
    h, conv1 = conv_norm(context, f"{name}_conv1", f"{name}_bn2", a)
    h, conv2 = conv_norm(
        context, f"{name}_conv2", f"{name}_bn3", h, block.stride, source=conv1
    )
    out, conv3 = conv_norm_add(
        context,
        f"{name}_conv3",
        None,
        h,
        shortcut,
        drop_path=block.drop_path,
        source=conv2,
        relu=False,
    )
    if conv1 is None or conv2 is None:  # inference
        return out, None
    return out, PreactivationCache(bn1, conv1, conv2, conv3, proj)


def bottleneck_backward(
    grads: Gradients,
    block: Block,
    grad_output: np.ndarray,
    cache: PreactivationCache,
    *,
    reuse: np.ndarray | None = None,
) -> np.ndarray:
    """Put a bottleneck's gradients into ``grads``; return that of its input.

    ``reuse`` is not used; other kinds of blocks need it.
    """
    assert cache.conv3 is not None
    # forward: out = conv3(h) + shortcut
    grad_h = conv_norm_add_backward(grads, grad_output, cache.conv3)
    # forward: h = relu(bn3(conv2(h)))
    grad_h = conv_norm_backward(grads, grad_h, cache.conv2, reuse=grad_h)
    return _end(grads, block, grad_h, grad_output, cache)


def _begin(
    context: Context, block: Block, x: np.ndarray
) -> tuple[np.ndarray, NormCache | ReluCache | None, np.ndarray, ConvCache | None]:
    """Return a = relu(bn1(x)) and its cache, the shortcut and that of its projection.

    In the first block a is x.
    """
    a, bn1 = x, None
    if not block.is_first:
        a, bn1 = norm_relu(context, f"{block.name}_bn1", x)
    shortcut, proj = block_shortcut(context, block, a if block.shortcut == "B" else x)
    return a, bn1, shortcut, proj


def _end(
    grads: Gradients,
    block: Block,
    grad_h: np.ndarray,
    grad_output: np.ndarray,
    cache: PreactivationCache,
) -> np.ndarray:
    """Run the backward of conv1, bn1 and the shortcut; return the gradient of x."""
    # forward: shortcut = x, subsample(x) or proj(a); a has the shape of x
    grad_shortcut = shortcut_backward(
        grads, block.shortcut, grad_output, cache.conv1.x, block.stride, cache.proj
    )
    # forward: h = relu(bn2(conv1(a)))
    if block.is_first or block.shortcut == "B":  # a is used twice: add up
        grad_a = conv_norm_backward(
            grads, grad_h, cache.conv1, reuse=grad_h, addend=grad_shortcut
        )
        # forward: a = relu(bn1(x)), in the first block a = x
        return norm_backward(grads, grad_a, cache.bn1, reuse=grad_a)
    # x is used twice: its gradients add up
    grad_a = conv_norm_backward(grads, grad_h, cache.conv1, reuse=grad_h)
    return add(norm_backward(grads, grad_a, cache.bn1, reuse=grad_a), grad_shortcut)
