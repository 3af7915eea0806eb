"""What residual blocks are made of, each forward with its backward.

    batch_norm      relu(batch norm(x))
    conv_bn         relu(batch norm(convolution(x)))
    conv_bn_add     the same where a branch ends: the shortcut is added before the relu
    block_shortcut  the way around a block: x itself, or a projection of it ("B")
    subsample       the shortcut without parameters ("A"), not ResNet-18's

A forward returns its result and a cache, in which it notes how it was called and what
its backward needs.  It takes `Layers`, the parameters; the backward takes `Gradients`,
and leaves there what it finds.

A network without batch norm has no gamma among its parameters: there, as at inference,
`conv_bn` is the convolution, addition and relu.
"""

from typing import NamedTuple

import numpy as np
from architecture import Block, Tensors

from odyssey.ops.activation import relu as positive_part
from odyssey.ops.activation import relu_backward
from odyssey.ops.addition import add
from odyssey.ops.batch_norm import batch_norm2d, batch_norm2d_backward
from odyssey.ops.batch_statistics import BatchStatistics, batch_statistics
from odyssey.ops.conv import conv2d, conv2d_backward
from odyssey.ops.dropout import dropout

BN_MOMENTUM = 0.1  # weight of the batch in the new running statistics


class Layers:
    """What the forwards work on; ``new_state`` is filled by them."""

    def __init__(
        self,
        params: Tensors,
        state: Tensors,
        training: bool,
        rng: np.random.Generator | None = None,
    ):
        self.params, self.state, self.training = params, state, training
        self.new_state, self.rng = dict(state), rng

    def keep(self, block: Block, x: np.ndarray) -> np.ndarray | None:
        """Draw by which factors the images' branches are multiplied, (N, 1, 1, 1).

        Stochastic depth: zero with the block's probability p, else 1/(1 - p), which
        keeps the mean, so that inference leaves nothing out.  None stands for ones.
        Huang et al. 2016, arXiv:1603.09382.
        """
        if not self.training or block.drop_path == 0:
            return None
        ones = np.ones((len(x), 1, 1, 1), x.dtype)
        return dropout(ones, block.drop_path, self.rng)[1]


class Gradients(dict):
    """The gradients that the backwards have found, by the parameters' names."""

    def __init__(self, params: Tensors):
        super().__init__()
        self.params = params


class NormCache(NamedTuple):
    """What the backward of batch norm and relu needs of their forward."""

    name: str  # s1b1_bn1
    x: np.ndarray | None  # (N, C, H, W) its input; without batch norm the relu's result
    statistics: BatchStatistics | None  # mean and variance of each channel of that
    relu: bool  # whether a relu came right after: behind an addition it is the block's


def batch_norm(
    layers: Layers,
    norm: str,
    x: np.ndarray,
    addend: np.ndarray | None = None,
    relu: bool = True,
) -> tuple[np.ndarray, NormCache]:
    """Return relu(batch norm of x in training, plus addend), and a cache."""
    params, state, new = layers.params, layers.state, layers.new_state
    mean, var = f"{norm}_running_mean", f"{norm}_running_var"
    statistics = batch_statistics(x)
    out, new[mean], new[var] = batch_norm2d(
        x,
        params[f"{norm}_gamma"],
        params[f"{norm}_beta"],
        state[mean],
        state[var],
        momentum=BN_MOMENTUM,
        addend=addend,  # this and the relu in the same pass over memory
        relu=relu,
        statistics=statistics,
    )
    return out, NormCache(norm, x, statistics, relu and addend is None)


def batch_norm_backward(
    grads: Gradients, grad_output: np.ndarray, cache: NormCache, overwrite: bool = True
) -> np.ndarray:
    """Find gamma's and beta's gradients, return x's.

    Behind an addition, ``grad_output`` is the gradient of the sum.  It is overwritten,
    for want of memory, unless ``overwrite`` is False.
    """
    out = grad_output if overwrite else None
    if cache.statistics is None:  # no batch norm
        if not cache.relu:
            return grad_output
        return relu_backward(grad_output, cache.x, out=out)
    # forward: out = relu(batch_norm2d(x, gamma, beta, ...))
    gamma, beta = f"{cache.name}_gamma", f"{cache.name}_beta"
    unused = grads.params[beta]  # in place of running statistics: of the same shape
    grad_x, grads[gamma], grads[beta] = batch_norm2d_backward(
        grad_output,
        cache.x,
        grads.params[gamma],
        grads.params[beta],
        unused,
        unused,
        relu=cache.relu,
        statistics=cache.statistics,
        out=out,
    )
    return grad_x


class ConvCache(NamedTuple):
    """What the backward of convolution and batch norm needs of their forward."""

    name: str  # s1b1_conv1
    x: np.ndarray  # (N, C, H, W) input of the convolution
    stride: int
    padding: int
    norm: NormCache  # its x is the convolution's output
    keep: np.ndarray | None = None  # (N, 1, 1, 1) `Layers.keep`


