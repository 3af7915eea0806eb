"""Convolution with batch norm and relu, and with the addition at the end of a branch.

    conv_norm      relu(batch norm(convolution(x)))
    conv_norm_add  relu(batch norm(convolution(x)) + shortcut)

In a network without batch norm there is no normalisation.  In inference there is none
either, because batch norms have been folded into the convolutions.
"""

from typing import Any, NamedTuple

import numpy as np

from odyssey.layers.context import Context, Gradients
from odyssey.layers.names import named
from odyssey.layers.norm import (
    NormCache,
    ReluCache,
    batch_norm,
    norm_backward,
    norm_output,
)
from odyssey.ops.activation import relu as positive_part
from odyssey.ops.addition import add
from odyssey.ops.conv import conv2d, conv2d_backward
from odyssey.ops.conv.convolution import OptionalGradient, conv2d_and_statistics


class ConvCache(NamedTuple):
    """What the backward of convolution, batch norm and relu needs of their forward."""

    name: str  # s1b1_conv1
    x: np.ndarray | Any  # (N, C, H, W) input, or the `NormCache` that it is found from
    stride: int
    padding: int
    after: NormCache | ReluCache | None  # of what follows the convolution
    branch_scale: np.ndarray | None = None  # (N, 1, 1, 1) `Context.branch_scale`


@named("conv")
def conv_norm(
    context: Context,
    conv: str,
    norm: str | None,
    x: np.ndarray,
    stride: int = 1,
    *,
    addend: np.ndarray | None = None,
    relu: bool = True,
    source: ConvCache | None = None,
) -> tuple[np.ndarray, ConvCache | None]:
    """Return relu(batch norm of the convolution of x, plus addend), and a cache.

    Parameters
    ----------
    context : Context
    conv, norm : str
        Their names: s1b1_conv1, s1b1_bn1.  If ``norm`` is None there is no batch norm.
    x : (N, C, H, W)
    stride : int
        The padding is half the kernel: with stride 1, P = H and Q = W.
    addend : (N, K, P, Q), optional
    relu : bool
    source : ConvCache, optional
        Of the layer whose result ``x`` is, if nothing else needs ``x``.  If that is a
        batch norm's, ``x`` is not kept: the backward normalises once more.

    Returns
    -------
    out : (N, K, P, Q)
    cache : ConvCache, None at inference
    """
    kernel = context.params[f"{conv}_kernel"]
    bias = context.params.get(f"{conv}_bias")
    padding = kernel.shape[2] // 2  # 1 for 3x3, 0 for 1x1
    after: NormCache | ReluCache | None = None
    if norm is not None and context.training and context.normalize:
        h, statistics = conv2d_and_statistics(x, kernel, bias, stride, padding)
        out, after = batch_norm(context, norm, h, addend, relu, statistics)
    else:
        out = conv2d(x, kernel, bias, stride, padding, addend=addend, relu=relu)
        if relu and addend is None:
            after = ReluCache(out)
    if not context.training:
        return out, None
    if source is not None and isinstance(source.after, NormCache):
        return out, ConvCache(conv, source.after, stride, padding, after)
    return out, ConvCache(conv, x, stride, padding, after)


@named("cache", "backward")
def conv_norm_backward(
    grads: Gradients,
    grad_output: np.ndarray,
    cache: ConvCache,
    *,
    reuse: np.ndarray | None = None,
    addend: np.ndarray | None = None,
    needs_grad_input: bool = True,
) -> OptionalGradient:
    """Compute the gradients of the parameters; return that of the input, plus addend.

    ``reuse`` is ``grad_output``, if its memory may be overwritten.
    """
    # forward: out = batch_norm(h)
    if reuse is None and grads.overwrites_caches and isinstance(cache.after, NormCache):
        reuse = cache.after.x  # h, which only this backward needs
    grad_h = norm_backward(grads, grad_output, cache.after, reuse=reuse)
    # forward: h = conv2d(x, kernel, bias, stride, padding)
    kernel, bias = f"{cache.name}_kernel", f"{cache.name}_bias"
    x = cache.x
    if isinstance(x, NormCache):
        x = norm_output(grads.params, x)
    grad_input, grads[kernel], grad_bias = conv2d_backward(
        grad_h,
        x,
        grads.params[kernel],
        cache.stride,
        cache.padding,
        needs_grad_input=needs_grad_input,
        needs_grad_bias=bias in grads.params,
        addend=addend,
    )
    if grad_bias is not None:
        grads[bias] = grad_bias
    return grad_input


@named("conv")
def conv_norm_add(
    context: Context,
    conv: str,
    norm: str | None,
    x: np.ndarray,
    shortcut: np.ndarray,
    *,
    drop_path: float = 0.0,
    relu: bool = True,
    source: ConvCache | None = None,
) -> tuple[np.ndarray, ConvCache | None]:
    """Return relu(batch norm of the convolution of x, plus shortcut), and a cache.

    With stochastic depth, the branch of an image is left out with the probability
    ``drop_path``, and only its shortcut remains.
    """
    scale = context.branch_scale(x, drop_path)
    if scale is None:
        return conv_norm(
            context, conv, norm, x, addend=shortcut, relu=relu, source=source
        )
    branch, cache = conv_norm(context, conv, norm, x, relu=False, source=source)
    out = add(_scaled(branch, scale), shortcut)
    assert cache is not None  # a scale is drawn in training only
    return positive_part(out) if relu else out, cache._replace(branch_scale=scale)


@named("cache", "backward")
def conv_norm_add_backward(
    grads: Gradients, grad_sum: np.ndarray, cache: ConvCache
) -> np.ndarray:
    """Compute the gradients of the parameters; return that of the input.

    ``grad_sum`` is the gradient of the sum, which the relu's backward returned.  It is
    not changed, because the shortcut's backward needs it too.
    """
    if cache.branch_scale is None:
        return conv_norm_backward(grads, grad_sum, cache)
    # forward: branch * scale + shortcut
    grad_branch = _scaled(grad_sum, cache.branch_scale)
    return conv_norm_backward(grads, grad_branch, cache, reuse=grad_branch)


def _scaled(x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return x * scale in the dtype of x; the scale of bfloat16 is float32."""
    return (x * scale).astype(x.dtype, copy=False)
