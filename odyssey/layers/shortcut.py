"""The shortcut of a residual block: its input, or that in another shape.

    identity  x
    A         every stride-th pixel of x, with zero channels added
    B         a 1x1 convolution of x, with batch norm in most networks

He, Zhang, Ren & Sun 2016, arXiv:1512.03385, section 3.3.
"""

import numpy as np

from odyssey.layers.context import Context, Gradients
from odyssey.layers.conv_norm import ConvCache, conv_norm, conv_norm_backward
from odyssey.layout import empty_like_layout
from odyssey.memory import empty


def shortcut(
    context: Context,
    kind: str,
    x: np.ndarray,
    *,
    out_channels: int,
    stride: int,
    conv: str,
    norm: str | None,
) -> tuple[np.ndarray, ConvCache | None]:
    """Return what is added to the block's branch, and the projection's cache.

    Parameters
    ----------
    context : Context
    kind : "identity", "A" or "B"
    x : (N, C, H, W)
    out_channels, stride : int
        Number of channels after the branch, and its stride.
    conv, norm : str
        Names of the projection and of the batch norm after it; None without one.

    Returns
    -------
    out : (N, out_channels, P, Q)
    cache : ConvCache, None without parameters
    """
    if kind == "identity":
        return x, None
    if kind == "A":
        return subsample(x, out_channels, stride), None
    return conv_norm(context, conv, norm, x, stride, relu=False)


def shortcut_backward(
    grads: Gradients,
    kind: str,
    grad_output: np.ndarray,
    x: np.ndarray,
    stride: int,
    cache: ConvCache | None,
    *,
    reuse: np.ndarray | None = None,
) -> np.ndarray:
    """Return the gradient of x; for the identity it is ``grad_output`` itself.

    ``reuse`` is ``grad_output``, if its memory may be overwritten: then the backward of
    the block's branch must have used it already.
    """
    if kind == "identity":
        return grad_output
    if kind == "A":
        return subsample_backward(grad_output, x, stride)
    assert cache is not None  # of the projection
    return conv_norm_backward(grads, grad_output, cache, reuse=reuse)


def subsample(x: np.ndarray, channels: int, stride: int) -> np.ndarray:
    """Return every ``stride``-th pixel of ``x`` (N, C, H, W), with zero channels added.

    out[n,k,p,q] = x[n,k,p*stride,q*stride] for k < C, else 0
    """
    part = x[:, :, ::stride, ::stride]
    N, C, P, Q = part.shape
    out = empty((N, P, Q, channels), x.dtype).transpose(0, 3, 1, 2)
    out[:, :C] = part
    out[:, C:] = 0
    return out


def subsample_backward(
    grad_output: np.ndarray, x: np.ndarray, stride: int
) -> np.ndarray:
    """Return the gradient of ``x``: zero in the pixels that were left out."""
    grad_input = empty_like_layout(x, x.shape)
    grad_input[...] = 0
    grad_input[:, :, ::stride, ::stride] = grad_output[:, : x.shape[1]]
    return grad_input
