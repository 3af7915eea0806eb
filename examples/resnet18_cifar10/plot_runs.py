"""Draw the curves of several runs into one figure: ``python -m odyssey plot``.

python examples/resnet18_cifar10/plot_runs.py RUN_DIR... --png curves.png
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

from odyssey.cli.plot import main

if __name__ == "__main__":
    startup.run(main)
