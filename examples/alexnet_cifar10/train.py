"""Train AlexNet on CIFAR-10, with every gradient written by hand.

python examples/alexnet_cifar10/train.py --config alexnet_hour
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

from alexnet_cifar10.model import EXAMPLE
from odyssey.cli.train import train_program

main = train_program(EXAMPLE)

if __name__ == "__main__":
    startup.run(main)
