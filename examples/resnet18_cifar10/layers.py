"""What residual blocks are made of, each forward with its backward.

    conv_bn      convolution, batch norm, relu: everything after the sums in one pass
    bn_relu      batch norm and relu before a convolution, in pre-activation blocks
    shortcut     the way around a block: identity, subsampling ("A"), projection ("B")
    keep         whose branch takes part, with stochastic depth

`Layers` has the forwards and fills the new running statistics, `Gradients` has the
backwards and fills the gradients.  A network without batch norm has no gamma among its
parameters: there the same functions do the convolution and the relu.
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


class ConvCache(NamedTuple):
    """What the backward of convolution and batch norm needs of their forward."""

    x: np.ndarray  # (N, C, H, W) input of the convolution
    conv: np.ndarray | None  # (N, K, P, Q) its output, which batch norm normalised;
    # without batch norm, the relu of it, None where there was no relu
    statistics: BatchStatistics | None  # mean and variance of each channel of that


class NormCache(NamedTuple):
    """What the backward of a batch norm before a convolution needs of its forward."""

    x: np.ndarray  # (N, C, H, W) input
    statistics: BatchStatistics | None  # None without batch norm


class Layers:
    """The forwards, with the dictionaries that they work on."""

    def __init__(
        self,
        params: Tensors,
        state: Tensors,
        training: bool,
        rng: np.random.Generator | None = None,
    ):
        self.params, self.state, self.training = params, state, training
        self.new_state, self.rng = dict(state), rng

    def conv_bn(
        self, conv, norm, x, stride, padding, addend=None, relu=True, keep=None
    ):
        """Return relu(batch norm of the convolution of x, plus addend), and a cache.

        With ``keep`` the batch norm's result is multiplied by it before the addition.
        """
        p, s, new = self.params, self.state, self.new_state
        kernel, bias = p[f"{conv}_kernel"], p.get(f"{conv}_bias")
        if keep is not None:
            branch, cache = self.conv_bn(conv, norm, x, stride, padding, relu=False)
            out = add(branch * keep, addend)
            return positive_part(out) if relu else out, cache
        ending = {"addend": addend, "relu": relu}  # in the same pass over memory
        if not self.training:  # batch norm is part of the convolution
            return conv2d(x, kernel, bias, stride, padding, **ending), None
        if f"{norm}_gamma" not in p:
            out = conv2d(x, kernel, bias, stride, padding, **ending)
            return out, ConvCache(x, out if relu else None, None)
        mean, var = f"{norm}_running_mean", f"{norm}_running_var"
        bn = p[f"{norm}_gamma"], p[f"{norm}_beta"], s[mean], s[var]
        h = conv2d(x, kernel, bias, stride, padding)
        statistics = batch_statistics(h)
        out, new[mean], new[var] = batch_norm2d(
            h, *bn, momentum=BN_MOMENTUM, statistics=statistics, **ending
        )
        return out, ConvCache(x, h, statistics)

    def bn_relu(self, norm, x):
        """Return relu(batch norm of x), and a cache."""
        p, new = self.params, self.new_state
        if f"{norm}_gamma" not in p:
            return positive_part(x), NormCache(x, None)
        mean, var = f"{norm}_running_mean", f"{norm}_running_var"
        s = self.state if self.training else p  # where `fold` left them
        bn = p[f"{norm}_gamma"], p[f"{norm}_beta"], s[mean], s[var]
        if not self.training:
            return batch_norm2d(x, *bn, training=False, relu=True)[0], None
        statistics = batch_statistics(x)
        out, new[mean], new[var] = batch_norm2d(
            x, *bn, momentum=BN_MOMENTUM, statistics=statistics, relu=True
        )
        return out, NormCache(x, statistics)

    def shortcut(self, block: Block, x: np.ndarray):
        """Return what is added to the block's branch, and the projection's cache."""
        if block.shortcut == "A":
            return subsample(x, block.out_channels, block.stride), None
        if block.shortcut == "B":
            names = f"{block.name}_proj", f"{block.name}_proj_bn"
            return self.conv_bn(*names, x, block.stride, 0, relu=False)
        return x, None

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


class Gradients:
    """The backwards: the gradients as they are found, and their parameters."""

    def __init__(self, params: Tensors):
        self.params, self.grads = params, {}

    def conv_bn(
        self,
        conv,
        norm,
        grad_output,
        cache,
        stride,
        padding,
        relu,
        overwrite=False,
        **options,
    ):
        """Keep a pair's gradients, return x's; ``relu`` tells that one followed.

        Where an addend came in between, the caller has gone back through relu and
        addition, and ``keep``.  ``overwrite`` tells that nobody needs ``grad_output``
        after this: others are written over it, for want of memory.
        """
        p, grads = self.params, self.grads
        out = grad_output if overwrite else None
        if cache.statistics is not None:
            gamma, beta = p[f"{norm}_gamma"], p[f"{norm}_beta"]
            # In training the running statistics play no part: beta's shape will do.
            bn = cache.conv, gamma, beta, beta, beta
            grad_conv, grads[f"{norm}_gamma"], grads[f"{norm}_beta"] = (
                batch_norm2d_backward(
                    grad_output, *bn, relu=relu, statistics=cache.statistics, out=out
                )
            )
        elif relu:
            grad_conv = relu_backward(grad_output, cache.conv, out=out)
        else:
            grad_conv = grad_output
        kernel, has_bias = p[f"{conv}_kernel"], f"{conv}_bias" in p
        grad_x, grads[f"{conv}_kernel"], grad_bias = conv2d_backward(
            grad_conv,
            cache.x,
            kernel,
            stride,
            padding,
            needs_grad_bias=has_bias,
            **options,
        )
        if has_bias:
            grads[f"{conv}_bias"] = grad_bias
        return grad_x

    def bn_relu(self, norm, grad_output, cache):
        """Keep the norm's gradients, return x's."""
        if cache.statistics is None:
            return relu_backward(grad_output, cache.x)
        gamma, beta = self.params[f"{norm}_gamma"], self.params[f"{norm}_beta"]
        bn = cache.x, gamma, beta, beta, beta
        grad_x, self.grads[f"{norm}_gamma"], self.grads[f"{norm}_beta"] = (
            batch_norm2d_backward(
                grad_output, *bn, relu=True, statistics=cache.statistics
            )
        )
        return grad_x

    def shortcut(self, block: Block, grad_output, x, proj):
        """Return the gradient of ``x``, what the shortcut was given."""
        if block.shortcut == "A":
            return subsample_backward(grad_output, x, block.stride)
        if block.shortcut == "B":
            names = f"{block.name}_proj", f"{block.name}_proj_bn"
            return self.conv_bn(*names, grad_output, proj, block.stride, 0, relu=False)
        return grad_output


def kept(grad_output: np.ndarray, keep: np.ndarray | None) -> np.ndarray:
    """Return the gradient of a branch that was multiplied by ``keep``."""
    return grad_output if keep is None else grad_output * keep


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
