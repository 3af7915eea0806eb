"""Train a residual network on CIFAR-10, with every gradient written by hand.

    python examples/resnet18_cifar10/train.py --epochs 200

The network is that of `model.py`, the step `odyssey.training.step.training_step`:
forward, loss, backward, update.  `train_minimal.py` has all of it in one file.
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
from resnet18_cifar10.example import EXAMPLE

main = train_program(EXAMPLE)

if __name__ == "__main__":
    startup.run(main)
