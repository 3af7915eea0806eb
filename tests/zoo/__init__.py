"""Wrong backwards, as students write them, each with the fault and its name."""

from zoo import (  # noqa: F401
    activations,
    blocks,
    convolution,
    linear,
    losses,
    normalisation,
    pooling,
    unseen,
    unseen_again,
    unseen_at_last,
    unseen_in_the_end,
    updates,
)
from zoo.wrong import ZOO, Wrong

__all__ = ["ZOO", "Wrong"]
