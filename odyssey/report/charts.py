"""Line charts as SVG, for a page without scripts: axes, ticks, marks with values."""

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

#: Size of a drawing and of its plot area, in units of its viewBox.  At the width of a
#: phone a unit is a little less than a pixel.
WIDTH, HEIGHT = 420, 260
LEFT, RIGHT, TOP, BOTTOM = 50, 394, 12, 222
#: Most points drawn of a curve, and most points with visible marks.
MOST_POINTS, MOST_MARKS = 400, 60


class Series(NamedTuple):
    """A curve: its name and its points, from left to right."""

    name: str
    points: Sequence[tuple[float, float]]


class Axis:
    """Maps values to coordinates; has ticks at round numbers.

    Parameters
    ----------
    values : all values to show
    start, stop : coordinates of the lower and the upper end
    whole : whether ticks must be whole numbers
    room : fraction of the length to leave free at each end, but not below zero
    """

    def __init__(
        self,
        values: Sequence[float],
        start: float,
        stop: float,
        whole: bool = False,
        room: float = 0.0,
    ) -> None:
        low, high = min(values), max(values)
        if high - low <= 1e-9 * max(abs(low), abs(high)):  # a point, or a level line
            low, high = low - (abs(low) / 2 or 1), high + (abs(high) / 2 or 1)
        more = room * (high - low)
        low, high = max(low - more, min(low, 0.0)), high + more
        self.ticks = ticks(low, high, whole)
        self._low, self._start = low, start
        self._scale = (stop - start) / (high - low)

    def place(self, value: float) -> float:
        """Return the coordinate of ``value``."""
        return round(self._start + (value - self._low) * self._scale, 1)


def ticks(low: float, high: float, whole: bool = False, most: int = 6) -> list[float]:
    """Return at most ``most`` multiples of a step between ``low`` and ``high``.

    The step is 1, 2 or 5 times a power of ten, and at least 1 if ``whole``.
    """
    exponent = math.floor(math.log10(high - low)) - 1
    power = 10.0 ** (max(exponent, 0) if whole else exponent)
    for step in (power * factor for factor in (1, 2, 5, 10, 20, 50)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    return [float(f"{n * step:.12g}") for n in range(first, last + 1)]


def thinned(points: Sequence, most: int = MOST_POINTS) -> list:
    """Return at most ``most`` points, evenly spaced, with the first and the last."""
    if len(points) <= most:
        return list(points)
    return [points[i * (len(points) - 1) // (most - 1)] for i in range(most)]


def line_chart(
    title: str,
    series: Sequence[Series],
    x_label: str,
    show: Callable[[float], str] = "{:.4g}".format,
    mark: bool = True,
    from_zero: bool = False,
) -> str:
    """Return a figure with a title, the curves, and a legend with the last values.

    Parameters
    ----------
    show : formats a value of y
    mark : whether the points have marks with their values
    from_zero : whether the y axis begins at zero
    """
    x_axis = Axis([x for s in series for x, _ in s.points], LEFT, RIGHT, True)
    ys = [y for s in series for _, y in s.points]
    y_axis = Axis([0.0, *ys] if from_zero else ys, BOTTOM, TOP, room=0.04)
    drawing, legend, last = [_grid(x_axis, y_axis, x_label, show)], [], []
    for number, (name, points) in enumerate(series):
        places = [
            (x_axis.place(x), y_axis.place(y), f"{name}, {x_label} {x:g}: {show(y)}")
            for x, y in thinned(points)
        ]
        path = "L".join(f"{x} {y}" for x, y, _ in places)
        drawing.append(f'<path class="s{number}" d="M{path}"/>')
        if mark:
            drawing.append(_marks(places, f"s{number}"))
        value = show(points[-1][1])
        last.append(f"{name} {value}")
        legend.append(
            '<li><svg class="swatch" viewBox="0 0 24 8" aria-hidden="true">'
            f'<path class="s{number}" d="M1 4H23"/></svg>'
            f"{escape(name)} <b>{escape(value)}</b></li>"
        )
    summary = f"{title}, at the end: {', '.join(last)}"
    return (
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(summary)}">{"".join(drawing)}</svg>'
        f'<ul class="legend">{"".join(legend)}</ul></figure>'
    )


def _marks(places: Sequence[tuple[float, float, str]], css: str) -> str:
    css += " mark" if len(places) <= MOST_MARKS else " mark hidden"
    return "".join(
        f'<circle class="{css}" cx="{x}" cy="{y}" r="3">'
        f"<title>{escape(text)}</title></circle>"
        for x, y, text in places
    )


def _grid(x_axis: Axis, y_axis: Axis, x_label: str, show: Callable) -> str:
    lines = [f'<path class="axis" d="M{LEFT} {BOTTOM}H{RIGHT}"/>']
    for value in y_axis.ticks:
        y, text = y_axis.place(value), escape(show(value))
        lines.append(
            f'<path class="grid" d="M{LEFT} {y}H{RIGHT}"/>'
            f'<text class="y" x="{LEFT - 6}" y="{y + 4}">{text}</text>'
        )
    for value in x_axis.ticks:
        x = x_axis.place(value)
        lines.append(f'<text class="x" x="{x}" y="{BOTTOM + 16}">{value:,.10g}</text>')
    middle, label = (LEFT + RIGHT) / 2, escape(x_label)
    lines.append(f'<text class="x" x="{middle}" y="{HEIGHT - 4}">{label}</text>')
    return "".join(lines)
