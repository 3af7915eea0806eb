"""The options of a residual network besides its name and the number of its classes."""

from functools import partial

from odyssey.cli.choice import Choice
from odyssey.cli.model_options import dropout_option, width_option
from odyssey.cli.option import MODEL, option
from odyssey.cli.option_types import FiniteFloat
from resnet18_cifar10.architecture import STEMS, ResNetConfig

_option = partial(option, group=MODEL)

OPTIONS = [
    width_option(
        ResNetConfig().width,
        "Channels of the first stage; they double from stage to stage.",
        show_default=f"{ResNetConfig().width}; 16 for the narrow ones",
    ),
    _option(
        "--pre-activation",
        is_flag=True,
        help="Put batch norm and relu before each convolution (ResNet v2).",
    ),
    _option(
        "--shortcut",
        type=Choice("AB"),
        show_default="B; A for the narrow ones",
        help="Shortcut where a block changes the shape: A takes every second pixel and "
        "adds zero channels, B is a 1x1 convolution.",
    ),
    _option(
        "--stem",
        type=Choice(STEMS),
        default=ResNetConfig().stem,
        help="First layers: cifar is a 3x3 convolution, imagenet a 7x7 convolution "
        "with stride 2 and a max pooling, for larger images.",
    ),
    _option(
        "--normalize/--no-normalize",
        default=True,
        help="Use batch norm; without it, convolutions have biases.",
    ),
    _option(
        "--zero-gamma",
        is_flag=True,
        help="Start each residual branch at zero, so that it adds nothing at first.",
    ),
    _option(
        "--drop-path",
        type=FiniteFloat(0, 1, max_open=True),
        default=0.0,
        help="Stochastic depth: probability of skipping the last block's branch in "
        "training; it grows linearly from the first block to the last. 0 turns it off.",
    ),
    dropout_option(0.0, "a feature before the linear layer"),
]
