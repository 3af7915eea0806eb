"""Deep learning by hand: every gradient derived, then coded, in NumPy and Numba.

One gradient rule holds everywhere.  The gradient of ``name`` is ``grad_name`` and has
its shape and dtype; the gradient that comes from above is ``grad_output``.
``op_backward(grad_output, <what the forward was given>)`` returns gradients in the
order of the forward's arguments.  Nothing is mutated unless the name ends in
``_inplace``.

Sizes are N, C, H, W (batch, channels, height, width of an input), K, R, S (kernels,
their height and width), P, Q (height and width of an output).
"""

from odyssey import reference
from odyssey.data.batching import compute_num_batches, extract_batch_pair
from odyssey.gradcheck import gradcheck
from odyssey.init import he_normal, uniform_fan_in
from odyssey.ops.activation import relu, relu_backward
from odyssey.ops.addition import add, add_backward
from odyssey.ops.batch_norm import batch_norm2d, batch_norm2d_backward
from odyssey.ops.conv import conv2d, conv2d_backward
from odyssey.ops.dropout import dropout, dropout_backward
from odyssey.ops.linear import linear, linear_backward
from odyssey.ops.loss import (
    cross_entropy,
    cross_entropy_backward,
    softmax,
    softmax_backward,
)
from odyssey.ops.pooling import (
    avgpool2d,
    avgpool2d_backward,
    global_avgpool2d,
    global_avgpool2d_backward,
    maxpool2d,
    maxpool2d_backward,
)
from odyssey.optim import (
    clip_grad_norm_inplace,
    global_grad_norm,
    sgd_momentum_update_inplace,
)
from odyssey.schedules import step_decay
from odyssey.weights.hexfile import load_tensor, load_tensor_with_name, save_tensor

__version__ = "0.1.0"

__all__ = [
    "add",
    "add_backward",
    "avgpool2d",
    "avgpool2d_backward",
    "batch_norm2d",
    "batch_norm2d_backward",
    "clip_grad_norm_inplace",
    "compute_num_batches",
    "conv2d",
    "conv2d_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "dropout",
    "dropout_backward",
    "extract_batch_pair",
    "global_avgpool2d",
    "global_avgpool2d_backward",
    "global_grad_norm",
    "gradcheck",
    "he_normal",
    "linear",
    "linear_backward",
    "load_tensor",
    "load_tensor_with_name",
    "maxpool2d",
    "maxpool2d_backward",
    "reference",
    "relu",
    "relu_backward",
    "save_tensor",
    "sgd_momentum_update_inplace",
    "softmax",
    "softmax_backward",
    "step_decay",
    "uniform_fan_in",
]
