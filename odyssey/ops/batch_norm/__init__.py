"""Batch normalisation over (N, H, W), channel by channel.

statistics.py  mean and variance, which forward and backward share
forward.py     batch_norm2d: normalise, scale and shift
backward.py    its gradients, with their derivation
"""

from odyssey.ops.batch_norm.backward import (
    batch_norm2d_backward as batch_norm2d_backward,
)
from odyssey.ops.batch_norm.backward import (
    batch_norm_training_backward as batch_norm_training_backward,
)
from odyssey.ops.batch_norm.forward import batch_norm2d as batch_norm2d
from odyssey.ops.batch_norm.forward import batch_norm_again as batch_norm_again
from odyssey.ops.batch_norm.statistics import BatchStatistics as BatchStatistics
from odyssey.ops.batch_norm.statistics import batch_statistics as batch_statistics
from odyssey.ops.batch_norm.statistics import merge_statistics as merge_statistics