def conv_bn(
    layers: Layers,
    conv: str,
    norm: str | None,
    x: np.ndarray,
    stride: int = 1,
    addend: np.ndarray | None = None,
    relu: bool = True,
) -> tuple[np.ndarray, ConvCache | None]:
    """Return relu(batch norm of the convolution of x, plus addend), and a cache.

    ``conv`` and ``norm`` are the two's names: s1b1_conv1, s1b1_bn1.
    """
    params = layers.params
    kernel, bias = params[f"{conv}_kernel"], params.get(f"{conv}_bias")
    padding = kernel.shape[2] // 2  # 1 for 3x3, 0 for 1x1: with stride 1, P = H, Q = W
    if f"{norm}_gamma" in params:
        h = conv2d(x, kernel, bias, stride, padding)
        out, after = batch_norm(layers, norm, h, addend, relu)
    else:  # `fold` has made it part of the convolution, or there is none
        out = conv2d(x, kernel, bias, stride, padding, addend=addend, relu=relu)
        relu = relu and addend is None
        after = NormCache(norm, out if relu else None, None, relu)
    return out, ConvCache(conv, x, stride, padding, after) if layers.training else None


def conv_bn_backward(
    grads: Gradients,
    grad_output: np.ndarray,
    cache: ConvCache,
    *,
    overwrite: bool = True,
    addend: np.ndarray | None = None,
    needs_grad_input: bool = True,
) -> np.ndarray | None:
    """Find the parameters' gradients, return x's, plus addend.

    For ``grad_output`` and ``overwrite`` see `batch_norm_backward`.
    """
    # forward: out = batch_norm(h)
    grad_h = batch_norm_backward(grads, grad_output, cache.norm, overwrite)
    # forward: h = conv2d(x, kernel, bias, stride, padding)
    kernel, bias = f"{cache.name}_kernel", f"{cache.name}_bias"
    grad_x, grads[kernel], grad_bias = conv2d_backward(
        grad_h,
        cache.x,
        grads.params[kernel],
        cache.stride,
        cache.padding,
        needs_grad_input=needs_grad_input,
        needs_grad_bias=bias in grads.params,
        addend=addend,
    )
    if bias in grads.params:
        grads[bias] = grad_bias
    return grad_x


def conv_bn_add(
    layers: Layers,
    block: Block,
    conv: str,
    norm: str | None,
    x: np.ndarray,
    shortcut: np.ndarray,
    relu: bool = True,
) -> tuple[np.ndarray, ConvCache | None]:
    """Return relu(batch norm of the convolution of x, plus shortcut), and a cache."""
    keep = layers.keep(block, x)
    if keep is None:  # no stochastic depth
        return conv_bn(layers, conv, norm, x, addend=shortcut, relu=relu)
    branch, cache = conv_bn(layers, conv, norm, x, relu=False)
    out = add(branch * keep, shortcut)
    return positive_part(out) if relu else out, cache._replace(keep=keep)


def conv_bn_add_backward(
    grads: Gradients, grad_sum: np.ndarray, cache: ConvCache
) -> np.ndarray:
    """Find the parameters' gradients, return x's.

    ``grad_sum`` is the gradient of the sum, which the block has from the relu's
    backward.  It is left as it is, for the shortcut's.
    """
    if cache.keep is None:
        return conv_bn_backward(grads, grad_sum, cache, overwrite=False)
    return conv_bn_backward(grads, grad_sum * cache.keep, cache)


def block_shortcut(
    layers: Layers, block: Block, x: np.ndarray
) -> tuple[np.ndarray, ConvCache | None]:
    """Return what is added to the block's branch, and the projection's cache."""
    if block.shortcut == "identity":
        return x, None
    if block.shortcut == "A":
        return subsample(x, block.out_channels, block.stride), None
    name = f"{block.name}_proj"
    return conv_bn(layers, name, f"{name}_bn", x, block.stride, relu=False)


def block_shortcut_backward(
    grads: Gradients,
    block: Block,
    grad_output: np.ndarray,
    x: np.ndarray,
    proj: ConvCache | None,
) -> np.ndarray:
    """Return the gradient of x; ``grad_output`` may be overwritten."""
    if block.shortcut == "identity":
        return grad_output
    if block.shortcut == "A":
        return subsample_backward(grad_output, x, block.stride)
    return conv_bn_backward(grads, grad_output, proj)


def subsample(x: np.ndarray, channels: int, stride: int) -> np.ndarray:
    """Return every ``stride``-th pixel of ``x`` (N, C, H, W), with zero channels added.

    The shortcut without parameters, option A of He et al. 2016, arXiv:1512.03385:

        out[n,k,p,q] = x[n,k,p*stride,q*stride] for k < C, else 0
    """
    part = x[:, :, ::stride, ::stride]
    N, C, P, Q = part.shape
    out = np.zeros((N, P, Q, channels), x.dtype).transpose(0, 3, 1, 2)
    out[:, :C] = part
    return out


def subsample_backward(
    grad_output: np.ndarray, x: np.ndarray, stride: int
) -> np.ndarray:
    """Return the gradient of ``x``: zero in the pixels that were left out."""
    grad_x = np.zeros_like(x)
    grad_x[:, :, ::stride, ::stride] = grad_output[:, : x.shape[1]]
    return grad_x
