"""What is timed in a step of this example, for the report: its layers by name."""

import sys
from collections.abc import Callable

import bottleneck
import model
import preactivation
from layers import Gradients, Layers

from odyssey.training.profile import Clocks


def layer_clocks(training_step: Callable) -> Clocks:
    """Return clocks around the layers, and around what the blocks and the step add.

    A layer is what `Layers` and `Gradients` do under its name, a convolution with the
    batch norm and relu after it; additions, pooling, loss and update are called by
    others.
    """
    program = sys.modules[training_step.__module__]  # train.py, run or imported
    others = [model, bottleneck, preactivation, program]
    return Clocks({"forward": Layers, "backward": Gradients}, others)
