"""Ten shapes and textures as signed distances, the classes of the synthetic image set.

A shape is a function of coordinates in which its radius is about one.  It is negative
inside, positive outside, zero on the outline, and near the outline it is the distance
to it.  Such distances combine like sets: ``maximum`` is the intersection, ``minimum``
the union, a minus sign the complement (see J. C. Hart, "Sphere tracing", The Visual
Computer 12, 1996).  All ten use only + - * /, square roots, ``floor``, ``minimum`` and
``maximum``, which IEEE 754 rounds in one way, so every machine draws the same bits;
sines and cosines would not guarantee that.
"""

from collections.abc import Callable

import numpy as np

Shape = Callable[[np.ndarray, np.ndarray], np.ndarray]

# Outward normals of a triangle's and a pentagram's sides: cosines and sines of every
# 120 and every 72 degrees, as constants that do not depend on a library's rounding.
TRIANGLE_NORMALS = ((0.0, 1.0), (0.8660254, -0.5), (-0.8660254, -0.5))
PENTAGRAM_NORMALS = (
    (0.0, 1.0),
    (0.95105652, 0.30901699),
    (0.58778525, -0.80901699),
    (-0.58778525, -0.80901699),
    (-0.95105652, 0.30901699),
)


def _length(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sqrt(x * x + y * y)


def _box(x: np.ndarray, y: np.ndarray, width: float, height: float) -> np.ndarray:
    return np.maximum(np.abs(x) - width, np.abs(y) - height)


def _wave(x: np.ndarray, period: float) -> np.ndarray:
    """Return a triangle wave, negative in bands half a period wide, as around zero."""
    x = x / period
    return (np.abs(x - np.floor(x + 0.5)) - 0.25) * period


def disc(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the distance to a disc."""
    return _length(x, y) - 0.85


def ring(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the distance to a ring."""
    return np.abs(_length(x, y) - 0.72) - 0.2


def square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the distance to a square."""
    return _box(x, y, 0.74, 0.74)


def triangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the distance to an equilateral triangle: the inside of three sides."""
    inside = [x * a + y * b - 0.52 for a, b in TRIANGLE_NORMALS]
    return np.maximum(np.maximum(inside[0], inside[1]), inside[2])


def star(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the distance to a five-pointed star: the outside of at most one side.

    This is the second largest of the distances to its five sides, found in one pass.
    """
    largest = second = np.full_like(x, -np.inf)
    for a, b in PENTAGRAM_NORMALS:
        side = x * a + y * b - 0.34
        second = np.maximum(second, np.minimum(largest, side))
        largest = np.maximum(largest, side)
    return second


def cross(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the distance to a cross of two bars."""
    return np.minimum(_box(x, y, 0.95, 0.28), _box(x, y, 0.28, 0.95))


def crescent(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the distance to a crescent: a disc without another disc beside it."""
    return np.maximum(_length(x, y) - 0.95, 0.75 - _length(x - 0.5, y))


def stripes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the distance to parallel stripes, cut out as a disc."""
    return np.maximum(_wave(x, 0.64), _length(x, y) - 1.0)


def checkerboard(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the distance to every other square of a four by four checkerboard."""
    x_wave, y_wave = _wave(x - 0.22, 0.88), _wave(y - 0.22, 0.88)
    # Both waves negative or both positive: the union of two intersections.
    fields = np.minimum(np.maximum(x_wave, y_wave), -np.minimum(x_wave, y_wave))
    return np.maximum(fields, _box(x, y, 0.88, 0.88))


def dots(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the distance to three by three dots."""
    x_dot = x - np.clip(np.floor(x / 0.7 + 0.5), -1.0, 1.0) * 0.7
    y_dot = y - np.clip(np.floor(y / 0.7 + 0.5), -1.0, 1.0) * 0.7
    return _length(x_dot, y_dot) - 0.22


SHAPES: tuple[Shape, ...] = (
    disc,
    ring,
    square,
    triangle,
    star,
    cross,
    crescent,
    stripes,
    checkerboard,
    dots,
)
