"""The bottleneck block of the deeper networks: 1x1, 3x3 and 1x1 convolutions.

The first convolution has a quarter of the channels that come in, the last restores
them: a 3x3 convolution of as many channels would need 16 times the multiplications.
The stride is the 3x3's, as in most implementations today; in the paper it is the first
1x1's, which leaves three quarters of the pixels unread.

He, Zhang, Ren & Sun 2016, arXiv:1512.03385, figure 5.
"""

from typing import NamedTuple

import numpy as np
from architecture import Block
from layers import ConvCache, Gradients, Layers, kept

from odyssey.ops.activation import relu_backward


class BottleneckCache(NamedTuple):
    """What the backward of a bottleneck needs of its forward."""

    conv1: ConvCache
    conv2: ConvCache
    conv3: ConvCache
    proj: ConvCache | None  # None where the shortcut has no parameters
    keep: np.ndarray | None  # (N, 1, 1, 1) factors of the images' branches
    out: np.ndarray  # (N, 4*K, P, Q) after the last relu


def bottleneck(
    layers: Layers, block: Block, x: np.ndarray
) -> tuple[np.ndarray, BottleneckCache | None]:
    r"""Run one bottleneck.

    x -> conv1 -> bn1 -> relu -> conv2 -> bn2 -> relu -> conv3 -> bn3 -> (+) -> relu
     \____________________ identity, or proj -> proj_bn ________________/
    """
    name, stride = block.name, block.stride
    shortcut, proj = layers.shortcut(block, x)
    keep = layers.keep(block, x)
    h, conv1 = layers.conv_bn(f"{name}_conv1", f"{name}_bn1", x, 1, 0)
    h, conv2 = layers.conv_bn(f"{name}_conv2", f"{name}_bn2", h, stride, 1)
    names = f"{name}_conv3", f"{name}_bn3"
    out, conv3 = layers.conv_bn(*names, h, 1, 0, shortcut, keep=keep)
    if not layers.training:
        return out, None
    return out, BottleneckCache(conv1, conv2, conv3, proj, keep, out)


def bottleneck_backward(
    grads: Gradients, block: Block, grad_output: np.ndarray, cache: BottleneckCache
) -> np.ndarray:
    """Keep the gradients of a bottleneck, return that of its input.

    ``grad_output`` is overwritten.
    """
    name, stride = block.name, block.stride
    # out = relu(bn3 + shortcut): addition hands the same gradient to both branches
    grad_sum = relu_backward(grad_output, cache.out, out=grad_output)
    grad_x = grads.shortcut(block, grad_sum, cache.conv1.x, cache.proj)

    grad_branch = kept(grad_sum, cache.keep)
    conv3 = f"{name}_conv3", f"{name}_bn3", grad_branch, cache.conv3, 1, 0
    # where the shortcut is the identity, grad_x may be the same array
    grad_h = grads.conv_bn(*conv3, relu=False, overwrite=grad_branch is not grad_x)
    conv2 = f"{name}_conv2", f"{name}_bn2", grad_h, cache.conv2, stride, 1
    grad_h = grads.conv_bn(*conv2, relu=True, overwrite=True)
    conv1 = f"{name}_conv1", f"{name}_bn1", grad_h, cache.conv1, 1, 0
    # x went both ways: the gradients add up
    return grads.conv_bn(*conv1, relu=True, overwrite=True, addend=grad_x)
