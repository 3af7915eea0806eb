"""Train LeNet-5, AlexNet, VGG-16 and ResNet-18 under one budget, and compare them.

    python examples/compare_architectures.py --minutes 60
    python examples/compare_architectures.py --epochs 1 --dataset synthetic \
        --models lenet5 alexnet:12 vgg16_bn:8 resnet18:8

It prints and draws parameters, multiply-adds, the time of an epoch, and the accuracy of
the last epoch; ``comparison.json`` has the numbers.
"""

import sys
from pathlib import Path

_EXAMPLES = Path(__file__).resolve().parent
sys.path.insert(0, str(_EXAMPLES))
if (_EXAMPLES.parent / "odyssey" / "cli").is_dir():  # a checkout, perhaps not installed
    sys.path.insert(0, str(_EXAMPLES.parent))

if __name__ == "__main__":
    from odyssey.cli import startup

    startup.prepare()

from odyssey.cli.compare import compare_program

#: By model, the recipe that it is trained with.
RECIPES = {
    "lenet5": "lenet5_hour",
    "alexnet": "alexnet_hour",
    "vgg16": "vgg16_hour",
    "vgg16_bn": "vgg16_bn_hour",
    "resnet18": "resnet18_8epochs",
    "resnet20": "resnet20_paper",
}

main = compare_program(RECIPES, ("lenet5", "alexnet", "vgg16_bn", "resnet18"))

if __name__ == "__main__":
    startup.run(main)
