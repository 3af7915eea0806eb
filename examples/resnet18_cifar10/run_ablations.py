"""Train a series of ablations, one run after the other, and compare the results.

    python examples/resnet18_cifar10/run_ablations.py --list
    python examples/resnet18_cifar10/run_ablations.py --config published --seeds 1 2 3
    python examples/resnet18_cifar10/run_ablations.py --all --epochs 5 --dry-run

The rows are in ``ablations.py``.
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

from odyssey.cli.series import series_program
from resnet18_cifar10.ablations import ABLATIONS
from resnet18_cifar10.example import EXAMPLE

main = series_program(EXAMPLE, ABLATIONS)

if __name__ == "__main__":
    startup.run(main)
