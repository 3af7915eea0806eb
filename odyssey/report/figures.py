"""Figures by Matplotlib, an optional package, as PNG images."""

import io
from typing import Any

from odyssey.errors import InputError


def new_figure(width: float) -> Any:
    """Return an empty figure of ``width`` by 4.5 inches, or raise `InputError`."""
    try:
        from matplotlib.figure import Figure  # without pyplot: no window, no state
    except ImportError:
        raise InputError(
            "a figure needs Matplotlib: pip install matplotlib "
            "(the extra odyssey-by-hand[plot])"
        ) from None
    return Figure(figsize=(width, 4.5), layout="constrained")


def png_bytes(figure: Any) -> bytes:
    """Return a Matplotlib figure as a PNG image."""
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120)
    return image.getvalue()
