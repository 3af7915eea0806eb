"""Average and maximum pooling of (N, C, H, W) activations.

windows.py  the windows of both
average.py  avgpool2d, global_avgpool2d and their backwards
maximum.py  maxpool2d and its backward
"""

from odyssey.ops.pooling.average import avgpool2d as avgpool2d
from odyssey.ops.pooling.average import avgpool2d_backward as avgpool2d_backward
from odyssey.ops.pooling.average import global_avgpool2d as global_avgpool2d
from odyssey.ops.pooling.average import (
    global_avgpool2d_backward as global_avgpool2d_backward,
)
from odyssey.ops.pooling.maximum import maxpool2d as maxpool2d
from odyssey.ops.pooling.maximum import maxpool2d_backward as maxpool2d_backward
