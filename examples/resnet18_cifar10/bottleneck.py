"""The bottleneck block of the deeper networks: 1x1, 3x3 and 1x1 convolutions.

The first convolution reduces the channels to a quarter, the last restores them: a 3x3
convolution with all channels would need 16 times the multiplications.  The 3x3
convolution has the stride, as in most implementations today; in the paper it is the
first 1x1, which ignores three quarters of the pixels.

He, Zhang, Ren & Sun 2016, arXiv:1512.03385, figure 5.
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
from odyssey.layers.shortcut import shortcut_backward
from odyssey.ops.activation import relu_backward
from resnet18_cifar10.architecture import Block, block_shortcut


class BottleneckCache(NamedTuple):
    """The tensors that the backward of a bottleneck needs from its forward."""

    conv1: ConvCache  # its x is the block's input
    conv2: ConvCache
    conv3: ConvCache
    proj: ConvCache | None  # None where the shortcut has no parameters
    out: np.ndarray  # (N, 4*K, P, Q) after the last relu


def bottleneck(
    context: Context, block: Block, x: np.ndarray
) -> tuple[np.ndarray, BottleneckCache | None]:
    r"""Run one bottleneck.

    x -> conv1 -> bn1 -> relu -> conv2 -> bn2 -> relu -> conv3 -> bn3 -> (+) -> relu
     \____________________ identity, or proj -> proj_bn ________________/
    """
    name = block.name
    h, conv1 = conv_norm(context, f"{name}_conv1", f"{name}_bn1", x)
    h, conv2 = conv_norm(
        context, f"{name}_conv2", f"{name}_bn2", h, block.stride, source=conv1
    )
    shortcut, proj = block_shortcut(context, block, x)
    out, conv3 = conv_norm_add(
        context,
        f"{name}_conv3",
        f"{name}_bn3",
        h,
        shortcut,
        drop_path=block.drop_path,
        source=conv2,
    )
    if conv1 is None or conv2 is None or conv3 is None:  # inference
        return out, None
    return out, BottleneckCache(conv1, conv2, conv3, proj, out)


def bottleneck_backward(
    grads: Gradients,
    block: Block,
    grad_output: np.ndarray,
    cache: BottleneckCache,
    *,
    reuse: np.ndarray | None = None,
) -> np.ndarray:
    """Put a bottleneck's gradients into ``grads``; return that of its input.

    ``reuse`` is ``grad_output`` if it may be overwritten, else None.
    """
    # forward: out = relu(bn3(conv3(h)) + shortcut)
    # branch and shortcut get the same gradient, so conv3's backward must not change it
    grad_sum = relu_backward(grad_output, cache.out, out=reuse)
    grad_h = conv_norm_add_backward(grads, grad_sum, cache.conv3)
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
    # forward: h = relu(bn2(conv2(h)))
    grad_h = conv_norm_backward(grads, grad_h, cache.conv2, reuse=grad_h)
    # forward: h = relu(bn1(conv1(x))); x is used twice: its gradients add up
    return conv_norm_backward(
        grads, grad_h, cache.conv1, reuse=grad_h, addend=grad_shortcut
    )
