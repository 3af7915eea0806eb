"""Write a figure as SVG: shapes, words, arrows, and two texts for who cannot see it.

A figure is 400 units wide.  On a phone a unit is a little less than a pixel, on a
screen 1.5 pixels; so no letter is smaller than 11 units.  Its colours are those of the
report of a run, light or dark as the reader has chosen, on a ground of its own: a page
may be dark where the reader's system is light.
"""

import math
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files

WIDTH = 400
#: Width in pixels where there is room for it.
SHOWN = 600

#: Rules for letters and lines.
PLAIN = """\
text{font:12px system-ui,-apple-system,"Segoe UI",sans-serif}
.mono{font-family:ui-monospace,Menlo,Consolas,monospace}
.small{font-size:11px}.bold{font-weight:600}.mid{text-anchor:middle}.end{text-anchor:end}
.l0,.l1,.l2,.ls,.le{fill:none;stroke-width:2;stroke-linejoin:round}
.le,.thin{stroke-width:1}.frame{fill:none;stroke-width:2.5}.dash{stroke-dasharray:5 3}
.cell{stroke-width:1}.pad{fill:none;stroke-dasharray:2 3}
.t0,.t1,.t2{fill-opacity:.24}.h0,.h1,.h2{fill-opacity:.5}
"""
#: Rules for colours, with the names of the palette in braces.
COLOURED = """\
text,.ink{fill:{ink}}.soft{fill:{soft}}.paper,.cell{fill:{paper}}.panel{fill:{panel}}
.c0,.t0,.h0{fill:{s0}}.c1,.t1,.h1{fill:{s1}}.c2,.t2,.h2{fill:{s2}}
.l0{stroke:{s0}}.l1{stroke:{s1}}.l2{stroke:{s2}}.ls{stroke:{soft}}
.le,.cell,.pad{stroke:{edge}}.frame{stroke:{ink}}
"""
#: The same as pairs of a rule up to a colour, and the colour's name; the rest has none.
NAMED = re.findall(r"(.*?)(?:\{(\w+)\}|\Z)", COLOURED, re.S)


def palette() -> dict[str, dict[str, str]]:
    """Return the colours of the report's page by name, for light and for dark."""
    page = files("odyssey.report").joinpath("template.html").read_text("utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", page, re.S)[:2]
    colours = {
        kind: dict(re.findall(r"--(\w+): (#\w+);", block))
        for kind, block in (("light", light), ("dark", dark))
    }
    for kind, edge in (("light", "#87919b"), ("dark", "#69737d")):
        colours[kind]["edge"] = edge  # of a cell: a line of the page is too faint
    return colours


def style() -> str:
    """Return the rules for light, then the colours for dark."""
    light, dark = (
        "".join(f"{rule}{colours.get(name, '')}" for rule, name in NAMED)
        for colours in palette().values()
    )
    return f"{PLAIN}{light}@media(prefers-color-scheme:dark){{\n{dark}}}"


def number(value: float) -> str:
    """Return ``value`` with at most two digits after the point, without zeros."""
    return f"{round(value, 2) + 0.0:.2f}".rstrip("0").rstrip(".")


def numbers(*values: float) -> str:
    """Return several numbers, for an attribute."""
    return " ".join(number(value) for value in values)


def shown(value: float, digits: int = 0) -> str:
    """Return a number for a reader, with a true minus sign."""
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


