"""The public names, for editors and type checkers, see odyssey.lazy."""

from odyssey.data.batching import compute_num_batches as compute_num_batches
from odyssey.data.batching import extract_batch_pair as extract_batch_pair
from odyssey.folding import fold_batch_norm as fold_batch_norm
from odyssey.gradcheck import gradcheck as gradcheck
from odyssey.init import dirac as dirac
from odyssey.init import he_normal as he_normal
from odyssey.init import uniform_fan_in as uniform_fan_in
from odyssey.muon import muon_update_inplace as muon_update_inplace
from odyssey.muon import orthogonalize as orthogonalize
from odyssey.muon import scale_to_norm_inplace as scale_to_norm_inplace
from odyssey.ops.activation import relu as relu
from odyssey.ops.activation import relu_backward as relu_backward
from odyssey.ops.addition import add as add
from odyssey.ops.addition import add_backward as add_backward
from odyssey.ops.batch_norm.backward import (
    batch_norm2d_backward as batch_norm2d_backward,
)
from odyssey.ops.batch_norm.forward import batch_norm2d as batch_norm2d
from odyssey.ops.batch_norm.statistics import batch_statistics as batch_statistics
from odyssey.ops.conv.convolution import conv2d as conv2d
from odyssey.ops.conv.convolution import conv2d_backward as conv2d_backward
from odyssey.ops.conv.prepared import PreparedKernel as PreparedKernel
from odyssey.ops.dropout import dropout as dropout
from odyssey.ops.dropout import dropout_backward as dropout_backward
from odyssey.ops.gelu import gelu as gelu
from odyssey.ops.gelu import gelu_backward as gelu_backward
from odyssey.ops.linear import linear as linear
from odyssey.ops.linear import linear_backward as linear_backward
from odyssey.ops.loss import cross_entropy as cross_entropy
from odyssey.ops.loss import cross_entropy_backward as cross_entropy_backward
from odyssey.ops.loss import softmax as softmax
from odyssey.ops.loss import softmax_backward as softmax_backward
from odyssey.ops.pooling.average import avgpool2d as avgpool2d
from odyssey.ops.pooling.average import avgpool2d_backward as avgpool2d_backward
from odyssey.ops.pooling.average import global_avgpool2d as global_avgpool2d
from odyssey.ops.pooling.average import (
    global_avgpool2d_backward as global_avgpool2d_backward,
)
from odyssey.ops.pooling.maximum import maxpool2d as maxpool2d
from odyssey.ops.pooling.maximum import maxpool2d_backward as maxpool2d_backward
from odyssey.optim import clip_grad_norm_inplace as clip_grad_norm_inplace
from odyssey.optim import global_grad_norm as global_grad_norm
from odyssey.optim import sgd_momentum_update_inplace as sgd_momentum_update_inplace
from odyssey.schedules import step_decay as step_decay
from odyssey.weights.hexfile import load_tensor as load_tensor
from odyssey.weights.hexfile import load_tensor_with_name as load_tensor_with_name
from odyssey.weights.hexfile import save_tensor as save_tensor

from . import reference as reference

__version__: str
__all__: list[str]
