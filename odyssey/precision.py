"""The precision of activations: float32, or bfloat16 beside float32 weights.

In "bf16" a network is the same functions with other dtypes::

    images, float32 -> round -> activations, bfloat16 -> logits -> widen -> float32 loss
    gradients of parameters, float32 <- gradients, bfloat16 <- round <- of the logits

Rounding the images is enough: every operation returns activations of the dtype that it
was given, and takes parameters in float32 beside bfloat16 ones.  So parameters, their
gradients, momentum, running statistics and averages stay float32, and no network has to
know of it.  What is summed in which dtype: docs/derivations/mixed_precision.md.
"""

from typing import Any

import numpy as np

from odyssey.bfloat16 import bfloat16
from odyssey.layers.context import Tensors
from odyssey.network import Config, Network

#: The names of options and recipes; the first is the default.
PRECISIONS = FLOAT32, BF16 = "float32", "bf16"


def in_precision(network: Network, precision: str) -> Network:
    """Return a network that keeps its activations and their gradients in a precision.

    Parameters
    ----------
    network : for float32 images and parameters
    precision : "float32" for the network as it is; "bf16" for bfloat16, where the
        forward still takes float32 images and parameters and returns float32 logits

    Raises
    ------
    ValueError
        If ``precision`` is none of `PRECISIONS`.
    ImportError
        For "bf16" without ml_dtypes; says how to install it.
    """
    if precision not in PRECISIONS:
        raise ValueError(
            f"in_precision: precision must be one of {', '.join(PRECISIONS)}, "
            f"got {precision!r}"
        )
    if precision == FLOAT32:
        return network
    dtype = bfloat16()

    def forward(
        params: Tensors, state: Tensors, x: np.ndarray, *options: Any, **more: Any
    ) -> tuple[np.ndarray, Tensors, Any]:
        rounded = x.astype(dtype)
        logits, new_state, cache = network.forward(
            params, state, rounded, *options, **more
        )
        return logits.astype(np.float32), new_state, cache

    def backward(
        grad_logits: np.ndarray,
        cache: Any,
        params: Tensors,
        config: Config,
        **more: Any,
    ) -> Tensors:
        rounded = grad_logits.astype(dtype)
        return network.backward(rounded, cache, params, config, **more)

    return network._replace(forward=forward, backward=backward)
