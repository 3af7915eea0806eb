"""Classify images with the weights that train.py saved.

python examples/speedrun_cifar10/inference.py --weights-dir speedrun_weights/seed0
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

from odyssey.cli.classify import classify_program
from speedrun_cifar10.example import EXAMPLE

main = classify_program(EXAMPLE)

if __name__ == "__main__":
    startup.run(main)
