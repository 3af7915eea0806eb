"""The description of this example, for the programs of the library."""

from pathlib import Path

from odyssey.cli.example import Example
from odyssey.network import Network
from resnet18_cifar10 import architecture, model
from resnet18_cifar10.description import describe
from resnet18_cifar10.foreign import FOREIGN
from resnet18_cifar10.model_options import OPTIONS
from resnet18_cifar10.recognition import config_from_shapes, untold

NETWORK = Network(
    family="resnet",
    models=architecture.MODELS,
    parameter_shapes=architecture.parameter_shapes,
    state_shapes=architecture.state_shapes,
    initialize=architecture.initialize,
    forward=model.forward,
    backward=model.backward,
    recognize=config_from_shapes,
    fold=architecture.fold,
    check=architecture.check,
    untold=untold,
    describe=describe,
    model_name=architecture.model_name,
    noise=architecture.CHANCES,
    initial=("zero_gamma",),
    stated=("width",),
    by_blocks=True,
    foreign=FOREIGN,
)

EXAMPLE = Example(
    title="ResNet-18, or another residual network,",
    network=NETWORK,
    folder=Path(__file__).resolve().parent,
    weights_dir="resnet18_weights",
    model_options=OPTIONS,
    model_help="resnet20, 32, 44, 56 and 110 are the ResNet paper's narrow networks "
    "for CIFAR-10.",
)
