"""How many multiply-adds a network does for one image.

A multiply-add is a product in a convolution or linear layer and its addition.  Products
with the padding are counted too, as is usual.  Biases, batch norms, relus and pooling
are not counted.
"""

import math
import sys
from types import FrameType
from typing import Any

import numpy as np

from odyssey.footprint import Nothing
from odyssey.network import Config, Network
from odyssey.ops.conv import conv2d
from odyssey.ops.linear import linear
from odyssey.threads import called_as

#: Where each of these operations has its weights: (K, C, R, S) and (out, in).
_WEIGHTS = {conv2d.__code__: "kernel", linear.__code__: "weights"}


def multiply_adds(
    network: Network, config: Config, image: tuple[int, int, int] = (3, 32, 32)
) -> int:
    """Return the multiply-adds of the forward for one image.

    The forward is run, with kernels that do nothing, and its convolutions and linear
    layers are watched.

    Parameters
    ----------
    network : Network
    config : Config
        Its options.
    image : channels, height and width
    """
    total, within = 0, 0

    def watch(frame: FrameType, event: str, result: Any) -> None:
        nonlocal total, within
        if event not in ("call", "return") or frame.f_code not in _WEIGHTS:
            return
        within += 1 if event == "call" else -1
        if event == "return" and not within:  # not of an operation within another
            shape = frame.f_locals[_WEIGHTS[frame.f_code]].shape
            total += result[0].size * math.prod(shape[1:])

    shapes = {**network.parameter_shapes(config), **network.state_shapes(config)}
    tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    params = {name: tensors[name] for name in network.parameter_shapes(config)}
    state = {name: tensors[name] for name in network.state_shapes(config)}
    x = np.zeros((1, *image), np.float32)
    before = sys.getprofile()
    with called_as(Nothing), np.errstate(all="ignore"):
        sys.setprofile(watch)
        try:
            network.forward(params, state, x, config, False)
        finally:
            sys.setprofile(before)
    return total
