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
from architecture import Block
from layers import ConvCache, Gradients, Layers, NormCache, kept

from odyssey.ops.addition import add


class PreactivationCache(NamedTuple):
    """What the backward of either block needs of its forward."""

    x: np.ndarray  # (N, C, H, W) the block's input
    bn1: NormCache | None  # None in the first block
    conv1: ConvCache  # its x is what bn1's relu gave
    conv2: ConvCache
    conv3: ConvCache | None  # of a bottleneck
    proj: ConvCache | None  # None where the shortcut has no parameters
    keep: np.ndarray | None  # (N, 1, 1, 1) factors of the images' branches


def basic_block(
    layers: Layers, block: Block, x: np.ndarray
) -> tuple[np.ndarray, PreactivationCache | None]:
    """Run one basic block, as drawn above."""
    name, stride = block.name, block.stride
    a, bn1, shortcut, proj = _begin(layers, block, x)
    keep = layers.keep(block, x)
    h, conv1 = layers.conv_bn(f"{name}_conv1", f"{name}_bn2", a, stride, 1)
    ending = {"addend": shortcut, "relu": False, "keep": keep}
    out, conv2 = layers.conv_bn(f"{name}_conv2", None, h, 1, 1, **ending)
    if not layers.training:
        return out, None
    return out, PreactivationCache(x, bn1, conv1, conv2, None, proj, keep)


def basic_block_backward(
    grads: Gradients, block: Block, grad_output: np.ndarray, cache: PreactivationCache
) -> np.ndarray:
    """Keep the gradients of a basic block, return that of its input."""
    name, stride = block.name, block.stride
    grad_branch = kept(grad_output, cache.keep)  # out = keep * conv2 + shortcut
    names = f"{name}_conv2", None
    grad_h = grads.conv_bn(*names, grad_branch, cache.conv2, 1, 1, relu=False)
    names = f"{name}_conv1", f"{name}_bn2"
    conv1 = *names, grad_h, cache.conv1, stride, 1
    return _end(grads, block, grad_output, cache, conv1)


def bottleneck(
    layers: Layers, block: Block, x: np.ndarray
) -> tuple[np.ndarray, PreactivationCache | None]:
    r"""Run one bottleneck.

    x -> bn1 -> relu -> conv1 -> bn2 -> relu -> conv2 -> bn3 -> relu -> conv3 -> (+)
     \____________________________ identity ____________________________________/
    """
    name, stride = block.name, block.stride
    a, bn1, shortcut, proj = _begin(layers, block, x)
    keep = layers.keep(block, x)
    h, conv1 = layers.conv_bn(f"{name}_conv1", f"{name}_bn2", a, 1, 0)
    h, conv2 = layers.conv_bn(f"{name}_conv2", f"{name}_bn3", h, stride, 1)
    ending = {"addend": shortcut, "relu": False, "keep": keep}
    out, conv3 = layers.conv_bn(f"{name}_conv3", None, h, 1, 0, **ending)
    if not layers.training:
        return out, None
    return out, PreactivationCache(x, bn1, conv1, conv2, conv3, proj, keep)


def bottleneck_backward(
    grads: Gradients, block: Block, grad_output: np.ndarray, cache: PreactivationCache
) -> np.ndarray:
    """Keep the gradients of a bottleneck, return that of its input."""
    name, stride = block.name, block.stride
    grad_branch = kept(grad_output, cache.keep)  # out = keep * conv3 + shortcut
    names = f"{name}_conv3", None
    grad_h = grads.conv_bn(*names, grad_branch, cache.conv3, 1, 0, relu=False)
    names = f"{name}_conv2", f"{name}_bn3"
    conv2 = *names, grad_h, cache.conv2, stride, 1
    grad_h = grads.conv_bn(*conv2, relu=True, overwrite=True)
    names = f"{name}_conv1", f"{name}_bn2"
    conv1 = *names, grad_h, cache.conv1, 1, 0
    return _end(grads, block, grad_output, cache, conv1)


def _begin(layers, block, x):
    """Return a = relu(bn1(x)) and its cache, the shortcut and that of its projection.

    In the first block a is x.
    """
    a, bn1 = (x, None) if block.is_first else layers.bn_relu(f"{block.name}_bn1", x)
    seen = a if block.shortcut == "B" else x
    return a, bn1, *layers.shortcut(block, seen)


def _end(grads, block, grad_output, cache, conv1):
    """Go back through conv1 with its arguments ``conv1``, and meet the shortcut.

    Where branch and shortcut both had a = relu(bn1(x)), their gradients add up before
    bn1, else behind it.
    """
    seen = cache.conv1.x if block.shortcut == "B" else cache.x
    grad_shortcut = grads.shortcut(block, grad_output, seen, cache.proj)
    if block.is_first or block.shortcut == "B":
        grad_a = grads.conv_bn(*conv1, relu=True, overwrite=True, addend=grad_shortcut)
        if block.is_first:
            return grad_a
        return grads.bn_relu(f"{block.name}_bn1", grad_a, cache.bn1)
    grad_a = grads.conv_bn(*conv1, relu=True, overwrite=True)
    grad_x = grads.bn_relu(f"{block.name}_bn1", grad_a, cache.bn1)
    return add(grad_x, grad_shortcut)
