"""RandAugment: a few random operations of the same magnitude on uint8 images.

Cubuk et al. 2020, arXiv:1909.13719.  The operations, and what a magnitude of 0 to 30
means for each, are those of ``RandAugment`` in torchvision's
``torchvision/transforms/autoaugment.py`` with 31 bins; the results are those of Pillow,
to the last bit.  ``docs/augmentation.md`` has the table.

The operations on a sample are a pure function of (seed, epoch, index of the sample).
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from odyssey.checks import check_array, check_int, check_ndim
from odyssey.kernels.randaugment import OPERATIONS as OPERATIONS
from odyssey.kernels.randaugment import apply_operations, draw_operations
from odyssey.layout import as_nhwc

MAX_MAGNITUDE = 30
MAX_OPERATIONS = 2**16
FIXED_POINT = 65536  # coordinates are in units of 1/65536 pixel


class Tables(NamedTuple):
    """Tables of the operations for one magnitude and one size of image."""

    affine: np.ndarray  # (14, 2, 6) int64, see `_matrices`
    blend: np.ndarray  # (2, 256, 256) uint8, mixtures of two values
    levels: np.ndarray  # (2, 256) uint8, Posterize and Solarize
    stretch: np.ndarray  # (256, 256) float64, value * (255 / range)


def apply_operation(
    images: np.ndarray, operation: str, magnitude: int = 9, *, negative: bool = False
) -> np.ndarray:
    """Return images after one operation of RandAugment.

    Parameters
    ----------
    images : (N, 3, H, W) uint8, any memory order
    operation : one of `OPERATIONS`
    magnitude : 0 to 30
    negative : reverse the direction, for ShearX to Sharpness; the others have only one

    Returns
    -------
    changed : (N, 3, H, W) uint8, channels-last

    Raises
    ------
    TypeError, ValueError
        If an argument is not valid.
    """
    op = "apply_operation"
    check_array(op, "images", images)
    if images.dtype != np.uint8:
        raise TypeError(f"{op}: images must be uint8, got {images.dtype}")
    check_ndim(op, "images", images, "(N, C, H, W)")
    if operation not in OPERATIONS:
        raise ValueError(
            f"{op}: operation must be one of {OPERATIONS}, got {operation!r}"
        )
    if not isinstance(negative, (bool, np.bool_)):
        kind = type(negative).__name__
        raise TypeError(f"{op}: negative must be a bool, got {kind}")
    _check_channels(op, images.shape[1])
    magnitude = _check_magnitude(op, "magnitude", magnitude)
    tables = make_tables(magnitude, *images.shape[2:])
    pixels = as_nhwc(images).copy()
    choices = np.empty((len(images), 1, 2), np.int64)
    choices[:] = OPERATIONS.index(operation), negative
    apply_operations(pixels, choices, *tables)
    return pixels.transpose(0, 3, 1, 2)


def check_randaugment(
    op: str, num_ops: int, magnitude: int, shape: tuple[int, ...]
) -> Tables:
    """Check the arguments; return the tables for images of a shape (C, H, W)."""
    num_ops = check_int(op, "randaugment_ops", num_ops, minimum=0)
    if num_ops > MAX_OPERATIONS:
        raise ValueError(
            f"{op}: randaugment_ops must be at most {MAX_OPERATIONS}, got {num_ops}"
        )
    magnitude = _check_magnitude(op, "randaugment_magnitude", magnitude)
    C, H, W = shape
    if num_ops:
        _check_channels(op, C)
    return make_tables(magnitude, H, W)


def _check_magnitude(op: str, name: str, value: int) -> int:
    """Check a magnitude and return it."""
    value = check_int(op, name, value, minimum=0)
    if value > MAX_MAGNITUDE:
        raise ValueError(f"{op}: {name} must be at most {MAX_MAGNITUDE}, got {value}")
    return value


def _check_channels(op: str, C: int) -> None:
    """Raise ``ValueError`` unless images are RGB."""
    if C != 3:
        raise ValueError(f"{op}: images must have 3 channels for RandAugment, got {C}")


def randaugment(
    pixels: np.ndarray,
    indices: np.ndarray,
    key: tuple[np.uint64, np.uint64],
    epoch: np.uint64,
    num_ops: int,
    tables: Tables,
) -> None:
    """Apply operations drawn for their indices to images (N, H, W, 3), in place."""
    choices = np.empty((len(pixels), num_ops, 2), np.int64)
    draw_operations(indices.astype(np.uint64), key, epoch, choices)
    apply_operations(pixels, choices, *tables)


@functools.lru_cache(maxsize=8)
def make_tables(magnitude: int, H: int, W: int) -> Tables:
    """Return the tables for a magnitude and images of H by W pixels.

    Magnitudes are interpolated in float32, because rounding decides which whole number
    a blended value is truncated to.
    """
    affine = np.zeros((len(OPERATIONS), 2, 6), np.int64)
    blend = np.empty((2, 256, 256), np.uint8)
    for negative in (0, 1):
        sign = -1 if negative else 1
        for operation, matrix in _matrices(magnitude, sign, H, W).items():
            affine[OPERATIONS.index(operation), negative] = _fixed_point(matrix)
        factor = 1.0 + sign * _interpolate(0.9, magnitude)
        blend[negative] = _blend_table(np.float32(factor))
    values = np.arange(256)
    dropped_bits = round(magnitude / (MAX_MAGNITUDE / 4))
    threshold = 255.0 - _interpolate(255.0, magnitude)
    posterize = values & ~(2**dropped_bits - 1)
    solarize = np.where(values < threshold, values, 255 - values)
    with np.errstate(divide="ignore", invalid="ignore"):  # a range of 0 is not used
        stretch = values * (255.0 / values[:, None])
    return Tables(affine, blend, np.array([posterize, solarize], np.uint8), stretch)


def _interpolate(most: float, magnitude: int) -> float:
    """Return ``most * magnitude / 30``, counted from the nearer end of the range.

    Both the step and the result are rounded to float32.
    """
    end = float(np.float32(most))
    step = float(np.float32(end / MAX_MAGNITUDE))
    if magnitude < MAX_MAGNITUDE / 2:
        return float(np.float32(step * magnitude))
    return float(np.float32(end - step * (MAX_MAGNITUDE - magnitude)))


def _matrices(magnitude: int, sign: int, H: int, W: int) -> dict[str, tuple]:
    """Return (a, b, c, d, e, f) of the operations that move pixels.

    The pixel at (x, y) is fetched from (a*x + b*y + c, d*x + e*y + f).
    """
    shear = sign * _interpolate(0.3, magnitude)
    # whole pixels, truncated; at most 150/331 of the side
    right = sign * int(_interpolate(150.0 / 331.0 * W, magnitude))
    down = sign * int(_interpolate(150.0 / 331.0 * H, magnitude))
    angle = math.radians(sign * _interpolate(30.0, magnitude))  # anticlockwise
    cos, sin = math.cos(angle), math.sin(angle)
    x, y = W / 2, H / 2  # the centre stays where it is
    return {
        "Identity": (1, 0, 0, 0, 1, 0),
        "ShearX": (1, shear, 0, 0, 1, 0),
        "ShearY": (1, 0, 0, shear, 1, 0),
        "TranslateX": (1, 0, -right, 0, 1, 0),
        "TranslateY": (1, 0, 0, 0, 1, -down),
        "Rotate": (cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y),
    }


def _fixed_point(matrix: tuple) -> list[int]:
    """Return a matrix in fixed point, for integer coordinates of pixel centres."""
    a, b, c, d, e, f = matrix
    c, f = c + a / 2 + b / 2, f + d / 2 + e / 2
    return [math.floor(v * FIXED_POINT + 0.5) for v in (a, b, c, d, e, f)]


def _blend_table(factor: np.float32) -> np.ndarray:
    """Return ``other + factor * (value - other)`` for all (other, value), truncated."""
    values = np.arange(256, dtype=np.float32)
    other = values[:, None]
    return np.clip(other + factor * (values - other), 0, 255).astype(np.uint8)
