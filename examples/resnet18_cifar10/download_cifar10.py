"""Download CIFAR-10 and unpack it: ``python -m odyssey download``.

python examples/resnet18_cifar10/download_cifar10.py --data-dir datasets/cifar10
python examples/resnet18_cifar10/download_cifar10.py --from-file FILE.tar.gz
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

from odyssey.cli.download import main

if __name__ == "__main__":
    startup.run(main)
