"""The network of the speed run, described for the library's programs."""

from pathlib import Path

from odyssey.cli.example import Example
from odyssey.cli.model_options import width_option
from odyssey.network import Network
from speedrun_cifar10.architecture import (
    SpeedrunConfig,
    fold,
    initialize,
    parameter_shapes,
    recognize,
    state_shapes,
)
from speedrun_cifar10.foreign import FOREIGN
from speedrun_cifar10.model import backward, describe, forward

NETWORK = Network(
    family="speedrun",
    models={"speedrun": SpeedrunConfig()},
    parameter_shapes=parameter_shapes,
    state_shapes=state_shapes,
    initialize=initialize,
    forward=forward,
    backward=backward,
    recognize=recognize,
    fold=fold,
    describe=describe,
    model_name=lambda config: "speedrun",
    stated=("width",),
    foreign=FOREIGN,
)

OPTIONS = [
    width_option(
        SpeedrunConfig().width,
        "Channels of the first group; the others have four times as many.",
    )
]
EXAMPLE = Example(
    title="the network of the speed run",
    network=NETWORK,
    folder=Path(__file__).resolve().parent,
    weights_dir="speedrun_weights/seed0",
    model_options=OPTIONS,
)
