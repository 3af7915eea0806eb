"""What is timed in a step of this example, for the report: its layers by name."""

import sys
from collections.abc import Callable

import bottleneck
import layers
import model
import preactivation

from odyssey.training.profile import Clocks


def layer_clocks(training_step: Callable) -> Clocks:
    """Return clocks around the layers, and around what the blocks and the step add.

    Convolutions and batch norms are layers, each with the relu or addition in it,
    but for the relu's backward where there is no batch norm; what
    else there is, such as pooling, loss and update, is timed by its function's name.
    """
    program = sys.modules[training_step.__module__]  # train.py, run or imported
    others = [model, bottleneck, preactivation, program]
    return Clocks(others, layers, layer_of)


def layer_of(arguments: tuple) -> str | None:
    """Return the layer's name, which a forward is given and a cache remembers."""
    for argument in arguments:
        if isinstance(argument, str):
            return argument
        if isinstance(argument, layers.ConvCache):
            return argument.name
        if isinstance(argument, layers.NormCache):  # of a relu, without batch norm
            return "relu" if argument.statistics is None else argument.name
    return None
