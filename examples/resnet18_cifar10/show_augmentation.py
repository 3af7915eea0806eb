"""Draw a sheet of augmented images: ``python -m odyssey augmentation``.

python examples/resnet18_cifar10/show_augmentation.py --randaugment 2 9 --cutout 8
python examples/resnet18_cifar10/show_augmentation.py --operations
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

from odyssey.cli.augmentation import main

if __name__ == "__main__":
    startup.run(main)