class Figure:
    """A figure that is being drawn; later shapes cover earlier ones.

    Every ``css`` holds names of the rules above, with blanks between them.

    Parameters
    ----------
    height : in units
    title : a few words, for a tooltip and for who cannot see the figure
    desc : what is to be seen, in full sentences
    """

    def __init__(self, height: float, title: str, desc: str) -> None:
        self.height, self.title, self.desc = height, title, desc
        self._shapes: list[str] = []

    def rect(
        self, x: float, y: float, w: float, h: float, css: str, rx: float = 0
    ) -> None:
        """Draw a rectangle with its upper left corner at (x, y)."""
        corner = f' rx="{number(rx)}"' if rx else ""
        self._add(
            f'<rect class="{css}" x="{number(x)}" y="{number(y)}" '
            f'width="{number(w)}" height="{number(h)}"{corner}/>'
        )

    def path(self, d: str, css: str) -> None:
        """Draw a path, in SVG's own words."""
        self._add(f'<path class="{css}" d="{d}"/>')

    def line(self, points: Sequence[tuple[float, float]], css: str) -> None:
        """Draw a line through points."""
        self.path("M" + "L".join(numbers(*point) for point in points), css)

    def arrow(
        self,
        points: Sequence[tuple[float, float]],
        colour: str,
        css: str = "",
        head: float = 7,
    ) -> None:
        """Draw a line that ends in a head; ``colour`` is 0, 1, 2 or s."""
        (x0, y0), (x1, y1) = points[-2:]
        length = math.hypot(x1 - x0, y1 - y0)
        dx, dy = (x1 - x0) / length, (y1 - y0) / length
        neck = (x1 - dx * head, y1 - dy * head)
        self.line([*points[:-1], neck], f"l{colour} {css}".strip())
        left = (neck[0] - dy * head / 2.2, neck[1] + dx * head / 2.2)
        right = (neck[0] + dy * head / 2.2, neck[1] - dx * head / 2.2)
        fill = "soft" if colour == "s" else f"c{colour}"
        corners = "L".join(numbers(*corner) for corner in ((x1, y1), left, right))
        self.path(f"M{corners}Z", fill)

    def circle(self, x: float, y: float, r: float, css: str) -> None:
        """Draw a circle about (x, y)."""
        self._add(
            f'<circle class="{css}" cx="{number(x)}" cy="{number(y)}" r="{number(r)}"/>'
        )

    def text(self, x: float, y: float, words: str, css: str = "") -> None:
        """Write ``words`` on the line y; "^{T}" is raised and "_{i}" is lowered."""
        self.spans(x, y, [(words, "")], css)

    def spans(
        self, x: float, y: float, parts: Sequence[tuple[str, str]], css: str = ""
    ) -> None:
        """Write pieces of text one after the other, each with its own ``css``."""
        words, moved = "", 0
        for piece, own in parts:
            inner, moved = _raised(piece, moved)
            words += f'<tspan class="{own}">{inner}</tspan>' if own else inner
        css = f' class="{css}"' if css else ""
        self._add(f'<text{css} x="{number(x)}" y="{number(y)}">{words}</text>')

    def cell(
        self, x: float, y: float, size: float, words: str = "", css: str = "cell"
    ) -> None:
        """Draw a square with words in its middle; ``css`` may tint it, as "cell t0"."""
        for layer in css.split():
            self.rect(x, y, size, size, layer)
        if words:
            self.text(x + size / 2, y + size / 2 + 4, words, "mid")

    def _add(self, shape: str) -> None:
        self._shapes.append(shape)

    def svg(self) -> str:
        """Return the whole file."""
        height = number(self.height)
        shown = number(SHOWN * self.height / WIDTH)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{SHOWN}" height="{shown}" role="img" aria-labelledby="t d">\n'
            f'<title id="t">{escape(self.title, False)}</title>\n'
            f'<desc id="d">{escape(self.desc, False)}</desc>\n'
            f"<style>\n{style()}\n</style>\n"
            f'<rect class="paper" width="{WIDTH}" height="{height}" rx="6"/>\n'
            + "\n".join(self._shapes)
            + "\n</svg>\n"
        )


def _raised(words: str, moved: int) -> tuple[str, int]:
    """Return text with its raised and lowered parts as spans.

    ``moved`` is how far below the line the text before has ended; the second result is
    the same for the text after.
    """
    parts = []
    for plain, sign, part in re.findall(r"(.*?)(?:([\^_])\{(.*?)\}|$)", words):
        if plain:
            parts.append(_span(plain, -moved, "") if moved else escape(plain, False))
            moved = 0
        if part:
            step = -4 if sign == "^" else 3
            parts.append(_span(part, step - moved, ' font-size="80%"'))
            moved = step
    return "".join(parts), moved


def _span(words: str, dy: int, size: str) -> str:
    return f'<tspan dy="{dy}"{size}>{escape(words, False)}</tspan>'
