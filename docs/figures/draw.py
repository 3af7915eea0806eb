"""Draw the figures of the documents: ``python docs/figures/draw.py``.

Each module beside this one that has a function `draw` makes the SVG of its own name.
Their numbers are computed by the library, its twins, or read from a stored run.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parents[1])]

#: The figures, in the order of the reading.
NAMES = [
    *("taps", "windows", "phases", "batch_norm_projection", "residual_block"),
    *("winograd_tiles", "learning_rates", "step_time"),
]


def drawn(name: str) -> str:
    """Return the SVG of a figure."""
    draw: Callable = import_module(name).draw
    return draw().svg()


def main() -> None:
    """Write all figures beside this file."""
    for name in NAMES:
        (FOLDER / f"{name}.svg").write_bytes(drawn(name).encode())
        print(f"{name}.svg")


if __name__ == "__main__":
    main()
