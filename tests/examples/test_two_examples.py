"""All examples in one process, although their modules have the same names."""

import os
import subprocess
import sys

from programs import EXAMPLE, ROOT

ALL = """
import sys
sys.path.insert(0, sys.argv[1])

from alexnet_cifar10.model import EXAMPLE as ALEXNET
from lenet5_cifar10.model import LeNetConfig
from lenet5_cifar10.model import NETWORK as LENET
from lenet5_cifar10.model import forward as lenet
from resnet18_cifar10.architecture import ResNetConfig
from resnet18_cifar10.example import NETWORK as RESNET
from resnet18_cifar10.model import forward as resnet
from speedrun_cifar10.example import EXAMPLE as SPEEDRUN
from vgg16_cifar10.model import EXAMPLE as VGG

import numpy as np
from alexnet_cifar10.train import main as train_alexnet
from lenet5_cifar10.train import main as train_lenet
from resnet18_cifar10.train import main as train_resnet
from speedrun_cifar10.train import main as train_speedrun
from vgg16_cifar10.train import main as train_vgg

x = np.ones((2, 32, 32, 3), np.float32).transpose(0, 3, 1, 2)
for network, forward, config in (
    (LENET, lenet, LeNetConfig()), (RESNET, resnet, ResNetConfig(width=2)),
    *(
        (example.network, example.network.forward, config._replace(width=2))
        for example in (ALEXNET, VGG, SPEEDRUN)
        for config in example.network.models.values()
    ),
):
    logits, _, _ = forward(*network.initialize(config, 0), x, config, training=False)
    print(network.name_of(config), *logits.shape)
for program in (train_lenet, train_resnet, train_alexnet, train_vgg, train_speedrun):
    print(*(o.default for o in program.params if o.name in ("model", "weights_dir")))
"""


def test_one_process_imports_the_models_of_all():
    result = subprocess.run(
        [sys.executable, "-c", ALL, EXAMPLE.parent],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "lenet5 2 10",
        "resnet18 2 10",
        "alexnet 2 10",
        "vgg16 2 10",
        "vgg16_bn 2 10",
        "speedrun 2 10",
        "lenet5 lenet5_weights",
        "resnet18 resnet18_weights",
        "alexnet alexnet_weights",
        "vgg16 vgg16_weights",
        "speedrun_weights",
    ]
