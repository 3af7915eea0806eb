"""Train VGG-16 on CIFAR-10, with every gradient written by hand.

python examples/vgg16_cifar10/train.py --config vgg16_bn_hour
"""

import sys
from pathlib import Path

_EXAMPLES = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_EXAMPLES))
if (_EXAMPLES.parent / "odyssey" / "cli").is_dir():  # a checkout, perhaps not installed
    sys.path.insert(0, str(_EXAMPLES.parent))

if __name__ == "__main__":
    from odyssey.cli import startup

    startup.prepare()

from odyssey.cli.train import train_program
from vgg16_cifar10.model import EXAMPLE

main = train_program(EXAMPLE)

if __name__ == "__main__":
    startup.run(main)
